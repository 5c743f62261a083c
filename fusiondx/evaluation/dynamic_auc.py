"""Cumulative/dynamic AUC: how well a score tells those with the event by a time from those without it then."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fusiondx.errors import counted
from fusiondx.evaluation import checking
from fusiondx.evaluation.concordance import bounds
from fusiondx.evaluation.estimate import Undefined
from fusiondx.evaluation.influence import Influence, Judged
from fusiondx.evaluation.observed import moment, outcomes, scores
from fusiondx.evaluation.uno import WEIGHTS
from fusiondx.survival.estimators import kaplan_meier
from fusiondx.survival.weights import AtHorizon, Censoring, Outcomes

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.integer[Any]]


def dynamic_auc(
    risk: npt.ArrayLike, time: npt.ArrayLike, event: npt.ArrayLike, horizon: float, train: Outcomes | None = None
) -> Judged:
    """AUC at `horizon` of those with the event by then against all others, censored patients weighed for.

    Arrays have shape ``(patients,)``; `event` is 1 for the event, 0 where censored, another number for a competing
    event, whose patients are among the others (Uno et al. 2007; Blanche et al. 2013). G is estimated from the times
    and events `train`, else from the patients judged, whose influence on G then counts. The variance is that of R's
    riskRegression. `Undefined` without cases or others, or beyond the follow-up of `train`. Raises `DataError` for
    input that cannot be judged.
    """
    times, events = outcomes(time, event)
    given = scores(risk, len(times))
    at = AtHorizon(Censoring.of(times, events, None if train is None else outcomes(*train)), moment(horizon))
    if reason := unreachable(at):
        return Undefined("dynamic_auc", reason, len(times), int(at.case.sum()))
    return _judge(Ranks.of(given), at)


def dynamic_aucs(risk: Floats, horizons: Floats, censoring: Censoring) -> Floats:
    """AUC at each of `horizons`; one sort, no interval. NaN where it is undefined. All checked before."""
    order = np.argsort(risk)
    start, end = bounds(np.diff(risk[order]) > 0, len(order))
    time, event = censoring.time[order], censoring.event[order]
    mine = np.flatnonzero(event == 1)
    start, end, moment, tied = start[mine], end[mine], time[mine], bool((end > start + 1).any())
    weight, left = censoring.inverse_before[order], censoring.left(horizons)
    rivals = np.where(event > 1, weight, 0.0) if (event > 1).any() else None
    weight = weight[mine]
    result = np.full(len(horizons), np.nan)
    # Where nobody has a competing event, all others weigh the same: counted in short integers, ten times as quick
    total: npt.NDArray[Any] = np.zeros(len(order) + 1, np.int32 if rivals is None else np.float64)
    for place in np.flatnonzero(left > 0):
        free = time > horizons[place]
        others = free if rivals is None else np.where(free, 1 / left[place], rivals)
        np.cumsum(others, dtype=total.dtype, out=total[1:])
        cases = weight * (moment <= horizons[place])
        pairs = cases.sum() * total[-1]
        if pairs > 0 and free.any():
            below = (total.take(start) + total.take(end)) / 2 if tied else total.take(start)
            result[place] = min(cases @ below / pairs, 1.0)
    return result


def integrated_auc(
    risk: npt.ArrayLike,
    time: npt.ArrayLike,
    event: npt.ArrayLike,
    horizons: npt.ArrayLike,
    train: Outcomes | None = None,
) -> Judged:
    """Mean of AUC(t) over `horizons`, each counting as many events as Kaplan-Meier sees since the one before.

    Weights are drops of the curve of first events (Lambert & Chevret 2016), whose own variance is left out. Horizons at
    which AUC(t) is undefined are left out, and the convention says so. Arguments and errors else as `dynamic_auc`.
    """
    times, events = outcomes(time, event)
    asked = [moment(t) for t in np.unique(checking.numbers(horizons, "horizons")).tolist()]
    ranks = Ranks.of(scores(risk, len(times)))
    censoring = Censoring.of(times, events, None if train is None else outcomes(*train))
    stands = [AtHorizon(censoring, t) for t in asked]
    used = [_judge(ranks, each) for each in stands if not unreachable(each)]
    at = np.array([one.horizon for one in used])
    left = kaplan_meier(times, events != 0).at(at)
    drops = -np.diff(left, prepend=1.0)
    if not drops.sum() > 0:
        return Undefined("integrated_auc", "AUC(t) is undefined at all horizons", len(times), int((events == 1).sum()))
    weights = drops / drops.sum()
    value = min(float(weights @ [one.value for one in used]), 1.0)
    influence, last = weights @ np.stack([one.each for one in used]), used[-1]
    said = f"{len(used)} of {len(asked)} horizons, weighed by drops of Kaplan-Meier; {last.convention}"
    return replace(last, metric="integrated_auc", value=value, each=influence, convention=said)


def unreachable(at: AtHorizon, cases: bool = True) -> str:
    """Why nothing can be said of a horizon; empty where something can. Without `cases` none need have had the event."""
    patients = counted(len(at.case), "patient")
    if cases and not at.case.any():
        return f"no event by {at.horizon:g} in {patients}"
    if not at.free.any():
        return f"none of {patients} is under observation beyond {at.horizon:g}"
    if at.horizon > at.censoring.end:
        return f"{at.censoring.unknown}, before {at.horizon:g}"
    return "" if at.censoring.at(at.horizon) > 0 else f"everyone G is estimated from was censored by {at.horizon:g}"


@dataclass(frozen=True)
class Ranks:
    """Patients sorted once by score."""

    order: Ints
    start: Ints
    end: Ints
    """Per patient in that order: where patients of its score start and end."""

    @classmethod
    def of(cls, score: Floats) -> Ranks:
        order = np.argsort(score, kind="stable")
        return cls(order, *bounds(np.diff(score[order]) > 0, len(order)))

    def below(self, weight: Floats) -> Floats:
        """Per patient: the weight of those who score lower, half of those who score the same."""
        total = np.concatenate([[0.0], np.cumsum(weight[self.order])])
        result = np.empty_like(weight)
        result[self.order] = (total[self.start] + total[self.end]) / 2
        return result


def _judge(ranks: Ranks, at: AtHorizon) -> Influence:
    cases, others = np.where(at.case, at.weight, 0.0), np.where(at.case, 0.0, at.weight)
    below, above = ranks.below(others), cases.sum() - ranks.below(cases)
    pairs = cases.sum() * others.sum()
    area = min(float(cases @ below / pairs), 1.0)  # sums in another order may round differently
    gradient = np.where(at.case, below - area * others.sum(), above - area * cases.sum()) / pairs
    weights = f"{WEIGHTS[at.censoring.own]}; weights 1/G(T-) and 1/G(t)"
    said = f"cases by t against all others; {weights}; equal scores count half"
    each = at.influence(gradient)
    events = int(at.case.sum())
    return Influence("dynamic_auc", area, each, events, "share", at.horizon, convention=said, rarer=at.rarer)
