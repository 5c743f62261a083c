"""Inverse probability of censoring weights, and how they depend on the patients they are estimated from.

Whoever is seen to have the event by a horizon, or is still under observation then, stands also for those like them who
were censored before. The probability G not to be censored is a reverse Kaplan-Meier curve in which events leave the
risk set before censorings at the same time; events weigh 1 / G(T-), survivors 1 / G(t). With G from the patients
judged, weights at any horizon sum to their number (R's riskRegression and pec; Gerds & Schumacher 2006).

``event`` is 0 where censored, 1 where what is asked about happened, any other number where a competing event did.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from fusiondx.survival.estimators import LifeTable

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.integer[Any]]
Outcomes = tuple[npt.ArrayLike, npt.ArrayLike]
"""Times and events of some patients."""


@dataclass(frozen=True)
class Censoring:
    """The reverse Kaplan-Meier curve as seen from the patients judged."""

    time: Floats
    event: Ints
    table: LifeTable
    """Of the patients it is estimated from; only times at which someone was censored."""
    before: Ints
    """Per patient judged: how many of these times are before its own."""
    own: bool
    """Whether those are the patients judged."""
    end: float = np.inf
    """The last time of other patients it comes from, after which it is not known."""

    @classmethod
    def of(cls, time: npt.ArrayLike, event: npt.ArrayLike, train: Outcomes | None = None) -> Censoring:
        """For patients judged, estimated from `train` where given, else from themselves."""
        observed = np.asarray(time, dtype=np.float64), np.asarray(event)
        if train is not None:
            followed = np.asarray(train[0], dtype=np.float64)
            table, _ = _table(followed, np.asarray(train[1]))
            before = np.searchsorted(table.times, observed[0], side="left")
            return cls(*observed, table, before, own=False, end=float(followed.max(initial=0.0)))
        return cls(*observed, *_table(*observed), own=True)

    @cached_property
    def values(self) -> Floats:
        """1, then the probability not to be censored by each time of the table."""
        return np.concatenate([[1.0], np.cumprod(1 - self.table.censored / self.table.at_risk)])

    def until(self, horizon: float) -> int:
        """How many censoring times are not after `horizon`."""
        return int(np.searchsorted(self.table.times, horizon, side="right"))

    def at(self, horizon: float) -> float:
        """Probability not to be censored by `horizon`; 0 where it is not known."""
        return float(self.left(np.asarray(horizon)))

    def left(self, times: Floats) -> Floats:
        """Probability not to be censored by each of `times`; 0 where it is not known."""
        return np.where(times > self.end, 0.0, self.values[np.searchsorted(self.table.times, times, side="right")])

    @cached_property
    def inverse_before(self) -> Floats:
        """Per patient: 1 / G(T-); 0 where G is."""
        left = self.values[self.before]
        return np.divide(1.0, left, out=np.zeros_like(left), where=left > 0)

    @property
    def unknown(self) -> str:
        """From when on it is not known, in words."""
        return f"the follow-up of the patients G is estimated from ends at {self.end:g}"

    def last(self, least: float = 0.1) -> float:
        """The last event time with G >= `least`; before every time where there is none."""
        happened = self.time[self.event == 1]
        return float(happened[self.left(happened) >= least].max(initial=-np.inf))

    def spread(self, amount: Floats, steps: Ints) -> Floats:
        """Per patient i: the sum over j of ``amount[j]`` d log G_j / d weight of i, where G_j is the product of the
        first ``steps[j]`` factors. Zero where G comes from other patients."""
        if not self.own or not len(self.table.times):
            return np.zeros(len(self.time))
        total = np.bincount(steps, amount, len(self.table.times) + 1)
        beyond = total[::-1].cumsum()[::-1][1:]
        stay = self.table.at_risk - self.table.censored
        step = np.divide(beyond, stay, out=np.zeros_like(beyond), where=stay > 0)
        exposure = np.concatenate([[0.0], np.cumsum(step * self.table.censored / self.table.at_risk)])
        censored = self.event == 0
        result = exposure[self.before + censored]
        result[censored] -= step[self.before[censored]]
        return np.asarray(result)


def _table(time: Floats, event: Ints) -> tuple[LifeTable, Ints]:
    """Times of censoring, with events at them out of the risk set, and how many are before each patient's time."""
    order = np.argsort(time)
    ascending, censored = time[order], event[order] == 0
    starts = np.flatnonzero(np.concatenate([[True], ascending[1:] != ascending[:-1]])[: len(order)])
    sizes = np.diff(starts, append=len(order))
    gone = np.diff(np.concatenate([[0], np.cumsum(censored)])[np.append(starts, len(order))]).astype(np.float64)
    step = gone > 0
    left = len(order) - starts - sizes + gone  # at risk once events are out
    table = LifeTable(ascending[starts[step]], sizes[step] - gone[step], gone[step], left[step])
    before = np.empty_like(order)
    before[order] = np.repeat(np.cumsum(step) - step, sizes)
    return table, before


@dataclass(frozen=True)
class AtHorizon:
    """Patients as they stand at a horizon."""

    censoring: Censoring
    horizon: float

    @cached_property
    def free(self) -> npt.NDArray[np.bool_]:
        """Who is known to be event-free then."""
        return np.asarray(self.censoring.time > self.horizon)

    @cached_property
    def case(self) -> npt.NDArray[np.bool_]:
        """Who is known to have had the event by then."""
        return np.asarray(~self.free & (self.censoring.event == 1))

    @cached_property
    def weight(self) -> Floats:
        """Per patient; 0 for those censored before."""
        left = self.censoring.at(self.horizon)
        gone = np.where(self.censoring.event != 0, self.censoring.inverse_before, 0.0)
        return np.where(self.free, 1 / left if left > 0 else 0.0, gone)

    @cached_property
    def rarer(self) -> int:
        """Patients with the event by then, or those known to be without it, whichever are fewer."""
        return int(min(self.case.sum(), ((self.weight > 0) & ~self.case).sum()))

    def influence(self, gradient: Floats) -> Floats:
        """Derivative, in how often each patient counts, of a metric whose derivative in the weights is `gradient`."""
        steps = np.where(self.free, self.censoring.until(self.horizon), self.censoring.before)
        amount = gradient * self.weight
        return np.asarray(amount - self.censoring.spread(amount, steps))
