"""AUROC with its variance and interval, and two AUROCs on the same patients (DeLong et al. 1988).

Everything rests on placements: each patient's share of the other class that it is ranked rightly against. They come
from one sort (Sun & Xu 2014), so nothing is quadratic.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from fusiondx.evaluation import checking
from fusiondx.evaluation.estimate import Estimate, Outcome, Undefined
from fusiondx.evaluation.proportions import Z95

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
TIES = "ties count half; higher scores mean positive"
PRIOR = 15
"""Patients of the smaller class at which the variance observed counts as much as the one expected of such an AUROC.

Chosen by simulation over `docs/coverage/classification.md`: DeLong's variance alone is too small at high AUROC, the
expected one alone is wrong where the two classes' scores spread unequally or are heavily tied."""


@dataclass(frozen=True)
class Auroc:
    """An AUROC and what each patient adds to it."""

    value: float
    influence: Floats
    """Per patient; its squares sum to DeLong's variance. Zero for the only patient of a class."""

    @property
    def variance(self) -> float:
        """DeLong's."""
        return float(self.influence @ self.influence)


def placements(score: Floats, positive: Bools) -> Floats:
    """Of each patient: the share of the other class it is ranked rightly against, ties counting half.

    Needs a patient of either class. Their mean over positives, and over negatives, is the AUROC.
    """
    order = np.argsort(score)
    ranked, is_positive = score[order], positive[order]
    starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
    size = np.diff(np.r_[starts, len(score)])
    up = np.add.reduceat(is_positive, starts, dtype=np.int64)
    down = size - up
    m, n = int(up.sum()), int(down.sum())
    beaten = (np.cumsum(down) - down / 2) / n
    beating = (m - np.cumsum(up) + up / 2) / m
    found = np.empty(len(score))
    found[order] = np.where(is_positive, np.repeat(beaten, size), np.repeat(beating, size))
    return found


def auroc_of(score: Floats, positive: Bools) -> Auroc:
    """AUROC and influences of patients of both classes."""
    placed = placements(score, positive)
    m = int(positive.sum())
    n = len(positive) - m
    value = float(placed[positive].mean())
    scale = np.where(positive, np.sqrt(m * max(m - 1, 1)), np.sqrt(n * max(n - 1, 1)))
    return Auroc(value, (placed - value) / scale)


def estimate_auroc(score: npt.ArrayLike, positive: npt.ArrayLike) -> Outcome:
    """AUROC with a 95 % score-type interval, `score_interval`; `Undefined` without patients of both classes.

    Raises `DataError` for scores that are not finite and labels that are not 0 or 1.

    >>> found = evaluation.estimate_auroc([0.9, 0.8, 0.4, 0.2], [1, 0, 1, 0])
    >>> found.value  # 3 of 4 pairs of a positive and a negative patient are in order
    0.75
    """
    score, positive = checking.scored(score, positive)
    n, events = len(score), int(positive.sum())
    if reason := checking.lacking(positive):
        return Undefined("auroc", reason, n, events)
    found = auroc_of(score, positive)
    low, high = score_interval(found.value, found.variance, events, n - events)
    method = "95 % score-type interval (Newcombe 2006, method 5) scaled by DeLong's variance"
    return Estimate("auroc", found.value, low, high, n, events, method, convention=TIES)


def score_interval(value: float, variance: float, positives: int, negatives: int) -> tuple[float, float]:
    """The AUROCs that `value` does not contradict at 5 %: ``|value - true| <= z sd(true)``.

    ``sd(true)`` is Newcombe's (2006, method 5), scaled by how DeLong's `variance` compares with it at `value`. The
    ratio counts for as many patients as the smaller class has, a ratio of 1 for `PRIOR`; an AUROC of 0 or 1 has none.
    """
    expected = newcombe_variance(value, positives, negatives)
    smaller = min(positives, negatives)
    known = 0 < value < 1 and smaller > 1
    scale = (PRIOR + smaller * variance / expected) / (PRIOR + smaller) if known else 1.0

    def surprise(true: float) -> float:
        return (true - value) ** 2 - Z95**2 * scale * newcombe_variance(true, positives, negatives)

    return _crossing(surprise, 0.0, value), _crossing(surprise, 1.0, value)


def newcombe_variance(value: float, positives: int, negatives: int) -> float:
    """Variance of an AUROC whose scores are exponentially distributed, with both classes of their mean size."""
    spare = (positives + negatives) / 2 - 1
    inner = 1 + spare * ((1 - value) / (2 - value) + value / (1 + value))
    return value * (1 - value) * inner / (positives * negatives)


def _crossing(surprise: Callable[[float], float], outside: float, inside: float) -> float:
    """Where `surprise` changes sign, from positive at `outside` to not positive at `inside`, by bisection."""
    if surprise(outside) <= 0:
        return outside
    for _ in range(60):
        middle = (outside + inside) / 2
        outside, inside = (middle, inside) if surprise(middle) > 0 else (outside, middle)
    return inside


def auroc_difference(score_a: npt.ArrayLike, score_b: npt.ArrayLike, positive: npt.ArrayLike) -> Outcome:
    """AUROC of a minus that of b on the same patients, with DeLong's 95 % interval and p-value.

    Raises `DataError` where lengths differ, else as `estimate_auroc`.

    >>> found = evaluation.auroc_difference(probability, 1 - probability, positive)
    >>> found.value > 0, found.p < 0.001
    (True, True)
    """
    score_a, positive = checking.scored(score_a, positive)
    score_b, _ = checking.scored(score_b, positive)
    n, events = len(positive), int(positive.sum())
    if reason := checking.lacking(positive):
        return Undefined("auroc", reason, n, events)
    a, b = auroc_of(score_a, positive), auroc_of(score_b, positive)
    method = "paired difference; 95 % interval and p-value by DeLong"
    return from_influence("auroc", a.value - b.value, a.influence - b.influence, n, events, method, TIES)


def from_influence(
    metric: str, value: float, influence: Floats, n: int, events: int | None, method: str, convention: str = ""
) -> Estimate:
    """A difference whose variance is the sum of squared influences; normal interval, p-value against 0."""
    se = float(np.sqrt(influence @ influence))
    p = float(2 * ndtr(-abs(value) / se)) if se > 0 else float(value == 0)
    return Estimate(metric, value, value - Z95 * se, value + Z95 * se, n, events, method, convention=convention, p=p)
