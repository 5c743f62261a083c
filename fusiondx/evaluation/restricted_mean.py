"""Restricted mean survival time: event-free time to expect by a horizon."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from fusiondx.errors import DataError, counted
from fusiondx.evaluation.estimate import Estimate, Outcome, Undefined
from fusiondx.evaluation.observed import groups_of, moment, outcomes
from fusiondx.evaluation.proportions import Z95
from fusiondx.survival.estimators import kaplan_meier, life_table

Floats = npt.NDArray[np.floating[Any]]
METHOD = "area under Kaplan-Meier; variance of the product-limit integral"


def restricted_mean(time: npt.ArrayLike, event: npt.ArrayLike, tau: float | None = None) -> Outcome:
    """Mean time without the event by `tau`, in the unit of time (Royston & Parmar 2013), with a 95 % interval.

    `tau` is the last time observed where left out. The variance is that of R's ``survfit`` (Irwin 1949; Meier 1975).
    `Undefined` without patients, or where `tau` is beyond the last time and survival then not 0. Raises `DataError` for
    input that cannot be judged.
    """
    times, events = outcomes(time, event)
    end = _last(times) if tau is None else moment(tau, "tau")
    if reason := _hidden(times, events == 1, end):
        return Undefined("restricted_mean", reason, len(times), int((events == 1).sum()))
    mean, variance = _area(times, events == 1, end)
    return _said("restricted_mean", mean, variance, events, end, METHOD)


def restricted_mean_difference(
    time: npt.ArrayLike, event: npt.ArrayLike, group: npt.ArrayLike, tau: float | None = None
) -> Outcome:
    """Restricted mean of the second of two groups minus that of the first, with interval and `p` (Uno et al. 2014).

    `group`, ``(patients,)``, holds two values; `tau` left out is the earlier of the groups' last times. `Undefined`
    with fewer groups; raises `DataError` for more; else as `restricted_mean`.
    """
    times, events = outcomes(time, event)
    names, member = groups_of(group, len(times))
    if len(names) > 2:
        raise DataError(f"A difference needs two groups; there are {len(names)}. Choose two.")
    if len(names) < 2:
        said = f"{counted(len(times), 'patient')} in fewer than two groups"
        return Undefined("restricted_mean_difference", said, len(times), int((events == 1).sum()))
    parts = [(times[member == g], events[member == g] == 1) for g in (0, 1)]
    end = min(_last(t) for t, _ in parts) if tau is None else moment(tau, "tau")
    for number, part in enumerate(parts, start=1):
        if reason := _hidden(*part, end):
            said = f"group {number}: {reason}"
            return Undefined("restricted_mean_difference", said, len(times), int((events == 1).sum()))
    (first, first_variance), (second, second_variance) = (_area(*part, end) for part in parts)
    method = f"difference of two groups; {METHOD}"
    return _said("restricted_mean_difference", second - first, first_variance + second_variance, events, end, method)


def _last(time: Floats) -> float:
    return float(time.max(initial=0.0))


def _hidden(time: Floats, happened: npt.NDArray[np.bool_], tau: float) -> str:
    """Why the area up to `tau` is not known; empty where it is."""
    if not len(time):
        return "no patients"
    last = _last(time)
    alive = kaplan_meier(time, happened).at(last) > 0
    return (
        f"follow-up of {counted(len(time), 'patient')} ends at {last:g}, before {tau:g}" if alive and tau > last else ""
    )


def _area(time: Floats, happened: npt.NDArray[np.bool_], tau: float) -> tuple[float, float]:
    """The area under Kaplan-Meier up to `tau`, and its variance."""
    curve, table = kaplan_meier(time, happened), life_table(time, happened)
    kept = curve.times < tau
    steps = np.diff(np.concatenate([[0.0], curve.times[kept], [tau]]))
    areas = steps * np.concatenate([[1.0], curve.values[kept]])
    rest = areas[::-1].cumsum()[::-1][1:]
    gone, present = (x[table.events > 0][kept] for x in (table.events, table.at_risk))
    stay = present * (present - gone)
    terms = np.divide(gone, stay, out=np.zeros_like(gone), where=stay > 0)
    return float(areas.sum()), float(rest**2 @ terms)


def _said(metric: str, value: float, variance: float, event: Any, tau: float, method: str) -> Estimate:
    error = float(np.sqrt(variance))
    p = float(2 * ndtr(-abs(value) / error)) if error > 0 else float(value == 0)
    tested = p if metric.endswith("difference") else None
    happened = int((event == 1).sum())
    return Estimate(
        metric, value, value - Z95 * error, value + Z95 * error, len(event), happened, method, tau, p=tested
    )
