"""How far predicted numbers are from the true ones.

``counts``, shape ``(..., patients)``, says how often each patient is there (once, when left out); results have shape
``(...)`` and are NaN where undefined.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fusiondx.evaluation.ratio import ratio

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.floating[Any]]


def mean_squared_error(value: Array, truth: Array, counts: Array | None = None) -> Floats:
    """In the unit of the number, squared."""
    return mean((value - truth) ** 2, counts)


def mean_absolute_error(value: Array, truth: Array, counts: Array | None = None) -> Floats:
    """In the unit of the number."""
    return mean(np.abs(value - truth), counts)


def r_squared(value: Array, truth: Array, counts: Array | None = None) -> Floats:
    """Share of the variance explained, 1 - squared error / variance; undefined where all truths are equal."""
    centred = truth - np.median(truth)  # exactly 0 where all are equal
    square, centre = mean(centred**2, counts), mean(centred, counts)
    variance = square - centre**2
    # Of equal truths rounding may leave a variance that is not quite 0
    variance = np.where(variance > 1e-12 * square, variance, 0.0)
    return 1 - ratio(mean_squared_error(value, truth, counts), variance)


def mean(terms: Floats, counts: Array | None) -> Floats:
    """Over patients."""
    weight = np.ones(len(terms)) if counts is None else np.asarray(counts, dtype=np.float64)
    return ratio(weight @ terms, weight.sum(axis=-1))
