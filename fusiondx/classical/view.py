"""View: one description of a modality as a matrix, a row per patient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from jaxtyping import Float
from sklearn.decomposition import PCA

from fusiondx.data.cohort import Cohort
from fusiondx.data.preprocess import TablePreparation, fit_table
from fusiondx.data.tables import TableData
from fusiondx.errors import ConfigError, DataError

Floats = npt.NDArray[np.floating[Any]]

COMPONENTS = 128
"""Wider descriptions are carried by this many principal components."""


@dataclass(frozen=True, eq=False)
class View:
    """How a table, or the features of images, become columns; fitted on training patients."""

    name: str
    """Of the modality."""
    preparation: TablePreparation
    directions: Floats
    """Principal components, ``(columns, components)``, scaled to a mean variance of 1; ``(columns, 0)`` where all
    columns are kept."""

    @classmethod
    def fit(cls, name: str, cohort: Cohort, components: int = COMPONENTS) -> View:
        """Fit on the patients of `cohort` who have it. Raises `DataError` where nobody has."""
        data, rows, _ = located(name, cohort)
        if not len(rows):
            raise DataError(f"No training patient has '{name}'.")
        preparation = fit_table(name, data, rows)
        bare = cls(name, preparation, np.zeros((0, 0)))
        values, present = bare.columns(cohort)
        return cls(name, preparation, principal(values[present], components))

    @property
    def width(self) -> int:
        """Columns, before any components are taken."""
        return len(self.preparation.inputs) + sum(self.preparation.levels)

    def columns(self, cohort: Cohort) -> tuple[Floats, npt.NDArray[np.bool_]]:
        """Standardised columns, zeros for a patient who lacks the view, and who has it.

        Of several observations of a patient the mean, or where they are timed the latest.
        """
        if self.name not in cohort.modalities:
            return np.zeros((len(cohort), self.width)), np.zeros(len(cohort), dtype=bool)
        data, rows, who = located(self.name, cohort)
        if cohort.modalities[self.name].time is not None:
            latest = np.diff(who, append=-1) != 0
            rows, who = rows[latest], who[latest]
        each = design(self.preparation, data, rows)
        counts = np.bincount(who, minlength=len(cohort))
        total = np.zeros((len(cohort), each.shape[1]))
        np.add.at(total, who, each)
        return total / np.maximum(counts, 1)[:, None], counts > 0

    def matrix(self, cohort: Cohort) -> tuple[Floats, npt.NDArray[np.bool_]]:
        """What models read, ``(patients, width)``, and who has it."""
        values, present = self.columns(cohort)
        return (values @ self.directions if self.directions.shape[1] else values), present


def located(name: str, cohort: Cohort) -> tuple[TableData, npt.NDArray[Any], npt.NDArray[Any]]:
    """The table, its rows in the order of the patients, and whose each is."""
    modality = cohort.modalities.get(name)
    if modality is None or not isinstance(modality.data, TableData):
        raise ConfigError(f"A classical model needs a table; the cohort has none called '{name}'.")
    who, rows = modality.locate(np.arange(len(cohort)))
    return modality.data, rows, who


def design(preparation: TablePreparation, data: TableData, rows: npt.NDArray[Any]) -> Floats:
    """Standardised numbers beside one-hot categories; an unseen category is all zeros."""
    arrays = preparation.arrays(data, rows)
    coded = [np.eye(n + 1)[arrays["codes"][:, i]][:, 1:] for i, n in enumerate(preparation.levels)]
    return np.concatenate([arrays["numeric"].astype(np.float64), *coded], axis=1)


def principal(values: Float[np.ndarray[Any, Any], "patients columns"], components: int) -> Floats:
    """The first principal components at their relative spread; none where there are no more columns than that."""
    patients, columns = values.shape
    kept = min(components, patients - 1)
    if columns <= components or kept < 1:
        return np.zeros((columns, 0))
    found = PCA(kept, random_state=0).fit(values)
    told = found.explained_variance_ > 1e-9 * found.explained_variance_[0]  # beyond their rank there is only rounding
    return np.asarray(found.components_[told].T / max(float(found.explained_variance_[told].mean()) ** 0.5, 1e-12))
