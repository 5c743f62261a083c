"""Shares of patients, and numbers made of them, with intervals that stay inside their range."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri, stdtrit

from fusiondx.evaluation.estimate import Estimate, Outcome, Undefined

Floats = npt.NDArray[np.float64]
Z95 = float(ndtri(0.975))
WILSON = "95 % Wilson score interval"


def quantile_of(patients: float) -> float:
    """Student's quantile for a variance learnt from so many patients of the smaller class; the normal one for many."""
    return float(stdtrit(max(patients - 1, 1), 0.975))


def quantile_by_tails(terms: Floats) -> float:
    """Student's quantile for the variance of a mean of `terms`, learnt from fewer the heavier their tails are.

    A variance of n terms of kurtosis k varies as one with ``2 n / (k - (n - 3) / (n - 1))`` degrees of freedom.
    """
    n, away = len(terms), terms - terms.mean()
    square = away * away
    spread = float(square.mean())
    kurtosis = float((square * square).mean()) / spread**2 if spread > 1e-150 else 0.0
    excess = kurtosis - (n - 3) / max(n - 1, 1)
    return float(stdtrit(max(2 * n / excess, 1.0), 0.975)) if excess > 1e-9 else Z95


def wilson(successes: npt.ArrayLike, n: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Both ends of the 95 % score interval of `successes` out of `n` > 0 patients (Wilson 1927), element by element."""
    hits, whole = np.asarray(successes, dtype=np.float64), np.asarray(n, dtype=np.float64)
    centre = (hits + Z95**2 / 2) / (whole + Z95**2)
    spread = Z95 / (whole + Z95**2) * np.sqrt(hits * (whole - hits) / whole + Z95**2 / 4)
    low = np.where(hits == 0, 0.0, centre - spread)  # exactly, where rounding would leave 1e-17
    return low, np.where(hits == whole, 1.0, centre + spread)


def proportion(
    metric: str, successes: float, n: float, *, lacks: str, events: int | None = None, threshold: float | None = None
) -> Outcome:
    """`successes` out of `n` patients, with Wilson's interval; `lacks` says what is missing where `n` is 0."""
    if n == 0:
        return Undefined(metric, lacks, 0, events)
    low, high = (float(end) for end in wilson(successes, n))
    return Estimate(metric, successes / n, low, high, int(n), events, WILSON, threshold=threshold)


def effective_wilson(
    value: float, variance: float, n: float, prior: float = 0.0, z: float = Z95
) -> tuple[float, float]:
    """Wilson's interval of a number between 0 and 1 that varies as a share of fewer, or more, than `n` patients would.

    With `prior`, the variance of a share of `n` patients is mixed in, counting for that many of them. `z` is the
    quantile to use.
    """
    expected = value * (1 - value) / n
    scale = (prior + n * variance / expected) / (prior + n) if expected > 1e-12 else 1.0
    size = n / max(scale, 1e-12)
    centre = (value * size + z**2 / 2) / (size + z**2)
    spread = z / (size + z**2) * np.sqrt(value * (1 - value) * size + z**2 / 4)
    return max(min(float(centre - spread), value), 0.0), min(max(float(centre + spread), value), 1.0)


def mean_interval(values: Floats, low: Floats, high: Floats) -> tuple[float, float]:
    """Interval of the mean of independent estimates with intervals of their own (MOVER: Zou & Donner 2008)."""
    centre, k = float(values.mean()), len(values)
    down = float(np.sqrt(((values - low) ** 2).sum())) / k
    up = float(np.sqrt(((high - values) ** 2).sum())) / k
    return centre - down, centre + up


def ratio_interval(hits: tuple[float, float], n: tuple[float, float]) -> tuple[float, float]:
    """Interval of the ratio of two independent shares, ``hits[0] / n[0]`` over ``hits[1] / n[1]``.

    From Wilson's interval of each (MOVER-R: Donner & Zou 2012); its upper end is infinite where the second interval
    reaches 0.
    """
    a, b = hits[0] / n[0], hits[1] / n[1]
    (a_low, b_low), (a_high, b_high) = wilson(hits, n)
    inner = max((a * b) ** 2 - a_low * b_high * (2 * a - a_low) * (2 * b - b_high), 0.0)
    low = _divided(a * b - np.sqrt(inner), b_high * (2 * b - b_high), a_low / b_high)
    outer = max((a * b) ** 2 - a_high * b_low * (2 * a - a_high) * (2 * b - b_low), 0.0)
    high = np.inf if b_low == 0 else _divided(a * b + np.sqrt(outer), b_low * (2 * b - b_low), np.inf)
    return max(float(low), 0.0), float(high)


def _divided(part: float, whole: float, otherwise: float) -> float:
    return part / whole if abs(whole) > 1e-14 else otherwise
