"""How predicted probabilities spread among patients of either outcome."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from fusiondx.errors import ConfigError
from fusiondx.evaluation import checking

QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


def histogram_frame(probability: npt.ArrayLike, positive: npt.ArrayLike, bins: int = 20) -> pd.DataFrame:
    """Counts of `positive` and `negative` patients in equal bins `start` to `end` over 0 to 1; the last holds 1 too.

    Raises `DataError` for what is no probability or label, `ConfigError` for fewer than one bin.

    >>> evaluation.histogram_frame([0.9, 0.8, 0.4, 0.2], [1, 0, 1, 0], bins=2)
       start  end  positive  negative
    0    0.0  0.5         1         1
    1    0.5  1.0         1         1
    """
    if bins < 1:
        raise ConfigError(f"bins is {bins}. Give at least 1.")
    probability, positive = checking.forecast(probability, positive)
    edges = np.linspace(0.0, 1.0, bins + 1)
    counts = [np.histogram(probability[group], edges)[0] for group in (positive, ~positive)]
    return pd.DataFrame({"start": edges[:-1], "end": edges[1:], "positive": counts[0], "negative": counts[1]})


def quantile_frame(probability: npt.ArrayLike, positive: npt.ArrayLike) -> pd.DataFrame:
    """One row per `outcome` that occurs, "positive" or "negative": `patients`, `mean`, and quantiles `q0` to `q100`.

    Raises `DataError` for what is no probability or label.

    >>> evaluation.quantile_frame([0.9, 0.8, 0.4, 0.2], [1, 0, 1, 0])[["outcome", "patients", "q50"]]
        outcome  patients   q50
    0  positive         2  0.65
    1  negative         2  0.50
    """
    probability, positive = checking.forecast(probability, positive)
    rows = []
    for outcome, group in (("positive", probability[positive]), ("negative", probability[~positive])):
        if len(group):
            cuts = dict(zip((f"q{100 * q:g}" for q in QUANTILES), np.quantile(group, QUANTILES), strict=True))
            rows.append({"outcome": outcome, "patients": len(group), "mean": group.mean(), **cuts})
    return pd.DataFrame(rows)
