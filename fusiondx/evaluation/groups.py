"""Patients in risk groups: their survival side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import chdtrc

from fusiondx.errors import DataError
from fusiondx.survival.estimators import Curve, at_risk, kaplan_meier, life_table

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class GroupSurvival:
    """Survival of one group."""

    patients: int
    events: int
    curve: Curve
    """Kaplan-Meier."""
    at_risk: npt.NDArray[np.integer[Any]]
    """Patients still under observation at each of the times asked for."""


@dataclass(frozen=True)
class LogRank:
    """A test that several groups have the same survival."""

    chi2: float
    degrees: int
    p: float


def risk_groups(risk: npt.ArrayLike, cuts: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Group of each patient, from 0 (lowest risk): the number of cut points below its risk.

    Take `cuts` from training patients, for instance their median risk: cuts chosen on the patients shown flatter.
    """
    return np.asarray(np.searchsorted(np.sort(np.atleast_1d(cuts)), np.asarray(risk), side="left"), dtype=np.int64)


def cut_points(training_risk: npt.ArrayLike, groups: int = 2) -> npt.NDArray[np.float64]:
    """Risks that cut training patients into `groups` of equal size, for `risk_groups`; shape ``(groups - 1,)``.

    Raises `DataError` without training patients, for a risk that is not finite, and for fewer than two groups.
    """
    risk = np.asarray(training_risk, dtype=np.float64)
    if not risk.size or not np.isfinite(risk).all() or groups < 2:
        raise DataError("Cut points need finite risks of training patients and two groups at least.")
    return np.asarray(np.quantile(risk, np.arange(1, groups) / groups))


def survival_by_group(time: Array, event: Array, group: Array, at: npt.ArrayLike) -> dict[int, GroupSurvival]:
    """Kaplan-Meier curve and numbers at risk at the times `at` of each group that occurs, by group."""
    return {int(g): _survival(time[group == g], event[group == g], at) for g in np.unique(group)}


def _survival(time: Array, event: Array, at: npt.ArrayLike) -> GroupSurvival:
    return GroupSurvival(len(time), int(np.sum(event)), kaplan_meier(time, event), at_risk(time, at))


def log_rank(time: Array, event: Array, group: Array) -> LogRank:
    """The log-rank test of two or more groups (Mantel 1966; Peto & Peto 1972).

    Raises `DataError` with fewer than two groups or no events.
    """
    names, member = np.unique(group, return_inverse=True)
    if len(names) < 2 or not np.any(event):
        raise DataError("A log-rank test needs two groups and one event. Choose other cut points or more patients.")
    everyone = life_table(time, event)
    tables = [life_table(time, event, member == g) for g in range(len(names))]
    share = np.stack([t.at_risk for t in tables]) / everyone.at_risk
    surplus = np.sum([t.events for t in tables], axis=1) - share @ everyone.events
    spread = everyone.events * (everyone.at_risk - everyone.events) / np.maximum(everyone.at_risk - 1, 1)
    covariance = np.diag(share @ spread) - (share * spread) @ share.T
    chi2 = max(0.0, float(surplus @ np.linalg.pinv(covariance, hermitian=True) @ surplus))
    return LogRank(chi2, len(names) - 1, float(chdtrc(len(names) - 1, chi2)))
