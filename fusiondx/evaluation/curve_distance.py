"""How far a calibration curve lies from the diagonal, with intervals: ICI, E50, E90 and Emax.

All four are above 0 even for perfect predictions, by chance alone, so neither quantiles of curves drawn around the
fitted one nor the same turned round cover: the former lie too high, the latter are cut off at 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
NAMES = ("ici", "e50", "e90", "emax")
DRAWS = 400
"""Curves drawn around each supposed truth."""
PLACES = 100
"""Quantiles of the predictions at which curves are compared."""
BEYOND = 5.0
"""How many standard errors past the fitted curve truths are supposed."""
METHOD = f"95 % interval by inverting a test, {DRAWS} curves drawn around each supposed truth"


def distances(gap: Floats) -> Floats:
    """Mean, median, 90th percentile and maximum over the last axis; they come first in the result."""
    gap = np.sort(gap, axis=-1)
    last = gap.shape[-1] - 1
    below, part = np.divmod(np.array([0.5, 0.9]) * last, 1)
    low, high = below.astype(int), np.minimum(below.astype(int) + 1, last)
    middle = gap[..., low] * (1 - part) + gap[..., high] * part
    return np.stack([gap.mean(axis=-1), middle[..., 0], middle[..., 1], gap[..., -1]])


def judged_distances(
    predicted: Floats,
    design: Callable[..., Floats],
    chance: Callable[..., Floats],
    fitted: Floats,
    covariance: Floats,
    seed: int = 0,
) -> tuple[Floats, Floats, Floats]:
    """The four distances over all predictions, and both ends of their 95 % intervals, each ``(4,)``.

    The curve is ``chance(design(p) @ coefficients)``, whose first two columns are 1 and the transformed prediction, so
    that coefficients 0, 1, 0, ... are the diagonal; `covariance` is of those `fitted`, and where it is not finite the
    intervals are 0 to 1. Truths are supposed on the line from the diagonal through the fitted curve, its bends shrunk,
    and beyond. In the interval are the distances of those that give one as small as that observed in 2.5 % of draws or
    more, and one as large (a test inverted along a family of one parameter, as Hansen 1999).
    """
    values = distances(np.abs(chance(design(predicted) @ fitted) - predicted))
    if not np.isfinite(covariance).all() or not np.isfinite(fitted).all():
        return values, np.zeros_like(values), np.ones_like(values)
    places = (np.arange(PLACES) + 0.5) / PLACES
    some = predicted if len(predicted) <= PLACES else np.quantile(predicted, places)
    columns, regular = design(some), _regular(covariance)
    perfect, root = np.eye(len(fitted))[1], np.linalg.cholesky(regular)
    away = _straightened(fitted, regular) - perfect
    errors = float(np.linalg.norm(np.linalg.solve(root, away)))
    if errors < 1e-6:  # on the diagonal itself any direction is as good
        away, errors = root[:, 0] * 1e-6, 1e-6
    near = max(errors - BEYOND, 0.0)
    steps = np.unique([0, near / 2, *np.linspace(near, errors, 9), *np.linspace(errors, errors + BEYOND, 15)])
    noise = columns @ root @ np.random.default_rng(seed).standard_normal((len(fitted), DRAWS))
    seen = distances(np.abs(chance(columns @ fitted) - some))
    truth, smaller, larger = (np.empty((len(steps), len(NAMES))) for _ in range(3))
    for row, step in enumerate(steps):
        line = columns @ (perfect + away * (step / errors))
        truth[row] = distances(np.abs(chance(line) - some))
        drawn = distances(np.abs(chance(line[:, None] + noise) - some[:, None]).T)
        smaller[row], larger[row] = ((drawn <= seen[:, None]).mean(axis=1), (drawn >= seen[:, None]).mean(axis=1))
    truth[0] = 0.0  # the diagonal, but for rounding
    low = np.array([_first(truth[:, k], larger[:, k]) for k in range(len(NAMES))])
    high = np.array([_first(truth[::-1, k], smaller[::-1, k]) for k in range(len(NAMES))])
    return values, np.minimum(low, values), np.maximum(high, values)


def _straightened(fitted: Floats, covariance: Floats) -> Floats:
    """Coefficients with those of the bends shrunk, as James & Stein (1961): a fitted curve bends more than the truth.

    The line beneath is that which fits best with such bends.
    """
    bends = slice(2, None)
    if len(fitted) == 2:
        return fitted
    pull = np.linalg.solve(covariance[bends, bends], fitted[bends])
    square = float(fitted[bends] @ pull)
    kept = max(0.0, 1 - (len(fitted) - 2) / square) if square > 0 else 1.0
    return np.asarray(fitted - (1 - kept) * covariance[:, bends] @ pull)


def _regular(covariance: Floats) -> Floats:
    """One that has a root, also of columns that hardly differ."""
    scale = np.sqrt(np.maximum(np.diag(covariance), np.finfo(np.float64).tiny))
    return np.asarray(covariance + 1e-8 * np.diag(scale**2))


def _first(truth: Floats, share: Floats) -> float:
    """Where `share` first reaches 2.5 %, between the supposed truths."""
    at = int(np.argmax(share >= 0.025))
    if at == 0:
        return float(truth[0])
    return float(np.interp(0.025, share[at - 1 : at + 1], truth[at - 1 : at + 1]))
