"""ClassicalModel: a ridge regression or boosted trees on one or several views."""

from __future__ import annotations

import warnings
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError

from fusiondx.classical.linear import Linear, fit_linear
from fusiondx.classical.trees import Trees, fit_trees
from fusiondx.classical.view import View
from fusiondx.core.components import Head
from fusiondx.core.predictions import Prediction
from fusiondx.core.targets import TargetValues
from fusiondx.data.cohort import Cohort
from fusiondx.errors import DataError, FusionDxWarning, listed
from fusiondx.plain import said_by, settled_head

Floats = npt.NDArray[np.floating[Any]]
COMPONENTS = {"ridge": 128, "trees": 32}


class ClassicalModel(BaseEstimator):
    """A ridge regression, or boosted trees, on what is known of a patient as columns.

    Parameters
    ----------
    views:
        Names of the tables it reads. Of one, it learns from and answers for the patients who have it; of several, for
        everybody: a patient who lacks one has its columns at the mean, and a column that says so.
    learner:
        "ridge" or "trees".
    shares:
        Of a ridge regression, by target: what each penalty counts for; left out, found on held-out folds of the
        training patients.

    Interface as `FusionModel`'s. After `fit`: `views_`, `answers_` and `heads_`, by target.
    """

    def __init__(
        self,
        views: tuple[str, ...],
        learner: Literal["ridge", "trees"] = "ridge",
        shares: dict[str, Floats] | None = None,
    ) -> None:
        self.views = views
        self.learner = learner
        self.shares = shares

    def fit(self, cohort: Cohort, y: Any = None) -> Self:
        """Fit one model per target, on the patients whose answer is known; a target without any gets none.

        Raises `DataError` where that goes for all targets, where no column tells patients apart and where nobody has a
        view; `ConfigError` for an unknown view.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FusionDxWarning)  # of idle columns, which networks have named already
            self.views_ = tuple(View.fit(name, cohort, COMPONENTS[self.learner]) for name in self.views)
        blocks = [view.matrix(cohort) for view in self.views_]
        self.scales_ = tuple(spread(values[present]) for values, present in blocks)
        columns, here = self._columns(blocks)
        if not np.ptp(columns[here], axis=0).any():
            raise DataError(f"No column of {listed(self.views)} tells the training patients apart. Leave it out.")
        self.answers_: dict[str, Linear | Trees] = {}
        self.heads_: dict[str, Head] = {}
        for name, values in cohort.targets.items():
            truth = values[here]
            if not truth.known.any():
                continue
            self.answers_[name] = self._answer(name, columns[here], truth)
            self.heads_[name] = settled_head(truth, self.answers_[name](columns[here]))
        if not self.answers_:
            raise DataError(f"No training patient has {listed(self.views)} and a known answer. Leave it out.")
        return self

    def again(self) -> ClassicalModel:
        """The same settings, not fitted, with the shares of penalties that were found."""
        found = {name: answer.shares for name, answer in self.answers_.items() if isinstance(answer, Linear)}
        return ClassicalModel(self.views, self.learner, found or None)

    def predict(self, cohort: Cohort) -> dict[str, Prediction]:
        """Predictions by target it learnt, for the patients it can answer for."""
        if not hasattr(self, "answers_"):
            raise NotFittedError("This ClassicalModel is not fitted yet. Call fit(cohort) first.")
        columns, here = self._columns([view.matrix(cohort) for view in self.views_])
        mine = cohort[here]
        return {name: said_by(self.heads_[name], answer(columns[here]), mine) for name, answer in self.answers_.items()}

    @property
    def parameters_(self) -> int:
        """Fitted numbers: coefficients, or leaves."""
        return sum(answer.size for answer in self.answers_.values())

    def _answer(self, name: str, columns: Floats, truth: TargetValues) -> Linear | Trees:
        if self.learner == "trees":
            return fit_trees(columns, truth)
        return fit_linear(columns, truth, (self.shares or {}).get(name))

    def _columns(self, blocks: list[tuple[Floats, npt.NDArray[np.bool_]]]) -> tuple[Floats, npt.NDArray[np.int64]]:
        """Views side by side, each with the same total variance, and the patients they speak of."""
        scaled = [values / scale for (values, _), scale in zip(blocks, self.scales_, strict=True)]
        if len(blocks) == 1:
            return scaled[0] * self.scales_[0], np.flatnonzero(blocks[0][1])
        lacking = np.stack([~present for _, present in blocks], axis=1)
        return np.concatenate([*scaled, lacking], axis=1), np.arange(len(lacking))


def spread(values: Floats) -> float:
    """The root of the total variance of some columns; 1 where there is none."""
    return float(np.sqrt(values.var(axis=0).sum())) or 1.0
