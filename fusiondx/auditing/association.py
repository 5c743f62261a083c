"""Association of columns with an answer, in standard errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from fusiondx.evaluation.ratio import ratio

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

FALSE_ALARM = 0.001
"""Chance that a statistical check speaks up where nothing is wrong, over all columns and answers it looks at."""


def z_scores(columns: Floats, answer: Floats) -> Floats:
    """Correlation times the root of the number of patients who have both, per column: about standard normal where
    nothing is associated; a score test, of hazards where the answer is a martingale residual. 0 where undefined."""
    both = ~np.isnan(columns) & ~np.isnan(answer)[:, None]
    n = both.sum(axis=0)
    x, y = np.where(both, columns, 0.0), np.where(both, answer[:, None], 0.0)
    x = np.where(both, x - ratio(x.sum(axis=0), n), 0.0)
    y = np.where(both, y - ratio(y.sum(axis=0), n), 0.0)
    scale = np.sqrt((x**2).sum(axis=0) * (y**2).sum(axis=0))
    return np.asarray(np.nan_to_num(ratio((x * y).sum(axis=0), scale)) * np.sqrt(np.maximum(n - 1, 0)))


def threshold(tests: int, alpha: float = FALSE_ALARM) -> float:
    """The z-score that `tests` tests exceed by chance, any of them and either way, with probability `alpha`
    (Bonferroni)."""
    return float(-ndtri(alpha / max(tests, 1) / 2))
