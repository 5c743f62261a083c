"""Harrell's concordance index, for any number of resamples, with what each patient adds to it.

Two patients are comparable when the one with the shorter time had the event; also when the other was censored at that
very time, but not when both had the event then. Equal risks count half; risks are compared exactly, without a
tolerance, so only their order matters. This is the convention of R's survival.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fusiondx.errors import counted
from fusiondx.evaluation.estimate import Undefined
from fusiondx.evaluation.influence import Influence, Judged
from fusiondx.evaluation.inversions import Inversions
from fusiondx.evaluation.observed import outcomes, scores
from fusiondx.evaluation.ratio import ratio

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.integer[Any]]

CONVENTION = (
    "events precede censorings at the same time; events at the same time are not compared; equal risks count half"
)
SETS = 64
"""Sets of weights summed together: as many as keep a processor busy and fit its cache."""


def concordance(risk: Array, time: Array, event: Array, counts: Array | None = None) -> Floats:
    """Harrell's concordance index (Harrell et al. 1996); higher `risk` should mean an earlier event.

    ``counts``, shape ``(..., patients)``, says how often each patient is there (once, when left out): sorted once,
    summed for each set, shape ``(...)``. NaN where no two patients are comparable. O(n log n) for each set.
    """
    pairs = ComparablePairs.of(risk, time, event)
    given = np.ones(len(pairs.order)) if counts is None else np.asarray(counts)
    sets = given.reshape(-1, len(pairs.order))
    values = [_share(pairs, sets[start : start + SETS]) for start in range(0, len(sets), SETS)]
    return np.concatenate([np.empty(0), *values]).reshape(given.shape[:-1])


def harrell_c(risk: npt.ArrayLike, time: npt.ArrayLike, event: npt.ArrayLike) -> Judged:
    """Harrell's concordance index; higher `risk` should mean an earlier event. All of shape ``(patients,)``.

    A competing event counts as censoring then (Wolbers et al. 2009). Raises `DataError` for input that cannot be
    judged.

    >>> from fusiondx.evaluation.concordance import harrell_c
    >>> from fusiondx.evaluation.influence import estimate
    >>> found = estimate(harrell_c(risk, time, event))
    >>> found.metric, found.low > 0.5
    ('c_index', True)
    """
    times, events = outcomes(time, event)
    pairs = ComparablePairs.of(scores(risk, len(times)), times, events == 1)
    judged = weighted_concordance(pairs, pairs.event.astype(np.float64))
    if judged is None:
        return Undefined("c_index", no_pairs(events), len(times), int(pairs.event.sum()))
    return Influence("c_index", judged[0], judged[1], int(pairs.event.sum()), "share", convention=CONVENTION)


def weighted_concordance(pairs: ComparablePairs, weight: Floats) -> tuple[float, Floats, Floats] | None:
    """Share of comparable pairs that are concordant, each weighing as much as its event does.

    `weight`, ``(patients,)``, is in the order of `pairs`. Gives the share, its derivative in how often each patient
    counts, and in the logarithm of `weight`, both in the order of patients; None without comparable pairs.
    """
    once, weighs = np.ones((len(weight), 1)), weight[:, None]
    own = weight * np.stack([pairs.concordant_later(once)[:, 0], pairs.comparable_later(once)[:, 0]])
    if not own[1].sum() > 0:
        return None
    share = float(own[0].sum() / own[1].sum())
    as_event = (own[0] - share * own[1]) / own[1].sum()
    others = pairs.concordant_earlier(weighs)[:, 0] - share * pairs.comparable_earlier(weighs)[:, 0]
    back = np.argsort(pairs.order)
    return share, (as_event + others / own[1].sum())[back], as_event[back]


def no_pairs(event: Ints) -> str:
    """Why no two patients are comparable."""
    patients = counted(len(event), "patient")
    return f"no events in {patients}" if not (event == 1).any() else f"no two of {patients} are comparable"


def _share(pairs: ComparablePairs, counts: Array) -> Floats:
    weight = np.ascontiguousarray(counts.T, dtype=_exact(counts))[pairs.order]
    events = weight[pairs.event]
    part, whole = (
        np.multiply(events, pairs_of[pairs.event], dtype=np.float64).sum(axis=0)
        for pairs_of in (pairs.concordant_later(weight), pairs.comparable_later(weight))
    )
    return ratio(part, whole)


def _exact(counts: Array) -> type[np.floating[Any]]:
    """A number format in which sums of these are exact: the short one where they are few whole numbers."""
    few = np.abs(counts).sum(axis=1).max(initial=0) < 2**22
    return np.float32 if few and np.array_equal(counts, np.rint(counts)) else np.float64


@dataclass(frozen=True)
class ComparablePairs:
    """Who is comparable with whom: patients sorted once, pairs summed for any weights.

    Weights and sums have shape ``(patients, sets)``, in the order of `order`. Weights of the earlier patient of a pair
    must be 0 for patients without the event.
    """

    order: Ints
    """Patients by time; events before those censored at the same time, tied events by risk."""
    event: npt.NDArray[np.bool_]
    """In that order."""
    start: Ints
    """Where the patients of the same time and outcome start, in that order."""
    end: Ints
    """Where they end, and those an event is comparable with begin."""
    inversions: Inversions
    ties: _Ties | None
    """None where no two risks are equal."""

    @classmethod
    def of(cls, risk: Array, time: Array, event: Array) -> ComparablePairs:
        """Of patients; all of shape ``(patients,)``."""
        order = np.lexsort((risk, ~np.asarray(event, dtype=bool), time))
        risk, time, event = risk[order], time[order], np.asarray(event, dtype=bool)[order]
        start, end = bounds((time[1:] != time[:-1]) | (event[1:] != event[:-1]), len(time))
        by_risk = np.argsort(risk, kind="stable")
        rank = np.empty_like(by_risk)
        rank[by_risk] = np.arange(len(rank))
        return cls(order, event, start, end, Inversions.of(rank), _Ties.of(risk[by_risk], start[by_risk], by_risk))

    def concordant_later(self, weight: Floats) -> Floats:
        """Per event: the weight of those it is comparable with whose risk is lower, half where it is equal."""
        lower = self.inversions.lower_later(weight)
        return lower if self.ties is None else lower + self.ties.later(weight) / 2

    def concordant_earlier(self, weight: Floats) -> Floats:
        """Per patient: the weight of events comparable with it whose risk is higher, half where it is equal."""
        higher = self.inversions.higher_earlier(weight)
        return higher if self.ties is None else higher + self.ties.earlier(weight) / 2

    def comparable_later(self, weight: Floats) -> Floats:
        """Per event: the weight of those it is comparable with."""
        total = running(weight)
        return np.asarray(total[-1] - total[self.end])

    def comparable_earlier(self, weight: Floats) -> Floats:
        """Per patient: the weight of the events comparable with it."""
        return np.asarray(running(weight)[self.start])


@dataclass(frozen=True)
class _Ties:
    """Patients of equal risk, by risk and then by time."""

    by_risk: Ints
    group: tuple[Ints, Ints]
    """Per patient, in that order: where patients of its risk start and end."""
    run: tuple[Ints, Ints]
    """Where those of them with its time and outcome start and end."""

    @classmethod
    def of(cls, risk: Floats, moment: Ints, by_risk: Ints) -> _Ties | None:
        changes = risk[1:] != risk[:-1]
        if changes.all():
            return None
        runs = changes | (moment[1:] != moment[:-1])
        return cls(by_risk, bounds(changes, len(risk)), bounds(runs, len(risk)))

    def later(self, weight: Floats) -> Floats:
        total = running(weight[self.by_risk])
        return self._back(total[self.group[1]] - total[self.run[1]])

    def earlier(self, weight: Floats) -> Floats:
        total = running(weight[self.by_risk])
        return self._back(total[self.run[0]] - total[self.group[0]])

    def _back(self, sums: Floats) -> Floats:
        result = np.empty_like(sums)
        result[self.by_risk] = sums
        return result


def bounds(changes: npt.NDArray[np.bool_], items: int) -> tuple[Ints, Ints]:
    """Per item of a row cut wherever neighbours differ: where its part starts, and where it ends."""
    cuts = np.flatnonzero(changes) + 1
    starts, ends = np.concatenate([[0], cuts]), np.concatenate([cuts, [items]])
    return np.repeat(starts, ends - starts), np.repeat(ends, ends - starts)


def running(weight: Floats) -> Floats:
    """Sums of the first 0, 1, 2... rows, ``(rows + 1, sets)``; many times as quick as NumPy's over an outer axis."""
    rows, sets = weight.shape
    side = int(np.ceil(np.sqrt(rows)))
    total = np.zeros((side * side + 1, sets), weight.dtype)
    total[1 : rows + 1] = weight
    block = total[1:].reshape(side, side, sets)
    for place in range(1, side):
        block[:, place] += block[:, place - 1]
    for place in range(1, side):
        block[place] += block[place - 1, -1]
    return total[: rows + 1]
