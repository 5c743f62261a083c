"""What each figure shows, as numbers worked out from predictions and true values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

import numpy as np
import numpy.typing as npt

from fusiondx.core.predictions import (
    CausePrediction,
    ClassPrediction,
    NumberPrediction,
    Prediction,
    SurvivalPrediction,
)
from fusiondx.evaluation.discrimination import roc_curve
from fusiondx.evaluation.groups import GroupSurvival, LogRank, log_rank, risk_groups, survival_by_group
from fusiondx.reporting.report import Part, Result

Floats = npt.NDArray[np.floating[Any]]

GROUPS = ("Low risk", "High risk")
CURVE = 50
"""Times at most at which whole curves are read."""
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


def forecast(result: Result) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Probability of the positive class of two and who is of it, all parts together, each patient once."""
    pairs = [(said.probability[:, 1], truth.fields["label"] == 1) for said, truth in _once(result) if _two(said)]
    chance, positive = (np.concatenate(column) for column in zip(*pairs, strict=True))
    return chance, positive


def prognosis(result: Result, at: npt.ArrayLike) -> tuple[Floats, Floats, Floats, npt.NDArray[Any]]:
    """Risk, probability of the event by each of the times `at`, time and event; all parts together, each patient once.

    Probabilities have shape ``(patients, times)``; ``(patients, 0)`` where a part came without curves.
    """
    parts = [(said, truth) for said, truth in _once(result) if isinstance(said, SurvivalPrediction | CausePrediction)]
    curves = all(len(said.times) for said, _ in parts)
    columns = [
        (said.risk, _by(said, at if curves else []), truth.fields["time"], truth.fields["event"])
        for said, truth in parts
    ]
    risk, chance, time, event = (np.concatenate(column) for column in zip(*columns, strict=True))
    return risk, chance, time, event


def _by(said: SurvivalPrediction | CausePrediction, at: npt.ArrayLike) -> Floats:
    """Probability of the event by each of `at`; of one of several causes, that it came first."""
    return said.cumulative_incidence(at) if isinstance(said, CausePrediction) else 1 - said.survival(at)


def horizons(result: Result) -> tuple[Floats, float | None]:
    """Times at which a prognosis is judged, and the one that figures look at: the median event time.

    Eight times, evenly spread up to where a tenth of the patients are under observation, and that one; none where
    nobody has the event.
    """
    known = [truth.fields for _, truth in result.known]
    time, event = (np.concatenate([fields[name] for fields in known]) for name in ("time", "event"))
    if not (event == 1).any():
        return np.empty(0), None
    main, last = float(np.median(time[event == 1])), float(np.quantile(time, 0.9))
    return np.union1d(np.linspace(0, max(last, main), 9)[1:], [main]), main


def event_times(result: Result) -> Floats:
    """Times at which whole curves are read: those of events, or fifty spread evenly among them."""
    known = [truth.fields for _, truth in result.known]
    at = np.unique(np.concatenate([fields["time"][fields["event"] == 1] for fields in known]))
    at = at[at > 0]
    return at if len(at) <= CURVE else at[np.unique(np.linspace(0, len(at) - 1, CURVE).round().astype(np.int64))]


def _two(said: Prediction) -> TypeGuard[ClassPrediction]:
    return isinstance(said, ClassPrediction) and len(said.classes) == 2


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
