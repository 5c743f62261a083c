"""Non-parametric estimators of survival, in NumPy.

Throughout, ``time`` and ``event`` (0/1) have shape ``(patients,)``, and ``counts`` of the same shape says how often
each patient is there (once, when left out). A patient censored at an event time is at risk then.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Curve:
    """A step function of time, with its variance."""

    times: Floats
    """Distinct times at which it steps, ascending. Shape ``(times,)``."""
    values: Floats
    """Value from each of `times` on, that time included. Shape ``(times,)``."""
    variance: Floats
    """Variance of each value. Shape ``(times,)``."""
    start: float
    """Value before the first step."""

    def at(self, times: npt.ArrayLike) -> Floats:
        """Values at `times`; flat after the last step."""
        step = np.searchsorted(self.times, np.asarray(times), side="right")
        return np.concatenate([[self.start], self.values])[step]

    def before(self, times: npt.ArrayLike) -> Floats:
        """Values just before `times`."""
        step = np.searchsorted(self.times, np.asarray(times), side="left")
        return np.concatenate([[self.start], self.values])[step]


@dataclass(frozen=True)
class LifeTable:
    """What happened at each distinct time, ascending; all of shape ``(times,)``."""

    times: Floats
    events: Floats
    censored: Floats
    at_risk: Floats
    """Patients neither gone nor censored before that time."""


def life_table(time: npt.ArrayLike, event: npt.ArrayLike, counts: npt.ArrayLike | None = None) -> LifeTable:
    """Events, censorings and patients at risk at each distinct time."""
    times, place = np.unique(np.asarray(time, dtype=np.float64), return_inverse=True)
    weight = np.ones(len(place)) if counts is None else np.asarray(counts, dtype=np.float64)
    everyone: Floats = np.bincount(place, weight, len(times)).astype(np.float64)
    events: Floats = np.bincount(place, weight * np.asarray(event, dtype=bool), len(times)).astype(np.float64)
    return LifeTable(times, events, everyone - events, at_risk=np.cumsum(everyone[::-1])[::-1])


def at_risk(time: npt.ArrayLike, at: npt.ArrayLike) -> Ints:
    """Number of patients still under observation at each of `at` (those whose time is not before it)."""
    times = np.sort(np.asarray(time, dtype=np.float64))
    return np.asarray(len(times) - np.searchsorted(times, np.asarray(at), side="left"))


def kaplan_meier(time: npt.ArrayLike, event: npt.ArrayLike, counts: npt.ArrayLike | None = None) -> Curve:
    """Probability to be event-free beyond each event time (Kaplan & Meier 1958), with Greenwood's variance."""
    table = life_table(time, event, counts)
    return _product_limit(table.times, table.events, table.at_risk)


def censoring(time: npt.ArrayLike, event: npt.ArrayLike, counts: npt.ArrayLike | None = None) -> Curve:
    """Probability not to be censored up to each censoring time: Kaplan-Meier with the roles swapped.

    Events leave the risk set before censorings at the same time, so that with weights 1/``before(time)`` for events
    and 1/``at(t)`` for survivors the weights of all patients sum to their number (the convention of R's
    riskRegression and pec).
    """
    table = life_table(time, event, counts)
    return _product_limit(table.times, table.censored, table.at_risk - table.events)


def nelson_aalen(time: npt.ArrayLike, event: npt.ArrayLike, counts: npt.ArrayLike | None = None) -> Curve:
    """Cumulative hazard at each event time (Nelson 1972, Aalen 1978), with Aalen's variance."""
    table = life_table(time, event, counts)
    step = table.events > 0
    gone, present = table.events[step], table.at_risk[step]
    return Curve(table.times[step], np.cumsum(gone / present), np.cumsum(gone / present**2), start=0.0)


def breslow(log_hazard: npt.ArrayLike, time: npt.ArrayLike, event: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Cumulative hazard of a patient of log hazard 0 (Breslow 1972): (distinct event times, cumulative hazard).

    Summed in log space, so large log hazards do no harm; a result beyond float64 is cut off at its largest number.
    """
    time = np.asarray(time, dtype=np.float64)
    order = np.argsort(-time, kind="stable")
    at_risk = np.logaddexp.accumulate(np.asarray(log_hazard, dtype=np.float64)[order])
    table = life_table(time, event)
    step = table.events > 0
    last = np.searchsorted(-time[order], -table.times[step], side="right") - 1
    log_total = np.logaddexp.accumulate(np.log(table.events[step]) - at_risk[last])
    return table.times[step], np.exp(np.minimum(log_total, np.log(np.finfo(np.float64).max)))


def _product_limit(times: Floats, gone: Floats, present: Floats) -> Curve:
    step = gone > 0
    times, gone, present = times[step], gone[step], present[step]
    values = np.cumprod(1 - gone / present)
    stay = present - gone
    # Where all who were left go at once the value is 0, and so is its variance
    terms = np.divide(gone, present * stay, out=np.zeros_like(gone), where=stay > 0)
    return Curve(times, values, values**2 * np.cumsum(terms), start=1.0)
