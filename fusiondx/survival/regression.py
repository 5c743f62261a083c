"""Cox regression with a ridge penalty, in NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.integer[Any]]

SAFE = 600.0
"""Log hazards that differ by less can be summed as they are; of others only the logarithms, at twenty times that."""


def fit_cox(
    x: npt.ArrayLike,
    time: npt.ArrayLike,
    event: npt.ArrayLike,
    penalty: float,
    iterations: int = 100,
    strata: npt.ArrayLike | None = None,
) -> Floats:
    """Coefficients, shape ``(covariates,)``, that maximise log likelihood - penalty / 2 * sum of their squares.

    The log partial likelihood (Cox 1972; ties by Efron 1977) is summed over events, so `penalty` is that of R's
    ``ridge(theta=...)``: the precision of a normal prior (Verweij & van Houwelingen 1994). The penalty acts on
    coefficients of `x`, shape ``(patients, covariates)``, as given: standardise it first. With `strata`, a label per
    patient, risk sets hold patients of one stratum only (Kalbfleisch & Prentice 1980). Newton-Raphson with step
    halving; the likelihood never falls and the result is finite also for separable, collinear or constant columns.
    """
    covariates = np.asarray(x, dtype=np.float64)
    spread = covariates.std(axis=0)
    scale = np.where(spread > 0, spread, 1.0)
    # Any origin gives the same fit; about the median an outlier costs the other patients no digits
    centre = np.median(covariates, axis=0)
    fit = _Penalised(_by_stratum((covariates - centre) / scale, time, event, strata), penalty / scale**2)
    beta: Floats = np.zeros(covariates.shape[1])
    value = fit.value(beta)
    for _ in range(iterations):
        before = value
        beta, value = fit.improve(beta, value)
        if value - before <= 1e-14 * abs(value):
            break
    return beta / scale


def cox_information(x: npt.ArrayLike, time: npt.ArrayLike, event: npt.ArrayLike, beta: Floats) -> Floats:
    """Observed information of Cox's log partial likelihood at `beta`, ``(covariates, covariates)``; ties by Efron.

    Its inverse estimates the covariance of unpenalised coefficients.
    """
    covariates = np.asarray(x, dtype=np.float64)
    return _Likelihood.of(covariates - np.median(covariates, axis=0), time, event).derivatives(beta)[1]


@dataclass(frozen=True)
class _Penalised:
    """The log partial likelihood of all strata less the penalty."""

    strata: list[_Likelihood]
    penalty: Floats

    def value(self, beta: Floats) -> float:
        with np.errstate(over="ignore", invalid="ignore"):  # a step too far is not finite, and halved
            return float(sum(part.value(beta) for part in self.strata) - self.penalty @ beta**2 / 2)

    def improve(self, beta: Floats, value: float) -> tuple[Floats, float]:
        """The next coefficients and their value; the same ones where no step climbs."""
        slopes, bends = zip(*(part.derivatives(beta) for part in self.strata), strict=True)
        gradient, curvature = sum(slopes) - self.penalty * beta, sum(bends) + np.diag(self.penalty)
        # to one scale: the penalty on a column of rounding errors is huge, and would hide the others
        size = np.sqrt(np.maximum(np.diag(curvature), np.finfo(np.float64).tiny))
        step = np.linalg.lstsq(curvature / size / size[:, None], gradient / size, rcond=1e-12)[0] / size
        for _ in range(40):
            found = self.value(beta + step)
            if found > value:
                return beta + step, found
            step = step / 2
        return beta, value


@dataclass(frozen=True)
class _Likelihood:
    """Log partial likelihood of patients sorted by time, latest first."""

    x: Floats
    event: npt.NDArray[np.bool_]
    last: Ints
    """Per event: the last patient (in this order) at risk at its time."""
    first: Ints
    """Per event: the first event (among events) at its time."""
    gone: Floats
    """Per event: the share of the tied hazards that have left the risk set."""

    @classmethod
    def of(cls, x: Floats, time: npt.ArrayLike, event: npt.ArrayLike) -> _Likelihood:
        late = -np.asarray(time, dtype=np.float64)
        order = np.argsort(late, kind="stable")
        late, happened = late[order], np.asarray(event, dtype=bool)[order]
        _, first, tied = np.unique(late[happened], return_index=True, return_counts=True)
        start, ties = np.repeat(first, tied), np.repeat(tied, tied)
        last = np.searchsorted(late, late[happened], side="right") - 1
        return cls(x[order], happened, last, start, (np.arange(len(ties)) - start) / ties)

    def value(self, beta: Floats) -> float:
        eta = self.x @ beta
        return float(np.sum(eta[self.event] - self._log_at_risk(eta[:, None])[:, 0]))

    def derivatives(self, beta: Floats) -> tuple[Floats, Floats]:
        """The first, and minus the second: the observed information."""
        eta = (self.x @ beta)[:, None]
        total = self._log_at_risk(eta)
        mean = self._mean_at_risk(eta, total)
        gradient = self.x[self.event].sum(axis=0) - mean.sum(axis=0)
        return gradient, self.x.T @ (self._exposure(eta, total) * self.x) - mean.T @ mean

    def _mean_at_risk(self, eta: Floats, total: Floats) -> Floats:
        """Per event: the mean covariates of its risk set, weighted by hazard; ``(events, covariates)``."""
        if np.ptp(eta) < SAFE:
            weighted = np.exp(eta - eta.max()) * self.x
            summed = np.cumsum(weighted, axis=0)[self.last]
            left = summed - self.gone[:, None] * self._over_ties(weighted[self.event])
            return np.asarray(left / np.exp(total - eta.max()))
        # Covariates moved above 0, so that their weighted sums too have a logarithm
        shift = 1 - self.x.min(axis=0, initial=0.0)
        return np.asarray(np.exp(self._log_at_risk(eta + np.log(self.x + shift)) - total) - shift)

    def _log_at_risk(self, log_terms: Floats) -> Floats:
        """Per event: log of the sum of terms over its risk set, less what tied events have taken away."""
        everyone = np.logaddexp.accumulate(log_terms, axis=0)[self.last]
        tied = self._over_ties(np.exp(log_terms[self.event] - everyone))
        return np.asarray(everyone + np.log1p(-self.gone[:, None] * tied))

    def _exposure(self, eta: Floats, total: Floats) -> Floats:
        """Per patient: its share of the hazards at risk, summed over events; ``(patients, 1)``."""
        events = np.searchsorted(self.last, np.arange(len(self.x)))  # the first it was at risk for; all later ones
        rate = np.logaddexp.accumulate(-total[::-1], axis=0)[::-1]
        exposure = np.exp(eta + np.concatenate([rate, [[-np.inf]]])[events])
        own = eta[self.event]
        near = total[self.first]  # of the size of all totals at that time
        exposure[self.event] -= np.exp(own - near) * self._over_ties(self.gone[:, None] * np.exp(near - total))
        return np.asarray(exposure)

    def _over_ties(self, terms: Floats) -> Floats:
        """Per event: the sum of `terms` over the events at the same time."""
        starts, place = np.unique(self.first, return_inverse=True)
        return np.asarray(np.add.reduceat(terms, starts, axis=0)[place])


def log_likelihood(
    log_hazard: npt.ArrayLike, time: npt.ArrayLike, event: npt.ArrayLike, strata: npt.ArrayLike | None = None
) -> float:
    """The log partial likelihood of given log hazards (Efron's ties), summed over events; `strata` as in `fit_cox`."""
    eta = np.asarray(log_hazard, dtype=np.float64)
    return float(sum(part.value(np.ones(1)) for part in _by_stratum(eta[:, None], time, event, strata)))


def _by_stratum(
    x: Floats, time: npt.ArrayLike, event: npt.ArrayLike, strata: npt.ArrayLike | None
) -> list[_Likelihood]:
    """The likelihood of each stratum; of everybody where there are none."""
    member = np.zeros(len(x)) if strata is None else np.asarray(strata)
    given = x, np.asarray(time), np.asarray(event)
    return [_Likelihood.of(*(values[member == s] for values in given)) for s in np.unique(member)]
