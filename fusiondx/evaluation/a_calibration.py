"""Are survival curves calibrated as a whole? Cox-Snell residuals against what they should be, event by event.

A patient's cumulative hazard at its own time is exponential, censored where the patient is, if its curve is right. Of
patients in whom it passes an interval, then, as many should have the event there as the time spent in it amounts to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import chdtrc

from fusiondx.errors import counted
from fusiondx.evaluation.estimate import Undefined
from fusiondx.evaluation.observed import curves, outcomes

Floats = npt.NDArray[np.floating[Any]]
Bools = npt.NDArray[np.bool_]

EXPECTED = 5.0
"""Events expected at least in each bin."""


@dataclass(frozen=True)
class ACalibration:
    """A test that survival curves are calibrated, and where they are not."""

    chi2: float
    degrees: int
    p: float
    edges: Floats
    """Cumulative hazards between which each bin lies, from 0; the last is open. Shape ``(bins + 1,)``."""
    observed: Floats
    """Events in each bin. Shape ``(bins,)``."""
    expected: float
    """In each bin: it is the same in all."""
    n: int
    events: int


@dataclass(frozen=True)
class DCalibration:
    """How patients spread over ten equal parts of predicted survival probability; for a plot, not a test."""

    edges: Floats
    """Survival probabilities from 0 to 1. Shape ``(bins + 1,)``."""
    share: Floats
    """Of patients in each part; a tenth in each where curves are calibrated. Shape ``(bins,)``."""
    n: int
    events: int


def a_calibration(
    survival: npt.ArrayLike, times: npt.ArrayLike, time: npt.ArrayLike, event: npt.ArrayLike, bins: int = 10
) -> ACalibration | Undefined:
    """A-calibration (Simonsen & Waagepetersen 2025; Akritas 1988), in bins of equal information.

    The sum over bins of (events observed - expected)^2 / expected is chi-squared with one degree of freedom per bin
    where curves come from other patients than those judged. Bins, at most `bins`, are cut where each expects the same
    number of events, five at least; equal widths would leave bins that expect next to none. `survival`,
    ``(patients, times)``, is as in `integrated_brier`; between `times` hazards are constant, and who is followed beyond
    the last is censored there. `Undefined` where fewer than five events are expected or a curve is 0 while the patient
    is followed. Raises `DataError` for input that cannot be judged.
    """
    residual, happened = residuals(survival, times, time, event)
    said = len(residual), int(happened.sum())
    if not np.isfinite(residual).all():
        sure = counted(int(np.isinf(residual).sum()), "patient")
        return Undefined("a_calibration", f"{sure} predicted to have no survival left while followed", *said)
    number = min(bins, int(residual.sum() // EXPECTED))
    if number < 1:
        return Undefined(
            "a_calibration", f"{residual.sum():.1f} events expected in {counted(said[0], 'patient')}", *said
        )
    edges = equal_information(residual, number)
    place = np.searchsorted(edges[1:-1], residual[happened], side="left")
    observed, expected = np.bincount(place, minlength=number).astype(np.float64), float(residual.sum() / number)
    chi2 = float(np.sum((observed - expected) ** 2) / expected)
    return ACalibration(chi2, number, float(chdtrc(number, chi2)), edges, observed, expected, *said)


def d_calibration(
    survival: npt.ArrayLike, times: npt.ArrayLike, time: npt.ArrayLike, event: npt.ArrayLike, bins: int = 10
) -> DCalibration | Undefined:
    """D-calibration (Haider et al. 2020) as data of a plot; arguments and errors as `a_calibration`.

    A censored patient is shared among the parts its event may still fall in. That hides miscalibration, so that a test
    of it hardly ever rejects where many are censored: none is offered.
    """
    residual, happened = residuals(survival, times, time, event)
    if not len(residual):
        return Undefined("d_calibration", "no patients", 0, 0)
    left, edges = np.exp(-residual), np.linspace(0, 1, bins + 1)
    inside = (np.ceil(left * bins) - 1).clip(0).astype(np.int64)
    share = np.bincount(inside[happened], minlength=bins).astype(np.float64)
    censored = left[~happened, None]
    lowest = np.repeat(np.eye(1, bins), len(censored), axis=0)  # where all of them whose curve has reached 0 are
    share += np.divide(np.clip(censored - edges[:-1], 0, 1 / bins), censored, where=censored > 0, out=lowest).sum(
        axis=0
    )
    return DCalibration(edges, share / len(residual), len(residual), int(happened.sum()))


def residuals(
    survival: npt.ArrayLike, times: npt.ArrayLike, time: npt.ArrayLike, event: npt.ArrayLike
) -> tuple[Floats, Bools]:
    """Cox-Snell residuals, ``(patients,)``, and whether the event came by the last of `times`."""
    observed, events = outcomes(time, event)
    given, at = curves(survival, times, len(observed))
    if not len(at):
        return np.zeros(len(observed)), np.zeros(len(observed), dtype=bool)
    knots = np.concatenate([[0.0], at]) if at[0] > 0 else at
    full = np.concatenate([np.ones((len(given), 1)), given], axis=1) if at[0] > 0 else given
    hazard = np.full(full.shape, np.inf)
    np.log(full, out=hazard, where=full > 0)
    hazard = np.where(full > 0, -hazard, np.inf)
    end = np.minimum(observed, knots[-1])
    after = np.clip(np.searchsorted(knots, end, side="left"), 1, len(knots) - 1)
    row = np.arange(len(end))
    before = after - 1
    part = (end - knots[before]) / (knots[after] - knots[before])
    low, high = hazard[row, before], hazard[row, after]
    step = np.where(part > 0, np.subtract(high, low, where=np.isfinite(low), out=np.zeros_like(low)), 0.0)
    return low + step * np.where(part > 0, part, 1.0), (events == 1) & (observed <= knots[-1])


def equal_information(residual: Floats, bins: int) -> Floats:
    """Cumulative hazards between which equal numbers of events are expected; 0 first, infinite last."""
    ascending = np.sort(residual)
    remaining = len(ascending) - np.arange(len(ascending))
    expected = np.cumsum(np.diff(ascending, prepend=0.0) * remaining)
    wanted = expected[-1] * np.arange(1, bins) / bins
    return np.concatenate([[0.0], np.interp(wanted, np.append(0.0, expected), np.append(0.0, ascending)), [np.inf]])
