"""Competing risks: the probability that one of several events comes first, and has come by a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fusiondx.survival.estimators import Curve, life_table

Floats = npt.NDArray[np.floating[Any]]


def incidence(time: npt.ArrayLike, event: npt.ArrayLike, cause: int = 1) -> Curve:
    """Cumulative incidence of `cause` (Aalen & Johansen 1978), at each time at which it happened.

    ``event`` is 0 where censored, else the number of what happened; both have shape ``(patients,)``. Without other
    causes it is 1 - Kaplan-Meier. The variance is that of the delta method (Marubini & Valsecchi 1995), which is
    Greenwood's then.
    """
    happened = np.asarray(event)
    any_table, table = life_table(time, happened != 0), life_table(time, happened == cause)
    step = any_table.events > 0
    present, gone, ours = any_table.at_risk[step], any_table.events[step], table.events[step]
    before = np.concatenate([[1.0], np.cumprod(1 - gone / present)])[: len(gone)]
    values = np.cumsum(before * ours / present)
    variance = _variance(values, before, present, gone, ours)
    shown = ours > 0
    return Curve(any_table.times[step][shown], values[shown], variance[shown], start=0.0)


def _variance(values: Floats, before: Floats, present: Floats, gone: Floats, ours: Floats) -> Floats:
    """Sum over earlier times u of (F(t) - F(u))^2 a + b - 2 (F(t) - F(u)) c, as running sums."""
    stay = present * (present - gone)
    # Where all who were left go at once, the incidence no longer changes
    a = np.divide(gone, stay, out=np.zeros_like(gone), where=stay > 0)
    b = before**2 * ours * (present - ours) / present**3
    c = before * ours / present**2
    square, line, rest = (np.cumsum(x) for x in (a, a * values + c, a * values**2 + b + 2 * c * values))
    return np.asarray(np.maximum(values**2 * square - 2 * values * line + rest, 0.0))
