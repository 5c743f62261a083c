"""Patients in risk groups: their survival side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import chdtrc

from fusiondx.errors import DataError
from fusiondx.evaluation import checking
from fusiondx.evaluation.observed import groups_of, outcomes
from fusiondx.survival.estimators import Curve, at_risk, kaplan_meier, life_table


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
    Raises `DataError` for a risk that is not finite and a cut point that is missing.
    """
    ascending = np.sort(checking.numbers(np.atleast_1d(cuts), "cuts"))
    if np.isnan(ascending).any():
        raise DataError("A cut point is missing. Give risks at which training patients are parted, as of `cut_points`.")
    return np.searchsorted(ascending, checking.scores(risk, "risk"), side="left").astype(np.int64)


def cut_points(training_risk: npt.ArrayLike, groups: int = 2) -> npt.NDArray[np.float64]:
    """Risks that cut training patients into `groups` of equal size, for `risk_groups`; shape ``(groups - 1,)``.

    Raises `DataError` without training patients, for a risk that is not finite, and for fewer than two groups.
    """
    risk = checking.scores(training_risk, "training_risk")
    if not len(risk) or groups < 2:
        raise DataError("Cut points need training patients and two groups at least. Give more of them.")
    return np.asarray(np.quantile(risk, np.arange(1, groups) / groups))


def survival_by_group(
    time: npt.ArrayLike, event: npt.ArrayLike, group: npt.ArrayLike, at: npt.ArrayLike
) -> dict[Any, GroupSurvival]:
    """Kaplan-Meier curve and numbers at risk at the times `at` of each group that occurs, by group.

    Times, events and groups, of any name, have shape ``(patients,)``; a competing event counts as censoring. Raises
    `DataError` for input that cannot be judged.
    """
    times, events = outcomes(time, event)
    names, member = groups_of(group, len(times))
    shown = checking.scores(at, "at")
    parts = {name: (times[member == g], events[member == g] == 1) for g, name in enumerate(names)}
    return {
        name: GroupSurvival(len(mine), int(met.sum()), kaplan_meier(mine, met), at_risk(mine, shown))
        for name, (mine, met) in parts.items()
    }


def log_rank(time: npt.ArrayLike, event: npt.ArrayLike, group: npt.ArrayLike) -> LogRank:
    """The log-rank test of two or more groups (Mantel 1966; Peto & Peto 1972).

    Arguments as `survival_by_group`. Raises `DataError` as there, and with fewer than two groups or no events.
    """
    times, events = outcomes(time, event)
    names, member = groups_of(group, len(times))
    happened = events == 1
    if len(names) < 2 or not happened.any():
        raise DataError("A log-rank test needs two groups and one event. Choose other cut points or more patients.")
    everyone = life_table(times, happened)
    tables = [life_table(times, happened, member == g) for g in range(len(names))]
    share = np.stack([t.at_risk for t in tables]) / everyone.at_risk
    surplus = np.sum([t.events for t in tables], axis=1) - share @ everyone.events
    spread = everyone.events * (everyone.at_risk - everyone.events) / np.maximum(everyone.at_risk - 1, 1)
    covariance = np.diag(share @ spread) - (share * spread) @ share.T
    chi2 = max(0.0, float(surplus @ np.linalg.pinv(covariance, hermitian=True) @ surplus))
    return LogRank(chi2, len(names) - 1, float(chdtrc(len(names) - 1, chi2)))
