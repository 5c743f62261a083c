"""From what each patient adds to a metric to its interval, and to the difference of two models.

The derivative of a metric in the weight of each patient says how it would move were that patient counted a little more
often. The sum of its squares estimates the metric's variance (infinitesimal jackknife: Jaeckel 1972; Efron 1982),
without resampling and without a model of the outcome. Derivatives of two models on the same patients subtract, so the
same sum gives the variance of a paired difference.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr, stdtrit

from fusiondx.errors import DataError
from fusiondx.evaluation.estimate import Estimate, Outcome, Undefined
from fusiondx.evaluation.proportions import effective_wilson

Floats = npt.NDArray[np.floating[Any]]
Scale = Literal["plain", "share", "log", "complement"]


@dataclass(frozen=True)
class Influence:
    """A metric's value, and its derivative in the weight of each patient."""

    metric: str
    value: float
    each: Floats
    """Shape ``(patients,)``; sums to 0."""
    events: int
    scale: Scale = "plain"
    """Where the interval is symmetric: as it is, by score for shares from 0 to 1, by logarithm for what is positive, by
    that of its complement for what is at most 1."""
    horizon: float | None = None
    threshold: float | None = None
    convention: str = ""
    rarer: int | None = None
    """Patients of the rarer kind, of whom the variance is learnt; `events` where left out."""

    @property
    def standard_error(self) -> float:
        """Of `value`."""
        return float(np.sqrt(np.sum(self.each**2)))

    @property
    def quantile(self) -> float:
        """Of Student's t with a degree of freedom less than `rarer`: few patients tell little of the variance."""
        return float(stdtrit(self._degrees, 0.975))

    @property
    def p(self) -> float:
        """Two-sided, that `value` is 0."""
        if self.standard_error == 0:
            return 1.0 if self.value == 0 else 0.0
        return float(2 * stdtr(self._degrees, -abs(self.value) / self.standard_error))

    @property
    def _degrees(self) -> int:
        return max((self.events if self.rarer is None else self.rarer) - 1, 1)


Judged = Influence | Undefined
"""What a metric makes of some patients, before it is given an interval or compared."""


def estimate(judged: Judged) -> Outcome:
    """The metric with its 95 % interval, or why there is none.

    >>> from fusiondx.evaluation.concordance import harrell_c
    >>> from fusiondx.evaluation.influence import estimate
    >>> estimate(harrell_c([3, 2, 1], [1.0, 2.0, 3.0], [1, 1, 0])).value
    1.0
    """
    if isinstance(judged, Undefined):
        return judged
    low, high = _interval(judged)
    how = {
        "plain": "",
        "share": ", Wilson interval for an effective number of patients",
        "log": " on the log scale",
        "complement": " on the log scale of its distance from 1",
    }[judged.scale]
    return _said(judged, judged.value, low, high, f"infinitesimal jackknife{how}, {_student(judged)}")


def compare(a: Judged, b: Judged) -> Outcome:
    """Two models judged by one metric on the same patients in the same order: a minus b, with `p` of no difference.

    Raises `DataError` where metrics, numbers of patients, horizons, thresholds or conventions differ.

    >>> from fusiondx.evaluation.concordance import harrell_c
    >>> from fusiondx.evaluation.influence import compare
    >>> found = compare(harrell_c(risk, time, event), harrell_c(-risk, time, event))
    >>> found.value > 0
    True
    """
    for judged in (a, b):
        if isinstance(judged, Undefined):
            return judged
    assert isinstance(a, Influence)
    assert isinstance(b, Influence)
    if _asked(a) != _asked(b):
        raise DataError("Two models can be compared only by one metric, horizon and convention on the same patients.")
    gap = replace(a, value=a.value - b.value, each=a.each - b.each, scale="plain")
    said = _said(gap, gap.value, *_interval(gap), f"paired difference; infinitesimal jackknife, {_student(gap)}")
    return replace(said, p=gap.p)


def _asked(judged: Influence) -> tuple[object, ...]:
    return (judged.metric, len(judged.each), judged.events, judged.horizon, judged.threshold, judged.convention)


def _said(judged: Influence, value: float, low: float, high: float, method: str) -> Estimate:
    about = judged.horizon, judged.threshold, judged.convention
    return Estimate(judged.metric, value, low, high, len(judged.each), judged.events, method, *about)


def _interval(judged: Influence) -> tuple[float, float]:
    value, wide = judged.value, judged.quantile * judged.standard_error
    if judged.scale == "share":
        return effective_wilson(value, judged.standard_error**2, max(judged.events, 1), z=judged.quantile)
    if judged.scale == "log" and value > 0:
        factor = _factor(wide / value)
        return value / factor, value * factor
    if judged.scale == "complement" and value < 1:
        factor = _factor(wide / (1 - value))
        return 1 - (1 - value) * factor, 1 - (1 - value) / factor
    return value - wide, value + wide


def _factor(wide: float) -> float:
    return float(np.exp(min(wide, 700.0)))


def _student(judged: Influence) -> str:
    return "t by events" if judged.rarer is None else f"t by {judged.rarer} patients of the rarer outcome"
