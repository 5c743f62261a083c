"""Do predicted probabilities of an event by a horizon come true? In the large, by slope, by groups and smoothly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from fusiondx.errors import counted
from fusiondx.evaluation.curve_distance import METHOD, judged_distances
from fusiondx.evaluation.dynamic_auc import unreachable
from fusiondx.evaluation.estimate import Estimate, Outcome, Undefined
from fusiondx.evaluation.influence import Influence, Judged
from fusiondx.evaluation.observed import moment, outcomes, probabilities, scores
from fusiondx.evaluation.proportions import Z95, effective_wilson, quantile_of
from fusiondx.evaluation.splines import restricted_cubic, spline_knots
from fusiondx.survival.estimators import breslow
from fusiondx.survival.regression import cox_information, fit_cox
from fusiondx.survival.weights import AtHorizon, Censoring

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.floating[Any]]
Doubles = npt.NDArray[np.float64]

CERTAIN = 1e-8
"""By how much probabilities of 0 and 1 are moved inwards where their logarithm is needed."""

SHARE = "infinitesimal jackknife, Wilson interval and Student's t for an effective number of patients"
"""How a group's share and its interval are obtained."""

LEAST = 1e-6
"""Information per event, of a column of variance 1, below which predictions separate patients and fix nothing."""


@dataclass(frozen=True)
class CalibrationGroup:
    """Patients of like predicted probability."""

    predicted: float
    """Their mean probability of the event by the horizon."""
    observed: Outcome
    """Their share with the event by then."""


@dataclass(frozen=True)
class SmoothCalibration:
    """A calibration curve and its distance from the diagonal."""

    predicted: Floats
    """Probabilities, ascending. Shape ``(patients,)``."""
    observed: Floats
    """Share with the event by the horizon among patients of such a prediction. Shape ``(patients,)``."""
    ici: Outcome
    """Mean distance over patients (integrated calibration index)."""
    e50: float
    e90: float
    emax: float
    """Its median, 90 % quantile and maximum."""
    horizon: float


def observed_expected(probability: npt.ArrayLike, time: npt.ArrayLike, event: npt.ArrayLike, horizon: float) -> Judged:
    """O:E: the share of patients with the event by `horizon` over the mean of their predicted `probability` of it.

    The share is Kaplan-Meier's, or Aalen-Johansen's where there are competing events (numbers above 1). Below 1 a model
    promises too many events. Arrays have shape ``(patients,)``. Raises `DataError` for input that cannot be judged.
    """
    at, predicted = _stand(probability, time, event, horizon)
    n, expected = len(predicted), float(predicted.mean()) if len(predicted) else 0.0
    reason = unreachable(at) or ("" if expected > 0 else f"no event expected in {counted(n, 'patient')}")
    if reason:
        return Undefined("observed_expected", reason, n, int(at.case.sum()))
    ratio = float(at.weight @ at.case) / n / expected
    each = (at.influence(at.case / n) - ratio * predicted / n) / expected
    said = "Kaplan-Meier or Aalen-Johansen over mean prediction"
    return Influence("observed_expected", ratio, each, int(at.case.sum()), "log", at.horizon, convention=said)


def calibration_slope(log_hazard: npt.ArrayLike, time: npt.ArrayLike, event: npt.ArrayLike) -> Outcome:
    """Coefficient of a predicted log hazard in a Cox regression of the outcome (van Houwelingen 2000).

    1 where hazard ratios are right, less where they are too far apart, as after overfitting. Ties by Efron's method,
    Wald interval. `Undefined` without events, or where the prediction does not vary or separates all events.
    """
    times, events = outcomes(time, event)
    given, happened = scores(log_hazard, len(times)), events == 1
    said = len(times), int(happened.sum())
    if not happened.any() or np.ptp(given) == 0:
        reason = "all predictions are equal" if happened.any() else f"no events in {counted(len(times), 'patient')}"
        return Undefined("calibration_slope", reason, *said)
    slope = fit_cox(given[:, None], times, happened, 0.0)
    information = float(cox_information(given[:, None], times, happened, slope)[0, 0]) * float(given.var())
    if information < LEAST * happened.sum():
        return Undefined("calibration_slope", "predictions separate the patients with the event entirely", *said)
    error = float(np.sqrt(given.var() / information))
    value, method = float(slope[0]), "Cox regression, ties by Efron; Wald interval; p of a slope of 1"
    p = float(2 * ndtr(-abs(value - 1) / error))
    return Estimate("calibration_slope", value, value - Z95 * error, value + Z95 * error, *said, method, p=p)


def calibration_groups(
    probability: npt.ArrayLike, time: npt.ArrayLike, event: npt.ArrayLike, horizon: float, groups: int = 10
) -> tuple[CalibrationGroup, ...]:
    """Predicted and observed share with the event by `horizon` in groups cut at quantiles of `probability`.

    Equal predictions stay together, so there may be fewer groups. Observed shares are Kaplan-Meier's, or
    Aalen-Johansen's, with G of each group. Their interval is Wilson's for the number of patients that would vary as
    much; of that many as their weights amount to, (sum of weights)^2 / sum of squares (Kish 1965), where nothing
    varies, and with Student's quantile for these. Arguments and errors else as `observed_expected`.
    """
    everyone, predicted = _stand(probability, time, event, horizon)
    cuts = np.unique(np.quantile(predicted, np.arange(1, groups) / groups)) if len(predicted) else np.empty(0)
    member = np.searchsorted(cuts, predicted, side="left")
    times, events = everyone.censoring.time, everyone.censoring.event
    return tuple(
        CalibrationGroup(float(predicted[member == g].mean()), _share(times[member == g], events[member == g], horizon))
        for g in np.unique(member)
    )


def smooth_calibration(
    probability: npt.ArrayLike,
    time: npt.ArrayLike,
    event: npt.ArrayLike,
    horizon: float,
    seed: int = 0,
) -> SmoothCalibration | Undefined:
    """A smooth calibration curve at `horizon`, its ICI, E50, E90 and Emax (Austin, Harrell & van Klaveren 2020).

    Cox regression of the outcome on a restricted cubic spline of log(-log(1 - probability)), four knots, and Breslow's
    baseline hazard. A competing event counts as censoring, so that predictions are to be of the cause-specific kind.
    The ICI of few patients is biased upwards; its interval allows for that (`curve_distance`).
    """
    at, predicted = _stand(probability, time, event, horizon)
    happened = at.censoring.event == 1
    said = len(predicted), int(at.case.sum())
    reason = unreachable(at) or ("" if np.ptp(predicted) > 0 else "all predictions are equal")
    if reason:
        return Undefined("ici", reason, *said)
    inside = np.clip(predicted, CERTAIN, 1 - CERTAIN)
    curve = _Curve.of(inside, at.censoring.time, happened, at.horizon)
    order = np.argsort(inside, kind="stable")
    values, low, high = judged_distances(inside, curve.design, _chance, curve.coefficients, curve.covariance, seed)
    method = f"Cox regression on a restricted cubic spline; {METHOD}"
    convention = f"{counted(int((predicted != inside).sum()), 'prediction')} of 0 or 1 moved inwards by {CERTAIN:g}"
    ends, (e50, e90, emax) = (float(low[0]), float(high[0])), values[1:].tolist()
    ici = Estimate("ici", float(values[0]), *ends, *said, method, at.horizon, convention=convention)
    return SmoothCalibration(inside[order], curve.at(inside[order]), ici, e50, e90, emax, at.horizon)


@dataclass(frozen=True)
class _Curve:
    """The share with the event by a horizon as a function of its prediction."""

    knots: Doubles
    coefficients: Floats
    """Log cumulative hazard at the horizon where the columns are 0, then those of the columns."""
    covariance: Floats
    """Infinite where the outcomes leave them open."""

    @classmethod
    def of(cls, probability: Floats, time: Floats, happened: Array, horizon: float) -> _Curve:
        scale = _scale(probability)
        knots = spline_knots(scale)
        basis = restricted_cubic(scale, knots)
        beta = fit_cox(basis, time, happened, 0.0)
        log_hazard = basis @ beta
        times, hazard = breslow(log_hazard, time, happened)
        reached = np.concatenate([[0.0], hazard])[np.searchsorted(times, horizon, side="right")]
        covariance = _covariance(
            basis, log_hazard, time, happened, horizon, cox_information(basis, time, happened, beta)
        )
        return cls(knots, np.concatenate([[np.log(reached) if reached > 0 else -np.inf], beta]), covariance)

    def design(self, probability: Floats) -> Floats:
        columns = restricted_cubic(_scale(probability), self.knots)
        return np.column_stack([np.ones(len(columns)), columns])

    def at(self, probability: Floats) -> Floats:
        """The share observed among patients of such a prediction."""
        return _chance(self.design(probability) @ self.coefficients)


def _covariance(
    basis: Floats, log_hazard: Floats, time: Floats, happened: Array, horizon: float, information: Floats
) -> Floats:
    """Of the log cumulative hazard at a horizon and of Cox's coefficients (Tsiatis 1981)."""
    order = np.argsort(-time, kind="stable")
    hazard = np.exp(np.maximum(log_hazard - log_hazard.max(), -300))[order]
    total, weighted = np.cumsum(hazard), np.cumsum(hazard[:, None] * basis[order], axis=0)
    died = time[happened & (time <= horizon)]
    last = np.searchsorted(-time[order], -died, side="right") - 1
    step = 1 / total[last]
    mean = step @ (weighted[last] * step[:, None]) / step.sum()
    known = np.diag(information)
    size = np.sqrt(np.maximum(known, np.finfo(np.float64).tiny))
    scaled = information / size / size[:, None]
    if (known * basis.var(axis=0) < LEAST * happened.sum()).any() or np.linalg.eigvalsh(scaled)[0] < 1e-10:
        return np.full((len(size) + 1, len(size) + 1), np.inf)
    of_beta = np.linalg.inv(scaled) / size / size[:, None]
    across = -of_beta @ mean
    alone = step @ step / step.sum() ** 2 - mean @ across
    return np.block([[np.atleast_2d(alone), across[None, :]], [across[:, None], of_beta]])


def _scale(probability: Floats) -> Doubles:
    return np.asarray(np.log(-np.log1p(-probability)))


def _chance(log_cumulative_hazard: Floats) -> Floats:
    return np.asarray(-np.expm1(-np.exp(np.clip(log_cumulative_hazard, -700, 700))))


def _share(time: Floats, event: Array, horizon: float) -> Outcome:
    at = AtHorizon(Censoring.of(time, event), float(horizon))
    said = len(time), int(at.case.sum())
    if reason := unreachable(at, cases=False):
        return Undefined("observed_share", reason, *said)
    value = float(at.weight @ at.case) / len(time)
    each = at.influence(at.case / len(time)) - value / len(time)
    size = float(at.weight.sum() ** 2 / (at.weight @ at.weight))  # few where most were censored before
    low, high = effective_wilson(value, float(each @ each), size, z=quantile_of(size))
    return Estimate("observed_share", value, low, high, *said, SHARE, at.horizon)


def _stand(
    probability: npt.ArrayLike, time: npt.ArrayLike, event: npt.ArrayLike, horizon: float
) -> tuple[AtHorizon, Floats]:
    observed = outcomes(time, event)
    return AtHorizon(Censoring.of(*observed), moment(horizon)), probabilities(probability, len(observed[0]))
