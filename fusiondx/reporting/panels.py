"""What each figure shows, as numbers worked out from predictions and true values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fusiondx.core.predictions import ClassPrediction, NumberPrediction, SurvivalPrediction
from fusiondx.evaluation.discrimination import roc_curve
from fusiondx.evaluation.groups import GroupSurvival, LogRank, log_rank, risk_groups, survival_by_group
from fusiondx.reporting.report import Part, Result

Floats = npt.NDArray[np.floating[Any]]

GROUPS = ("Low risk", "High risk")
GRID = np.linspace(0.0, 1.0, 201)
"""False positive rates at which curves of several folds or classes are averaged."""


@dataclass(frozen=True)
class RiskGroups:
    """Survival of patients below and above the cut point."""

    times: Floats
    """Round times at which patients at risk are counted."""
    groups: Mapping[str, GroupSurvival]
    until: Mapping[str, float]
    """Last time at which anyone of a group was under observation."""
    test: LogRank | None
    """None where a group is empty or nothing happened."""


def roc(result: Result) -> tuple[Floats, Floats] | None:
    """False and true positive rates; None where no part has patients of both kinds.

    Two classes in a single test set give the exact curve. Over several folds or classes (each against the rest) the
    true positive rates are averaged at equal false positive rates (Fawcett 2006).
    """
    curves = [(false, true) for false, true in _roc_curves(result) if np.isfinite([false, true]).all()]
    if not curves:
        return None
    if len(curves) == 1:
        return curves[0]
    mean = np.mean([np.interp(GRID, false, true) for false, true in curves], axis=0)
    return np.concatenate([[0.0], GRID]), np.concatenate([[0.0], mean])


def confusion(result: Result) -> npt.NDArray[np.int64]:
    """Patients by true class (rows) and most probable class (columns), all parts together."""
    size = len(result.parts[0][1].classes)
    counts = np.zeros((size, size), dtype=np.int64)
    for said, truth in _once(result):
        if isinstance(said, ClassPrediction):
            np.add.at(counts, (truth.fields["label"].astype(np.int64), said.label), 1)
    return counts


def survival(result: Result) -> RiskGroups | None:
    """Patients at low and at high risk by each part's own cut point; None where there are no cut points."""
    chosen = [
        (truth.fields["time"], truth.fields["event"], risk_groups(said.risk, [cut]))
        for (said, truth), cut in zip(_once(result), result.cuts, strict=False)
        if isinstance(said, SurvivalPrediction) and cut is not None and len(said)
    ]
    if not chosen:
        return None
    time, event, group = (np.concatenate(column) for column in zip(*chosen, strict=True))
    at = ticks(float(time.max()))
    found = {GROUPS[g]: entry for g, entry in survival_by_group(time, event, group, at).items()}
    until = {GROUPS[g]: float(time[group == g].max()) for g in np.unique(group)}
    return RiskGroups(at, found, until, log_rank(time, event, group) if len(found) > 1 and event.any() else None)


def agreement(result: Result) -> tuple[Floats, Floats]:
    """True and predicted values, all parts together."""
    pairs = [(truth.fields["value"], said.value) for said, truth in _once(result) if isinstance(said, NumberPrediction)]
    true, predicted = (np.concatenate(column) for column in zip(*pairs, strict=True))
    return true, predicted


def ticks(most: float, about: int = 6) -> Floats:
    """Round times from 0 to at most `most`, where numbers at risk are counted."""
    if most <= 0:
        return np.zeros(1)
    rough = most / about
    power = 10.0 ** np.floor(np.log10(rough))
    step = next(power * nice for nice in (1, 2, 3, 5, 6, 10, 12) if power * nice >= rough)
    return np.arange(0.0, most + step / 1e6, step)


def _once(result: Result) -> Iterator[Part]:
    """The parts with known truth; a patient who is in several (repeated folds) stays in the first only."""
    seen: set[str] = set()
    for said, truth in result.known:
        new = np.array([str(patient) not in seen for patient in said.ids], dtype=bool)
        seen.update(map(str, said.ids))
        yield said.take(new), truth[new]


def _roc_curves(result: Result) -> Iterator[tuple[Floats, Floats]]:
    for said, truth in result.known:
        if isinstance(said, ClassPrediction) and len(said):
            positives = range(len(said.classes)) if len(said.classes) > 2 else [1]
            for k in positives:
                false, true, _ = roc_curve(said.probability[:, k], truth.fields["label"] == k)
                yield false, true
