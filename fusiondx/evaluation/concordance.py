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
from fusiondx.evaluation.inversions import LARGEST_BASE, Inversions, product
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
    if counts is None:
        judged = weighted_concordance(pairs, pairs.event.astype(np.float64))
        return np.asarray(np.nan if judged is None else judged[0])
    given = np.asarray(counts)
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
    later, earlier = pairs.concordant(weight)
    comparable_later, comparable_earlier = pairs.comparable(weight)
    own = weight * np.stack([later, comparable_later])
    if not own[1].sum() > 0:
        return None
    share = float(own[0].sum() / own[1].sum())
    as_event = (own[0] - share * own[1]) / own[1].sum()
    found = np.empty((2, len(weight)))
    found[:, pairs.order] = as_event + (earlier - share * comparable_earlier) / own[1].sum(), as_event
    return share, found[0], found[1]


def no_pairs(event: Ints) -> str:
    """Why no two patients are comparable."""
    patients = counted(len(event), "patient")
    return f"no events in {patients}" if not (event == 1).any() else f"no two of {patients} are comparable"


def _share(pairs: ComparablePairs, counts: Array) -> Floats:
    weight = np.ascontiguousarray(counts.T, dtype=exact(counts))[pairs.order]
    return pairs.share(weight)


def exact(weight: Array) -> type[np.floating[Any]]:
    """A number format in which sums of these, and pairs of a block, are exact: the short one for few whole numbers."""
    few = np.max(weight.sum(axis=-1), initial=0) < 2**22 and np.max(weight, initial=0) < 2**12 / LARGEST_BASE
    whole = np.issubdtype(weight.dtype, np.integer) or np.array_equal(weight, np.rint(weight))
    return np.float32 if few and whole else np.float64


@dataclass(frozen=True)
class ComparablePairs:
    """Who is comparable with whom: patients sorted once, pairs summed for any weights, all in the order of `order`."""

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
        # Whole numbers that are all different are sorted several times as quickly as by two columns
        risks, moment = _ranked(np.asarray(risk)), 2 * _ranked(np.asarray(time)) + ~np.asarray(event, dtype=bool)
        order = np.argsort(moment * len(risks) + risks)
        risks, moment = risks[order], moment[order]
        start, end = bounds(moment[1:] != moment[:-1], len(order))
        by_risk = np.argsort(risks * len(risks) + np.arange(len(risks)))
        rank = np.empty_like(by_risk)
        rank[by_risk] = np.arange(len(rank))
        ties = _Ties.of(risks[by_risk], start[by_risk], by_risk)
        return cls(order, moment % 2 == 0, start, end, Inversions.of(rank), ties)

    def concordant(self, weight: Floats) -> tuple[Floats, Floats]:
        """Per event, how many of those it is comparable with have a lower risk, half of those with an equal one; per
        patient, the `weight` of events comparable with it whose risk is higher, half where it is equal.

        `weight`, ``(patients,)``, must be 0 without the event.
        """
        once = np.ones(len(weight), exact(weight))
        lower, higher = self.inversions.sums(once, weight.astype(once.dtype))
        if self.ties is None:
            return lower, higher
        return lower + self.ties.later(once[:, None])[:, 0] / 2, higher + self.ties.earlier(weight) / 2

    def comparable(self, weight: Floats) -> tuple[Floats, Floats]:
        """As `concordant`, whatever the risks."""
        return (len(weight) - self.end).astype(np.float64), np.concatenate([[0.0], np.cumsum(weight)])[self.start]

    def share(self, weight: Floats) -> Floats:
        """Of comparable pairs, the share that is concordant: for ``(patients, sets)``, shape ``(sets,)``."""
        concordant, total, events = self.inversions.total(weight, self.event), running(weight), weight[self.event]
        if self.ties is not None:
            concordant += product(events, self.ties.later(weight)[self.event]) / 2
        return ratio(concordant, product(events, total[-1] - total[self.end[self.event]]))


@dataclass(frozen=True)
class _Ties:
    """Patients of equal risk, by risk and then by time."""

    by_risk: Ints
    group: tuple[Ints, Ints]
    """Per patient, in that order: where patients of its risk start and end."""
    run: tuple[Ints, Ints]
    """Where those of them with its time and outcome start and end."""

    @classmethod
    def of(cls, risk: Ints, moment: Ints, by_risk: Ints) -> _Ties | None:
        changes = risk[1:] != risk[:-1]
        if changes.all():
            return None
        runs = changes | (moment[1:] != moment[:-1])
        return cls(by_risk, bounds(changes, len(risk)), bounds(runs, len(risk)))

    def later(self, weight: Floats) -> Floats:
        """Per patient, the weight of those with its risk and a later time or outcome; ``(patients, sets)``."""
        total = running(weight[self.by_risk])
        return self._back(total[self.group[1]] - total[self.run[1]])

    def earlier(self, weight: Floats) -> Floats:
        """Per patient, the weight of those with its risk and an earlier time or outcome; ``(patients,)``."""
        total = np.concatenate([[0.0], np.cumsum(weight[self.by_risk])])
        return self._back(total[self.run[0]] - total[self.group[0]])

    def _back(self, sums: Floats) -> Floats:
        result = np.empty_like(sums)
        result[self.by_risk] = sums
        return result


def _ranked(values: Array) -> Ints:
    """Equal numbers for equal values, from 0, in their order."""
    order = np.argsort(values)
    ascending, result = values[order], np.empty(len(order), dtype=np.int64)
    result[order] = np.concatenate([[0], np.cumsum(ascending[1:] != ascending[:-1])])[: len(order)]
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
