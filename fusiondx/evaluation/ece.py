"""Expected calibration error, without the part that chance alone puts there. Secondary: it depends on bins."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from fusiondx.evaluation import checking
from fusiondx.evaluation.estimate import Estimate, Outcome, Undefined

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
BINS = 15
REPLICATES = 1000


def estimate_ece(
    probability: npt.ArrayLike,
    positive: npt.ArrayLike,
    patient: Array | None = None,
    *,
    bins: int = BINS,
    seed: int = 0,
) -> Outcome:
    """Mean distance of observed and predicted risk over bins of equally many patients (Guo et al. 2017), debiased.

    A bin's distance is that of a risk which varies by chance, so it is above 0 where predictions are perfect. What
    chance adds to it, if it varies as a normal number would, is taken off (Kumar et al. 2019). The interval draws bins'
    risks so and turns distances round; within 0 and 1. `patient` says whose each row is, where patients are in several:
    chance then counts patients, not rows. `Undefined` without patients; raises `DataError` for what is no probability
    or label, and for another number of rows in `patient`.

    >>> round(evaluation.estimate_ece(probability, positive, bins=10).value, 3)
    0.037
    """
    probability, positive = checking.forecast(probability, positive)
    n, events = checking.counts(positive, patient)
    if not n:
        return Undefined("ece", "no patients", 0, 0)
    gap, deviation, weight = _bins(probability, positive, bins)
    deviation = deviation * np.sqrt(len(positive) / n)
    plain = float(weight @ np.abs(gap))
    value = max(plain - (float(weight @ _folded(gap, deviation)) - plain), 0.0)
    drawn = gap + deviation * np.random.default_rng(seed).standard_normal((REPLICATES, len(gap)))
    low, high = 2 * plain - np.quantile(np.abs(drawn) @ weight, [0.975, 0.025])
    method = f"95 % basic interval from {REPLICATES} draws of the bins' risks"
    low, high = min(max(float(low), 0.0), value), min(max(float(high), value), 1.0)
    convention = f"probability of the positive class, {len(gap)} bins of equally many patients, debiased"
    return Estimate("ece", value, low, high, n, events, method, convention=convention)


def _bins(probability: Floats, positive: npt.NDArray[np.bool_], bins: int) -> tuple[Floats, Floats, Floats]:
    """Each bin's observed minus predicted risk, its standard error and its share of patients."""
    cuts = np.unique(np.quantile(probability, np.linspace(0, 1, bins + 1)[1:-1]))
    _, place = np.unique(np.searchsorted(cuts, probability, side="left"), return_inverse=True)
    size = np.bincount(place)
    observed, predicted = (np.bincount(place, weights=values) / size for values in (positive, probability))
    shrunk = (observed * size + 0.5) / (size + 1)  # a bin of one class varies too
    return observed - predicted, np.sqrt(shrunk * (1 - shrunk) / size), size / len(probability)


def _folded(mean: Floats, deviation: Floats) -> Floats:
    """Mean distance from 0 of normal numbers."""
    ratio = mean / deviation
    return np.asarray(deviation * np.sqrt(2 / np.pi) * np.exp(-(ratio**2) / 2) + mean * (1 - 2 * ndtr(-ratio)))
