"""Ratios that may be undefined."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]


def ratio(part: npt.ArrayLike, whole: npt.ArrayLike) -> Floats:
    """`part` / `whole`, element by element; NaN, without a warning, where `whole` is not positive."""
    below = np.asarray(whole, dtype=np.float64)
    result: Floats = np.full(below.shape, np.nan)
    np.divide(part, below, out=result, where=below > 0)
    return result


def mean_of_defined(values: Floats) -> Floats:
    """Mean over the last axis of the entries that are not NaN; NaN, without a warning, where all are."""
    defined = ~np.isnan(values)
    return ratio(np.where(defined, values, 0.0).sum(axis=-1), defined.sum(axis=-1))
