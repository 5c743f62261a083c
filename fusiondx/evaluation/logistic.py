"""Logistic regression on a few columns, to the last digit: for recalibration models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class LogisticFit:
    """Coefficients and their covariance."""

    beta: Floats
    covariance: Floats
    """Inverse Fisher information; with clusters the sandwich over them (Liang & Zeger 1986)."""
    converged: bool
    """False where the columns separate the outcomes, so that the likelihood has no maximum."""
    clusters: int | None = None
    """How many, where rows were clustered."""


def fit_logistic(
    x: Floats,
    positive: Bools,
    *,
    offset: Floats | None = None,
    start: Floats | None = None,
    cluster: npt.NDArray[Any] | None = None,
) -> LogisticFit:
    """Maximum likelihood of ``P(positive) = expit(offset + x @ beta)`` by Newton's method from `start`.

    The first column of `x` is 1.
    """
    to_own = _standardising(x)  # well conditioned columns
    columns = x @ to_own
    first = np.linalg.solve(to_own, np.zeros(x.shape[1]) if start is None else start)
    beta, chance, hessian, converged = _newton(columns, positive, 0.0 if offset is None else offset, np.asarray(first))
    if not converged or np.linalg.cond(hessian) > 1e13:
        return LogisticFit(to_own @ beta, np.full(hessian.shape, np.inf), converged=False)
    inverse, clusters = np.linalg.inv(hessian), None
    if cluster is not None:
        _, member = np.unique(cluster, return_inverse=True)
        clusters = int(member.max()) + 1
        score = np.zeros((clusters, x.shape[1]))
        np.add.at(score, member, columns * (positive - chance)[:, None])
        inverse = inverse @ (score.T @ score) @ inverse
    return LogisticFit(to_own @ beta, to_own @ inverse @ to_own.T, converged=True, clusters=clusters)


def _newton(
    columns: Floats, positive: Bools, base: Floats | float, beta: Floats
) -> tuple[Floats, Floats, Floats, bool]:
    """Coefficients, with probabilities and Hessian just before the last step, and whether they are the maximum."""
    for _ in range(100):
        chance = expit(base + columns @ beta)
        hessian = (columns * (chance * (1 - chance))[:, None]).T @ columns
        step = np.linalg.lstsq(hessian, columns.T @ (positive - chance), rcond=None)[0]
        if np.abs(step).max() > 1:  # far from the maximum a full step may overshoot
            before = _loss(base + columns @ beta, positive)
            while _loss(base + columns @ (beta + step), positive) > before:
                step = step / 2
        beta = beta + step
        # The error is about the square of the last step; where every outcome is foretold there is no maximum
        done, apart = np.abs(step).max() < 1e-8, np.abs(positive - chance).max() < 1e-6
        if done or apart:
            return beta, chance, hessian, not apart
    return beta, chance, hessian, False


def _loss(line: Floats, positive: Bools) -> float:
    """Negative log-likelihood."""
    return float(np.logaddexp(0.0, np.where(positive, -line, line)).sum())


def _standardising(x: Floats) -> Floats:
    """The matrix that gives columns mean 0 and deviation 1, but for the first, which is 1."""
    matrix = np.eye(x.shape[1])
    centre, spread = x[:, 1:].mean(axis=0), x[:, 1:].std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    matrix[0, 1:] = -centre / spread
    matrix[np.arange(1, len(matrix)), np.arange(1, len(matrix))] = 1 / spread
    return matrix
