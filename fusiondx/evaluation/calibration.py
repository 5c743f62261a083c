"""Do predicted probabilities mean what they say? Calibration in the large, slope, O:E and the calibration curve.

Recalibration models are logistic regressions on the logit of the probability (Cox 1958; Van Calster et al. 2019).
Probabilities of 0 and 1 have no logit: they are moved to `EDGE` and ``1 - EDGE``, and the estimate says how many.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import brentq
from scipy.special import expit, logit

from fusiondx.errors import counted
from fusiondx.evaluation import checking
from fusiondx.evaluation.curve_distance import METHOD, NAMES, judged_distances
from fusiondx.evaluation.estimate import Estimate, Outcome, Undefined
from fusiondx.evaluation.logistic import LogisticFit, fit_logistic
from fusiondx.evaluation.proportions import Z95
from fusiondx.evaluation.splines import restricted_cubic, spline_knots

Array = npt.NDArray[np.generic]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
EDGE = 1e-6
WALD = "95 % Wald interval"
SEPARATED = "the probabilities separate the classes, so the slope has no finite estimate"


def estimate_calibration_intercept(
    probability: npt.ArrayLike, positive: npt.ArrayLike, patient: Array | None = None
) -> Outcome:
    """Calibration in the large: log odds by which predictions are too low, with the slope fixed at 1; ideally 0.

    This is not the intercept fitted together with the slope, `recalibration`. The slope need not be 1, so the interval
    holds the values that a score test with the observed variance of residuals does not reject (Boos 1992); where that
    has no ends, as with fewer than 4 patients of a class, it is Wald's. `patient` says whose each row is, where
    patients are in several: they and those of them with a positive row are counted. `Undefined` with one class; raises
    `DataError` for what is no probability or label, and for another number of rows in `patient`.

    >>> found = evaluation.estimate_calibration_intercept(probability, positive)
    >>> print(f"{found.value:.2f} ({found.low:.2f} to {found.high:.2f})")
    0.19 (-0.04 to 0.41)
    """
    probability, positive = checking.forecast(probability, positive)
    said = checking.counts(positive, patient)
    if reason := checking.lacking(positive, patient):
        return Undefined("calibration_intercept", reason, *said)
    line, moved = _logit(probability)
    fit = fit_logistic(np.ones((len(line), 1)), positive, offset=line, cluster=patient)
    found = _wald("calibration_intercept", fit, 0, said, f"slope fixed at 1{moved}")

    def surprise(chance: npt.ArrayLike) -> float:
        """Above 0 where the test rejects the predictions `chance`."""
        residual = _by_patient(positive - np.asarray(chance), patient)
        return float(residual.sum() ** 2 - Z95**2 * (residual @ residual))

    # Far enough either way everybody is predicted 1, or 0: where not even that is rejected, the interval has no end
    if min(surprise(1.0), surprise(0.0)) <= 0:
        return found
    low, high = (_crossing(lambda move: surprise(expit(line + move)), found.value, side) for side in (-0.5, 0.5))
    return replace(found, low=low, high=high, method="95 % score interval, residual variance as observed")


def _crossing(surprise: Callable[[float], float], inside: float, step: float) -> float:
    """Where `surprise` becomes positive on the way from `inside`."""
    while surprise(inside + step) <= 0:
        inside, step = inside + step, 2 * step
    return float(brentq(surprise, *sorted((inside, inside + step)), xtol=1e-12))


def estimate_calibration_slope(
    probability: npt.ArrayLike, positive: npt.ArrayLike, patient: Array | None = None
) -> Outcome:
    """Calibration slope: below 1 predictions are too extreme, above 1 not extreme enough.

    As `estimate_calibration_intercept`; also `Undefined` where all probabilities are equal or separate the classes.

    >>> found = evaluation.estimate_calibration_slope(probability, positive)
    >>> print(f"{found.value:.2f} ({found.low:.2f} to {found.high:.2f})")
    1.19 (0.91 to 1.46)
    """
    probability, positive = checking.forecast(probability, positive)
    said = checking.counts(positive, patient)
    if reason := _unfit(probability, positive, patient):
        return Undefined("calibration_slope", reason, *said)
    line, moved = _logit(probability)
    fit = fit_logistic(_with_constant(line), positive, start=np.eye(2)[1], cluster=patient)
    if not fit.converged:
        return Undefined("calibration_slope", SEPARATED, *said)
    return _wald("calibration_slope", fit, 1, said, f"fitted together with an intercept{moved}")


def recalibration(probability: npt.ArrayLike, positive: npt.ArrayLike) -> tuple[float, float] | Undefined:
    """Intercept and slope of the joint fit, ``logit(corrected) = intercept + slope * logit(probability)``.

    As `estimate_calibration_slope`. Fitted on other patients, it is what a model may be recalibrated with.

    >>> intercept, slope = evaluation.recalibration(probability, positive)
    >>> print(f"{intercept:.2f} {slope:.2f}")
    0.31 1.19
    """
    probability, positive = checking.forecast(probability, positive)
    said = checking.counts(positive, None)
    if reason := _unfit(probability, positive):
        return Undefined("calibration_slope", reason, *said)
    fit = fit_logistic(_with_constant(_logit(probability)[0]), positive)
    if not fit.converged:
        return Undefined("calibration_slope", SEPARATED, *said)
    return float(fit.beta[0]), float(fit.beta[1])


def estimate_observed_expected(
    probability: npt.ArrayLike, positive: npt.ArrayLike, patient: Array | None = None
) -> Outcome:
    """Positive patients observed per one expected, O:E; ideally 1. Interval on the log scale.

    Its standard error is that of ``O - (O:E) E`` over O, so it knows how far predictions and outcomes move together.
    `Undefined` without positive patients, or where none is expected; errors as `estimate_calibration_intercept`.

    >>> found = evaluation.estimate_observed_expected(probability, positive)
    >>> print(f"{found.value:.2f} ({found.low:.2f} to {found.high:.2f})")
    1.10 (0.99 to 1.24)
    """
    probability, positive = checking.forecast(probability, positive)
    said = checking.counts(positive, patient)
    observed, expected = float(positive.sum()), float(probability.sum())
    if not observed or not expected:
        reason = "no positive patient is expected" if observed else checking.lacking(positive, patient)
        return Undefined("observed_expected", str(reason), *said)
    value = observed / expected
    gap = _by_patient(positive - value * probability, patient)
    factor = float(np.exp(Z95 * np.sqrt(gap @ gap) / observed))
    return Estimate("observed_expected", value, value / factor, value * factor, *said, "95 % interval on the log scale")


@dataclass(frozen=True)
class CalibrationCurve:
    """Observed risk as a smooth function of predicted risk: restricted cubic splines of the logit, few of them."""

    fit: LogisticFit
    knots: Floats
    """On the logit scale; none where the curve is a line there."""

    def design(self, probability: Floats) -> Floats:
        return _with_constant(restricted_cubic(_logit(probability)[0], self.knots))

    def at(self, probability: Floats) -> Floats:
        """Observed risk of patients who were predicted `probability`."""
        return np.asarray(expit(self.design(probability) @ self.fit.beta))

    def band(self, probability: Floats) -> tuple[Floats, Floats]:
        """Pointwise 95 % interval of `at`, by the delta method on the logit scale."""
        design = self.design(probability)
        se = np.sqrt(np.einsum("ij,jk,ik->i", design, self.fit.covariance, design))
        line = design @ self.fit.beta
        return np.asarray(expit(line - Z95 * se)), np.asarray(expit(line + Z95 * se))


def calibration_curve(
    probability: npt.ArrayLike, positive: npt.ArrayLike, patient: Array | None = None
) -> CalibrationCurve | Undefined:
    """The curve fitted to patients (Austin & Steyerberg 2019; Harrell 2015 for the knots).

    Four knots, at the 5th, 35th, 65th and 95th percentile of the logits; a line where these coincide, and where the
    rarer class has fewer than 20 patients. `Undefined` and errors as `estimate_calibration_slope`.

    >>> curve = evaluation.calibration_curve(probability, positive)
    >>> curve.at(np.array([0.2, 0.5, 0.8])).round(2)
    array([0.19, 0.61, 0.81])
    """
    probability, positive = checking.forecast(probability, positive)
    said = checking.counts(positive, patient)
    if reason := _unfit(probability, positive, patient):
        return Undefined("calibration_curve", reason, *said)
    line, _ = _logit(probability)
    rarer = min(positive.sum(), (~positive).sum())
    knots = spline_knots(line) if rarer >= 20 else np.empty(0)
    design = _with_constant(restricted_cubic(line, knots))
    fit = fit_logistic(design, positive, start=np.eye(design.shape[1])[1], cluster=patient)
    if not fit.converged:
        return Undefined("calibration_curve", SEPARATED, *said)
    return CalibrationCurve(fit, knots)


def calibration_frame(
    probability: npt.ArrayLike, positive: npt.ArrayLike, points: int = 101
) -> pd.DataFrame | Undefined:
    """A calibration plot's smooth curve: `predicted`, `observed`, `low`, `high`, from least to most predicted.

    >>> evaluation.calibration_frame(probability, positive, points=3).round(2)
       predicted  observed   low  high
    0       0.00      0.00  0.00  0.27
    1       0.49      0.60  0.51  0.68
    2       0.98      0.95  0.59  1.00
    """
    curve = calibration_curve(probability, positive)
    if isinstance(curve, Undefined):
        return curve
    given = np.asarray(probability, dtype=np.float64)
    grid = np.linspace(given.min(), given.max(), points)
    low, high = curve.band(grid)
    return pd.DataFrame({"predicted": grid, "observed": curve.at(grid), "low": low, "high": high})


def estimate_calibration_errors(
    probability: npt.ArrayLike, positive: npt.ArrayLike, patient: Array | None = None, seed: int = 0
) -> tuple[Outcome, ...]:
    """ICI, E50, E90 and Emax: mean, median, 90th percentile and maximum of |observed - predicted| over patients.

    Observed risk is `calibration_curve`'s (Austin & Steyerberg 2019). All four are above 0 even for perfect
    predictions; the interval allows for that (`judged_distances`) and begins at 0 where they may be perfect.

    >>> for found in evaluation.estimate_calibration_errors(probability, positive):
    ...     print(found.metric, round(found.value, 3))
    ici 0.049
    e50 0.028
    e90 0.102
    emax 0.107
    """
    probability, positive = checking.forecast(probability, positive)
    curve = calibration_curve(probability, positive, patient)
    if isinstance(curve, Undefined):
        return tuple(Undefined(name, curve.reason, curve.n, curve.events) for name in NAMES)
    found = judged_distances(probability, curve.design, expit, curve.fit.beta, curve.fit.covariance, seed)
    n, events = checking.counts(positive, patient)
    form = f"restricted cubic splines, {len(curve.knots)} knots" if len(curve.knots) else "a line on the logit scale"
    convention = f"curve: {form}"
    return tuple(
        Estimate(name, float(value), float(a), float(b), n, events, METHOD, convention=convention)
        for name, value, a, b in zip(NAMES, *found, strict=True)
    )


def _logit(probability: Floats) -> tuple[Floats, str]:
    """Logits, and a note on those that had to be moved."""
    edges = int(((probability < EDGE) | (probability > 1 - EDGE)).sum())
    note = f"; {counted(edges, 'probability', 'probabilities')} moved to within {EDGE:g} of 0 or 1" if edges else ""
    return np.asarray(logit(np.clip(probability, EDGE, 1 - EDGE))), note


def _unfit(probability: Floats, positive: Bools, patient: Array | None = None) -> str | None:
    if reason := checking.lacking(positive, patient):
        return reason
    return "all probabilities are equal" if np.ptp(np.clip(probability, EDGE, 1 - EDGE)) == 0 else None


def _with_constant(columns: Floats) -> Floats:
    return np.column_stack([np.ones(len(columns)), columns])


def _wald(metric: str, fit: LogisticFit, which: int, said: tuple[int, int], convention: str) -> Estimate:
    value, se = float(fit.beta[which]), float(np.sqrt(fit.covariance[which, which]))
    method = WALD if fit.clusters is None else f"{WALD}, sandwich variance by patient"
    return Estimate(metric, value, value - Z95 * se, value + Z95 * se, *said, method, convention=convention)


def _by_patient(terms: Floats, patient: Array | None) -> Floats:
    if patient is None:
        return terms
    return np.asarray(np.bincount(np.unique(patient, return_inverse=True)[1], weights=terms), dtype=np.float64)
