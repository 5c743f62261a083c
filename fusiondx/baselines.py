"""Baselines: what a classical model makes of one table. Every result of ours stands beside it."""

from __future__ import annotations

from typing import Any, Self

from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError

from fusiondx.classical.model import ClassicalModel
from fusiondx.core.predictions import Prediction
from fusiondx.data.cohort import Cohort
from fusiondx.errors import DataError, listed


class ClinicalBaseline(BaseEstimator):
    """Regularised regression on one table: logistic for classes and labels, Cox for survival and for each of several
    causes, ridge for numbers.

    It is averaged over penalties by held-out likelihood among the training patients; see `fit_linear`. Interface as
    `FusionModel`'s.

    Parameters
    ----------
    modality:
        Name of the table.
    """

    def __init__(self, modality: str) -> None:
        self.modality = modality

    def fit(self, cohort: Cohort, y: Any = None) -> Self:
        """Fit one regression per target, on the patients who have the table and a known value.

        Raises `DataError` where a target has none, `ConfigError` for a table the cohort does not have.
        """
        self.model_ = ClassicalModel((self.modality,)).fit(cohort)
        if lacking := [name for name in cohort.targets if name not in self.model_.answers_]:
            who = f"No training patient has '{self.modality}' and an answer of {listed(lacking)}"
            raise DataError(f"{who}. Give some who have both, or leave the target out.")
        return self

    def predict(self, cohort: Cohort) -> dict[str, Prediction]:
        """Predictions by target, for the patients who have the table."""
        if not hasattr(self, "model_"):
            raise NotFittedError("This ClinicalBaseline is not fitted yet. Call fit(cohort) first.")
        return self.model_.predict(cohort)
