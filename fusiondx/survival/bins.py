"""Follow-up time in bins that hold equally many events, for models that do not take time as continuous."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fusiondx.errors import DataError

Floats = npt.NDArray[np.floating[Any]]

STEPS = 10
"""Points at which a curve is given within each bin."""


def event_quantiles(time: npt.ArrayLike, event: npt.ArrayLike, bins: int) -> Floats:
    """Where bins end, ascending, shape ``(bins,)``: at quantiles of the event times, the last at the last event.

    Where ties would leave a bin without width, quantiles of the distinct event times. Raises `DataError` where nobody
    has an event after time 0.
    """
    at = np.asarray(time, dtype=np.float64)[np.asarray(event, dtype=bool)]
    if not (at > 0).any():
        raise DataError("Nobody has an event after time 0, so follow-up cannot be cut into bins. Check the times.")
    shares = np.arange(1, bins + 1) / bins
    ends = np.quantile(at, shares)
    if ends[0] <= 0 or (np.diff(ends) <= 0).any():
        ends = np.quantile(np.union1d([0.0], at), shares)
    return np.asarray(ends)


def bin_of(time: npt.ArrayLike, ends: Floats) -> npt.NDArray[np.int64]:
    """The bin of each time, its end included; ``len(ends)`` after the last."""
    return np.asarray(np.searchsorted(ends, np.asarray(time), side="left"), dtype=np.int64)


def middles(ends: Floats) -> Floats:
    """Where patients who are censored in a bin count as having lived through it (Gensheimer & Narasimhan 2019)."""
    return np.asarray((ends + np.concatenate([[0.0], ends[:-1]])) / 2)


def exposure(time: npt.ArrayLike, ends: Floats) -> Floats:
    """Time under observation in each bin; shape ``(patients, bins)``."""
    start = np.concatenate([[0.0], ends[:-1]])
    return np.asarray(np.clip(np.asarray(time, dtype=np.float64)[:, None], start, ends) - start)


def fine(ends: Floats) -> Floats:
    """`STEPS` times in each bin, its end included; shape ``(bins * STEPS,)``."""
    at = np.arange(len(ends) * STEPS + 1) / STEPS
    return np.asarray(np.interp(at, np.arange(len(ends) + 1), np.concatenate([[0.0], ends]))[1:])


def refined(values: Floats) -> Floats:
    """Values at the ends of bins, shape ``(..., bins)``, as values at the `fine` times: straight from 0 on."""
    before = np.concatenate([np.zeros_like(values[..., :1]), values[..., :-1]], axis=-1)
    share = np.arange(1, STEPS + 1) / STEPS
    between = before[..., None] + (values - before)[..., None] * share
    return np.asarray(between.reshape(*values.shape[:-1], -1))


def log_mean_hazard(hazard: Floats) -> Floats:
    """Log of the cumulative hazard, ``(patients, bins)``, averaged over bins: a score to rank patients by.

    Where hazards are proportional, differences of it are log hazard ratios.
    """
    return np.asarray(np.log(np.maximum(hazard.mean(axis=-1), np.finfo(np.float64).tiny)))
