"""Reliability without bins: the isotonic recalibration of probabilities, and the Brier score it splits into parts.

CORP (Dimitriadis, Gneiting & Jordan 2021): the observed risk is the one non-decreasing function of the predicted one
that fits best, so nothing has to be chosen; miscalibration, discrimination and uncertainty add up to the Brier score.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import isotonic_regression

from fusiondx.errors import ConfigError
from fusiondx.evaluation import checking
from fusiondx.evaluation.estimate import Undefined

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
MOST = 500
"""Rows of a reliability diagram."""


@dataclass(frozen=True)
class BrierParts:
    """``brier = miscalibration - discrimination + uncertainty``.

    >>> parts = evaluation.brier_parts(probability, positive)
    >>> bool(np.isclose(parts.brier, parts.miscalibration - parts.discrimination + parts.uncertainty))
    True
    """

    brier: float
    miscalibration: float
    """What isotonic recalibration would gain; 0 is best."""
    discrimination: float
    """What the recalibrated probabilities gain over the prevalence; more is better."""
    uncertainty: float
    """Brier score of the prevalence: that of the patients, not of the model."""


def brier_parts(probability: npt.ArrayLike, positive: npt.ArrayLike) -> BrierParts | Undefined:
    """The Brier score and its CORP parts; `Undefined` without patients.

    Raises `DataError` for what is no probability or label.

    >>> parts = evaluation.brier_parts(probability, positive)
    >>> round(parts.miscalibration, 3), round(parts.discrimination, 3), round(parts.uncertainty, 3)
    (0.008, 0.065, 0.231)
    """
    probability, positive = checking.forecast(probability, positive)
    if not len(probability):
        return Undefined("brier", "no patients", 0, 0)
    values, size, hits = _by_value(probability, positive)
    n, risk = len(probability), _recalibrated(size, hits)
    brier = float((hits * (1 - values) ** 2 + (size - hits) * values**2).sum()) / n
    refined = float((hits * (1 - risk) ** 2 + (size - hits) * risk**2).sum()) / n
    prevalence = positive.mean()
    uncertainty = float(prevalence * (1 - prevalence))
    return BrierParts(brier, brier - refined, uncertainty - refined, uncertainty)


def reliability_frame(
    probability: npt.ArrayLike,
    positive: npt.ArrayLike,
    *,
    band: Literal["consistency", "confidence"] = "consistency",
    replicates: int = 200,
    seed: int = 0,
) -> pd.DataFrame | Undefined:
    """A reliability diagram: `predicted`, `observed`, `patients`, `low` and `high` by ascending probability.

    `observed` is the isotonic fit at each distinct probability; of more than `MOST` of them, neighbours are put
    together after the fit, weighted by patients. `low` and `high` are pointwise 95 % limits of the fits of
    `replicates` sets of outcomes drawn for the rows: from `predicted`, so that they show where a calibrated model's
    curve would lie ("consistency"), or from `observed` ("confidence"). `Undefined` without patients; raises
    `DataError` for what is no probability or label, `ConfigError` for fewer than one replicate.

    >>> evaluation.reliability_frame([0.2, 0.2, 0.8, 0.8], [0, 0, 1, 0])[["predicted", "observed", "patients"]]
       predicted  observed  patients
    0        0.2       0.0         2
    1        0.8       0.5         2
    """
    if replicates < 1:
        raise ConfigError(f"replicates is {replicates}. Give at least 1.")
    probability, positive = checking.forecast(probability, positive)
    if not len(probability):
        return Undefined("reliability", "no patients", 0, 0)
    values, size, hits = _by_value(probability, positive)
    risk = _recalibrated(size, hits)
    group = np.minimum(np.cumsum(size) * MOST // (len(probability) + 1), MOST - 1) if len(values) > MOST else None
    if group is not None:
        _, group = np.unique(group, return_inverse=True)
        whole = np.bincount(group, weights=size)
        values, risk = (np.bincount(group, weights=size * of) / whole for of in (values, risk))
        size = whole.astype(np.int64)
    rng, chance = np.random.default_rng(seed), np.clip(values if band == "consistency" else risk, 0.0, 1.0)
    drawn = [_recalibrated(size, rng.binomial(size, chance)) for _ in range(replicates)]
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    return pd.DataFrame({"predicted": values, "observed": risk, "patients": size, "low": low, "high": high})


def _by_value(probability: Floats, positive: npt.NDArray[np.bool_]) -> tuple[Floats, Counts, Floats]:
    """Distinct probabilities, ascending, with patients and positive patients at each."""
    values, place = np.unique(probability, return_inverse=True)
    size = np.bincount(place)
    hits = np.bincount(place, weights=positive)
    return values, np.asarray(size, dtype=np.int64), np.asarray(hits, dtype=np.float64)


def _recalibrated(size: Counts, hits: npt.NDArray[Any]) -> Floats:
    """The best non-decreasing risks, by pooling adjacent violators."""
    return np.asarray(isotonic_regression(hits / size, weights=size).x)
