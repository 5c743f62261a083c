"""Dates and numbers in time order: when patients came, from a column of either."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt

from fusiondx.data.reading import gaps, parsed
from fusiondx.errors import ConfigError, DataError, counted, listed

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
ISO = re.compile(r"\d{4}-\d{2}-\d{2}")


def days(written: Array) -> Floats:
    """ISO dates (``2015-03-31``, what follows is ignored) as days since 1970; NaN for what is none."""
    found: Floats = np.full(len(written), np.nan)
    for place, cell in enumerate(written):
        day = ISO.match(str(cell))
        if day:
            try:
                found[place] = np.datetime64(day.group(), "D").astype(np.int64)
            except ValueError:  # a 31st of February
                continue
    return found


def moments(written: Array) -> tuple[Floats, bool]:
    """Cells as numbers, or as days where they are dates, and whether they are; NaN for gaps and for what is neither."""
    blank = gaps(written)
    numbers = np.where(blank, np.nan, parsed(written))
    if np.isfinite(numbers[~blank]).all() and not blank.all():
        return numbers, False
    return np.where(blank, np.nan, days(written)), True


def complete_moments(written: Array, ids: Array, column: str) -> tuple[Floats, bool]:
    """As `moments`. Raises `DataError` that names patients without one."""
    found, dated = moments(written)
    lacking = ids[~np.isfinite(found)]
    if len(lacking):
        raise DataError(
            f"Column '{column}': {counted(len(lacking), 'patient')} with neither a number nor a date such as "
            f"2015-03-31: {listed(lacking)}. Complete it, or leave them out first."
        )
    return found, dated


def moment(at: float | str, dated: bool, column: str) -> float:
    """A time to split at, in the unit of its column. Raises `ConfigError` where it is of the other kind."""
    found = days(np.array([at], dtype=object))[0] if dated else parsed(np.array([at], dtype=object))[0]
    if not np.isfinite(found):
        kind = "dates: give one such as '2015-03-31'" if dated else "numbers: give one"
        raise ConfigError(f"Column '{column}' holds {kind}, to split at.")
    return float(found)
