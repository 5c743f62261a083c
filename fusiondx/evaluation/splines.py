"""Restricted cubic splines: smooth, few, and straight where patients are few."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
AT = (0.05, 0.35, 0.65, 0.95)
"""Percentiles of four knots (Harrell 2015)."""


def spline_knots(x: Floats) -> Floats:
    """Four knots at percentiles of `x`; none where any two coincide."""
    knots = np.quantile(x, AT)
    return np.asarray(knots) if (np.diff(knots) > 1e-8 * np.ptp(x)).all() else np.empty(0)


def restricted_cubic(x: Floats, knots: Floats) -> Floats:
    """`x` and its natural cubic spline terms, ``(len(x), 1 + len(knots) - 2)``; without knots `x` alone.

    The truncated power basis, divided by the squared distance of the outer knots (Durrleman & Simon 1989; Harrell
    2015): cubic between knots, a line beyond the outer ones.
    """
    if not len(knots):
        return x[:, None]
    last, before = knots[-1], knots[-2]
    above = np.maximum(x[:, None] - knots, 0.0)
    cubes = above * above * above
    inner = cubes[:, :-2]
    inner = inner - cubes[:, [-2]] * (last - knots[:-2]) / (last - before)
    inner = inner + cubes[:, [-1]] * (before - knots[:-2]) / (last - before)
    return np.column_stack([x, inner / (last - knots[0]) ** 2])
