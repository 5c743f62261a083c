"""Cox regression with a ridge penalty, in NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.integer[Any]]


def fit_cox(
    x: npt.ArrayLike, time: npt.ArrayLike, event: npt.ArrayLike, penalty: float, iterations: int = 100
) -> Floats:
    """Coefficients, shape ``(covariates,)``, that maximise log likelihood - penalty / 2 * sum of their squares.

    The log partial likelihood (Cox 1972; ties by Efron 1977) is summed over events, so `penalty` is that of R's
    ``ridge(theta=...)``: the precision of a normal prior (Verweij & van Houwelingen 1994). The penalty acts on
    coefficients of `x`, shape ``(patients, covariates)``, as given: standardise it first. Newton-Raphson with step
    halving; the likelihood never falls and the result is finite also for separable, collinear or constant columns.
    """
    covariates = np.asarray(x, dtype=np.float64)
    spread = covariates.std(axis=0)
    scale = np.where(spread > 0, spread, 1.0)
    fit = _Likelihood.of((covariates - covariates.mean(axis=0)) / scale, time, event, penalty / scale**2)
    beta: Floats = np.zeros(covariates.shape[1])
    value = fit.value(beta)
    for _ in range(iterations):
        before = value
        beta, value = fit.improve(beta, value)
        if value - before <= 1e-14 * abs(value):
            break
    return beta / scale


@dataclass(frozen=True)
class _Likelihood:
    """Penalised log partial likelihood of patients sorted by time, latest first."""

    x: Floats
    event: npt.NDArray[np.bool_]
    last: Ints
    """Per event: the last patient (in this order) at risk at its time."""
    first: Ints
    """Per event: the first event (among events) at its time."""
    gone: Floats
    """Per event: the share of the tied hazards that have left the risk set."""
    penalty: Floats

    @classmethod
    def of(cls, x: Floats, time: npt.ArrayLike, event: npt.ArrayLike, penalty: Floats) -> _Likelihood:
        late = -np.asarray(time, dtype=np.float64)
        order = np.argsort(late, kind="stable")
        late, happened = late[order], np.asarray(event, dtype=bool)[order]
        _, first, tied = np.unique(late[happened], return_index=True, return_counts=True)
        start, ties = np.repeat(first, tied), np.repeat(tied, tied)
        last = np.searchsorted(late, late[happened], side="right") - 1
        return cls(x[order], happened, last, start, (np.arange(len(ties)) - start) / ties, penalty)

    def value(self, beta: Floats) -> float:
        eta = self.x @ beta
        at_risk = np.logaddexp.accumulate(eta)[self.last]
        tied = self._over_ties(np.exp(eta[self.event] - at_risk))
        likelihood = np.sum(eta[self.event] - at_risk - np.log1p(-self.gone * tied))
        return float(likelihood - self.penalty @ beta**2 / 2)

    def improve(self, beta: Floats, value: float) -> tuple[Floats, float]:
        """The next coefficients and their value; the same ones where no step climbs."""
        gradient, curvature = self._derivatives(beta)
        step = np.linalg.lstsq(curvature, gradient, rcond=1e-12)[0]
        for _ in range(40):
            found = self.value(beta + step)
            if found > value:
                return beta + step, found
            step = step / 2
        return beta, value

    def _derivatives(self, beta: Floats) -> tuple[Floats, Floats]:
        eta = self.x @ beta
        hazard = np.exp(eta - eta.max(initial=-np.inf))[:, None]
        moment = hazard * self.x
        total = self._at_risk(hazard)
        # A floor for risk sets whose hazards all vanish beside the largest: a poor step is halved, NaN would stay
        total = np.maximum(total, np.finfo(np.float64).tiny)
        mean = self._at_risk(moment) / total
        exposure = hazard * self._exposure(1 / total)
        gradient = self.x[self.event].sum(axis=0) - mean.sum(axis=0) - self.penalty * beta
        curvature = self.x.T @ (exposure * self.x) - mean.T @ mean + np.diag(self.penalty)
        return gradient, curvature

    def _at_risk(self, terms: Floats) -> Floats:
        """Per event: the sum of `terms` over its risk set, less what tied events have taken away."""
        gone = self.gone[:, None] * self._over_ties(terms[self.event])
        return np.cumsum(terms, axis=0)[self.last] - gone

    def _exposure(self, rate: Floats) -> Floats:
        """Per patient: the sum of `rate` over the events it was at risk for (the transpose of `_at_risk`)."""
        joins = np.zeros((len(self.x), 1))
        np.add.at(joins, self.last, rate)
        exposure = np.cumsum(joins[::-1], axis=0)[::-1]
        exposure[self.event] -= self._over_ties(self.gone[:, None] * rate)
        return exposure

    def _over_ties(self, terms: Floats) -> Floats:
        """Per event: the sum of `terms` over the events at the same time."""
        if not len(terms):
            return terms
        starts, place = np.unique(self.first, return_inverse=True)
        return np.asarray(np.add.reduceat(terms, starts, axis=0)[place])
