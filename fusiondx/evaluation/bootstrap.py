"""Many bootstrap replicates of a metric, by how often each patient is drawn and never a second sort.

A replicate is as many patients as there are, drawn with replacement (Efron & Tibshirani 1993): the number of times that
each is there. Draws do not care who is who, so patients are put in a convenient order once and numbered in it. Blocks
of replicates have random numbers of their own and are shared out among the cores; results do not depend on how many.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import pdtr
from threadpoolctl import threadpool_limits

from fusiondx.errors import ConfigError, DataError
from fusiondx.evaluation import checking
from fusiondx.evaluation.concordance import SETS, ComparablePairs, exact, no_pairs
from fusiondx.evaluation.estimate import Undefined
from fusiondx.evaluation.observed import curves, outcomes, scores
from fusiondx.evaluation.survival_brier import integrated_brier, trapezium, within
from fusiondx.survival.weights import Censoring

Floats = npt.NDArray[np.floating[Any]]
Counts = npt.NDArray[np.uint8]
"""How often each patient is drawn, ``(replicates, patients)``."""
UNDECIDED = 255
PATIENTS = 1024
"""How many are multiplied at a time, so that a processor's cache holds them."""


def bootstrap_auroc(score: npt.ArrayLike, positive: npt.ArrayLike, *, replicates: int = 1000, seed: int = 0) -> Floats:
    """AUROC of each replicate; NaN where one holds one class only.

    Raises `DataError` with one class, for scores that are not finite and labels that are not 0 or 1, `ConfigError` for
    fewer than one replicate.
    """
    score, positive = checking.scored(score, positive)
    if reason := checking.lacking(positive):
        raise DataError(f"An AUROC cannot be resampled: {reason}. Give patients of both classes.")
    below, ranked = np.sort(score[~positive]), np.sort(score[positive])
    lower, upper = (np.searchsorted(below, ranked, side=side) for side in ("left", "right"))
    tied, n, others = bool((lower != upper).any()), len(score), len(below)

    def judge(counts: Counts) -> Floats:
        # Negative patients come first, then positive ones, both by ascending score
        found, upto = np.full(len(counts), np.nan), np.zeros(others + 1)
        for number, drawn in enumerate(counts):
            np.cumsum(drawn[:others], out=upto[1:])
            beaten = (upto[lower] + upto[upper]) / 2 if tied else upto[lower]
            if pairs := upto[-1] * (n - upto[-1]):
                found[number] = drawn[others:] @ beaten / pairs
        return found

    return _replicated(judge, n, replicates, seed)


def bootstrap_concordance(
    risk: npt.ArrayLike, time: npt.ArrayLike, event: npt.ArrayLike, *, replicates: int = 1000, seed: int = 0
) -> Floats:
    """Harrell's concordance index of each replicate, as `harrell_c`; NaN where no two of one are comparable.

    Raises `DataError` where no two patients are, and for input that cannot be judged, `ConfigError` for fewer than one
    replicate.
    """
    times, events = outcomes(time, event)
    pairs = ComparablePairs.of(scores(risk, len(times)), times, events == 1)
    if not (pairs.event & (pairs.end < len(times))).any():
        raise DataError(f"A concordance index cannot be resampled: {no_pairs(events)}. Give comparable patients.")

    def judge(counts: Counts) -> Floats:
        return pairs.share(np.ascontiguousarray(counts.T, dtype=exact(counts)))

    return _replicated(judge, len(times), replicates, seed)


def bootstrap_integrated_brier(
    survival: npt.ArrayLike,
    times: npt.ArrayLike,
    time: npt.ArrayLike,
    event: npt.ArrayLike,
    *,
    replicates: int = 1000,
    seed: int = 0,
) -> Floats:
    """Integrated Brier score of each replicate, as `integrated_brier` over the same times, G estimated anew from each.

    NaN where nobody drawn is under observation at the last of these times. Raises `DataError` where the score is
    undefined, and for input that cannot be judged, `ConfigError` for fewer than one replicate.
    """
    once = integrated_brier(survival, times, time, event)
    if isinstance(once, Undefined):
        raise DataError(f"An integrated Brier score cannot be resampled: {once.reason}. Give patients followed longer.")
    observed, happened = outcomes(time, event)
    given, at = curves(survival, times, len(observed))
    order = np.lexsort((happened == 0, observed))  # censored patients after those gone at the same time
    censoring = Censoring.of(observed[order], happened[order])
    kept = within(at, censoring)
    error, share = given[order, : len(kept)], trapezium(kept)
    free = censoring.time[:, None] > kept
    error -= free | (censoring.event[:, None] > 1)
    error *= error
    gone = np.flatnonzero((censoring.event != 0) & (censoring.time <= kept[-1]))
    early = ((error * ~free) @ share)[gone]
    error *= free
    steps, ends = censoring.until(kept[-1]), np.searchsorted(censoring.table.times, kept, side="right")
    (first, last), before = _runs(censoring, steps), censoring.before[gone]
    end = np.searchsorted(censoring.time, kept[-1], side="right")

    def judge(counts: Counts) -> Floats:
        late, left, found = _product(counts, error), np.ones(steps + 1), np.empty(len(counts))
        n = counts.shape[1]
        upto = np.zeros(end + 1, dtype=np.int32)
        for number, drawn in enumerate(counts):
            np.cumsum(drawn[:end].astype(np.int32), out=upto[1:])
            if upto[end] == n:
                found[number] = np.nan
                continue
            np.cumprod((n - upto[last]) / (n - upto[first]), out=left[1:])
            seen = drawn[gone] * early @ (1 / left)[before]
            found[number] = (seen + late[number] / left[ends] @ share) / n
        return found

    return _replicated(judge, len(observed), replicates, seed)


def _product(counts: Counts, values: Floats) -> Floats:
    """Sums of `values`, ``(patients, columns)``, over those drawn: shape ``(replicates, columns)``."""
    total = np.zeros((len(counts), values.shape[1]))
    for start in range(0, len(values), PATIENTS):
        some = slice(start, start + PATIENTS)
        total += counts[:, some].astype(np.float64) @ values[some]
    return total


def _runs(censoring: Censoring, steps: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Where patients censored at each of the first so many times of the table start and end, patients by time."""
    at = censoring.table.times[:steps]
    ends = np.searchsorted(censoring.time, at, side="right")
    return ends - censoring.table.censored[:steps].astype(np.int64), ends


def _replicated(judge: Callable[[Counts], Floats], patients: int, replicates: int, seed: int) -> Floats:
    """What `judge` makes of so many sets of draws, `SETS` at a time."""
    if replicates < 1:
        raise ConfigError(f"replicates is {replicates}. Give at least 1.")
    sizes = [min(SETS, replicates - start) for start in range(0, replicates, SETS)]

    def block(seeds: np.random.SeedSequence, size: int) -> Floats:
        return judge(resampled(np.random.default_rng(seeds), size, patients))

    # matrix products must not ask for every core in every block
    with threadpool_limits(1), ThreadPoolExecutor(os.cpu_count()) as pool:
        return np.concatenate(list(pool.map(block, np.random.SeedSequence(seed).spawn(len(sizes)), sizes)))


def resampled(rng: np.random.Generator, replicates: int, patients: int) -> Counts:
    """How often each patient is there in sets of as many, drawn with replacement."""
    draws = _Draws.of(patients)
    counts: Counts = np.empty((replicates, patients), dtype=np.uint8)
    for row in counts:
        missing = -1
        while missing < 0:
            missing = patients - draws.fill(row, rng)
        np.add.at(row, rng.integers(patients, size=missing), np.uint8(1))
    return counts


@dataclass(frozen=True)
class _Draws:
    """Independent Poisson numbers of draws for each patient, on the average four standard deviations too few in all.

    Whatever their sum, they are then multinomial, and stay so with the missing ones drawn one by one. Each number comes
    from 16 random bits by a table, many times as quick as counting draws; where these do not decide it, more bits do.
    """

    below: Floats
    """Probability of at most 0, 1, 2... draws."""
    table: npt.NDArray[np.uint8]
    """How many draws the bits mean."""

    @classmethod
    def of(cls, patients: int) -> _Draws:
        below = pdtr(np.arange(32), max(0.0, 1 - 4 / np.sqrt(patients)))
        edges = np.arange(2**16 + 1) / 2**16
        least, most = np.searchsorted(below, edges[:-1], "right"), np.searchsorted(below, edges[1:], "left")
        return cls(below, np.where(least == most, least, UNDECIDED).astype(np.uint8))

    def fill(self, row: npt.NDArray[np.uint8], rng: np.random.Generator) -> int:
        """Write such numbers into `row`, ``(patients,)``; gives their sum."""
        bits = rng.integers(2**64 - 1, size=-(-len(row) // 4), dtype=np.uint64, endpoint=True).view(np.uint16)[
            : len(row)
        ]
        np.take(self.table, bits, out=row, mode="clip")
        unsure = np.flatnonzero(row == UNDECIDED)
        row[unsure] = np.searchsorted(self.below, (bits[unsure] + rng.random(len(unsure))) / 2**16, "right")
        return int(row.sum(dtype=np.uint32))
