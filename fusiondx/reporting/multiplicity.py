"""Multiplicity: p-values of a report's comparisons, corrected for how many there are."""

from __future__ import annotations

import numpy as np
import pandas as pd

from fusiondx.evaluation.comparison import holm


def adjusted(differences: pd.DataFrame) -> pd.DataFrame:
    """With p-values corrected for all comparisons of a target (Holm 1979)."""
    corrected = np.full(len(differences), np.nan)
    for _, at in differences.groupby("target", sort=False).indices.items():
        corrected[at] = holm(differences["p"].to_numpy(dtype=np.float64)[at])
    return differences.assign(p_holm=corrected)
