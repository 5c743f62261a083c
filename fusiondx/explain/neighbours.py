"""Neighbours: which training patients a model sees as most like a patient."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.neighbors import NearestNeighbors

from fusiondx.data.cohort import Cohort

if TYPE_CHECKING:
    from fusiondx.model import FusionModel

MOST = 5
COLUMNS = ("patient_id", "rank", "neighbour", "distance")


def nearest(model: FusionModel, cohort: Cohort, reference: Cohort | None) -> pd.DataFrame:
    """The `MOST` nearest of `reference` to each patient by Euclidean distance of `FusionModel.embed`, nearest first;
    nobody is their own neighbour."""
    if reference is None:
        return pd.DataFrame(columns=list(COLUMNS))
    search = NearestNeighbors(n_neighbors=min(MOST + 1, len(reference))).fit(model.embed(reference))
    distance, place = search.kneighbors(model.embed(cohort))
    rows = [
        (patient, rank, str(reference.ids[p]), float(d))
        for patient, near, far in zip(cohort.ids, place, distance, strict=True)
        for rank, (p, d) in enumerate(others(patient, near, far, reference), start=1)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def others(patient: str, near: np.ndarray, far: np.ndarray, reference: Cohort) -> list[tuple[int, float]]:
    """The first few who are not the patient."""
    return [(int(p), float(d)) for p, d in zip(near, far, strict=True) if reference.ids[p] != patient][:MOST]
