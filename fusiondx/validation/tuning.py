"""Tuning: settings chosen inside the training patients, so that judging the result is honest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import ParameterGrid

from fusiondx.auditing.settings import Audit
from fusiondx.core.predictions import Prediction
from fusiondx.data.cohort import Cohort
from fusiondx.data.splits import Fold
from fusiondx.errors import ConfigError, DataError
from fusiondx.model import FusionModel
from fusiondx.reporting.report import Report
from fusiondx.validation.audited import USUAL, audited
from fusiondx.validation.contender import Contender
from fusiondx.validation.judging import Index, Tell, run
from fusiondx.validation.reports import report
from fusiondx.validation.rivals import rivals, title_of


class Tuned(BaseEstimator):
    """A model whose settings are chosen by cross-validation among the patients it is fitted on.

    Parameters
    ----------
    model:
        A `FusionModel`.
    grid:
        Values to try by setting, as scikit-learn's `ParameterGrid` takes them:
        ``{"fusion": ["gated", "mean"], "fusion__dropout": [0.1, 0.3]}``.
    folds:
        Inner folds, whole sites where there are enough.
    seed:
        Of the inner folds.

    After `fit`: `model_` (refitted on all patients with the best settings), `best_params_`, `scores_` (one row per
    setting: the mean of `FusionModel.score` over the inner folds), `cohort_`.

    Examples
    --------
    >>> tuned = fdx.Tuned(fdx.FusionModel(training=quick), {"dim": [8, 16]}, folds=2).fit(train.select(["clinical"]))
    >>> sorted(tuned.best_params_)
    ['dim']
    """

    def __init__(self, model: FusionModel, grid: Any, folds: int = 3, seed: int = 0) -> None:
        self.model = model
        self.grid = grid
        self.folds = folds
        self.seed = seed

    def fit(self, cohort: Cohort, y: Any = None) -> Self:
        """Choose settings, then fit with them. Raises `DataError` where no setting can be judged."""
        settings = list(ParameterGrid(self.grid))
        inner = inner_folds(cohort, self.folds, self.seed)
        means = [self._mean(cohort, inner, one) for one in settings]
        if not np.isfinite(means).any():
            raise DataError("No setting could be judged on the inner folds. Ask for fewer, or give more patients.")
        self.best_params_ = settings[int(np.nanargmax(means))]
        self.scores_ = pd.DataFrame({"settings": [str(one) for one in settings], "score": means})
        self.model_: FusionModel = clone(self.model).set_params(**self.best_params_).fit(cohort)
        self.cohort_ = cohort
        return self

    def predict(self, cohort: Cohort) -> dict[str, Prediction]:
        """As `FusionModel.predict`."""
        if not hasattr(self, "model_"):
            raise NotFittedError("This Tuned model is not fitted yet. Call fit(cohort) first.")
        return self.model_.predict(cohort)

    @property
    def parameters_(self) -> int:
        """Trainable parameters of the chosen model."""
        return self.model_.parameters_

    def _mean(self, cohort: Cohort, inner: Sequence[Fold], settings: Mapping[str, Any]) -> float:
        found = []
        for train, test in inner:
            fitted = clone(self.model).set_params(**settings).fit(cohort[train])
            try:
                found.append(fitted.score(cohort[test]))
            except DataError:
                continue  # too few patients, or of one class: another fold says more
        return float(np.mean(found)) if found else np.nan


def inner_folds(cohort: Cohort, k: int, seed: int) -> Sequence[Fold]:
    """Folds of training patients: whole sites where there are enough of them, mixed ones otherwise, without a word."""
    enough = cohort.site is not None and len(set(cohort.site)) >= k
    return cohort.folds(k, group="site" if enough else None, seed=seed)


def nested_cross_validate(
    model: FusionModel,
    grid: Any,
    cohort: Cohort,
    folds: int | Iterable[tuple[Index, Index]] = 5,
    *,
    inner: int = 3,
    baselines: bool = True,
    replicates: int = 1000,
    seed: int = 0,
    title: str = "Nested cross-validation",
    progress: Tell | None = None,
    audit: Audit | None = USUAL,
) -> Report:
    """Cross-validate a model together with the tuning of its settings (Varma & Simon 2006).

    In each outer fold the settings in `grid` are compared on `inner` folds of its training patients only, as `Tuned`
    does; the best is fitted on all of them and judged on the outer test patients. So the result is of the procedure,
    not of one setting; notes tell what was chosen where. Baselines have the settings of `model` as it is. Raises
    `ConfigError` without folds, else as `cross_validate`.

    >>> clinical = cohort.select(modalities=["clinical"])
    >>> grid = {"dim": [8, 16]}
    >>> report = fdx.nested_cross_validate(
    ...     fdx.FusionModel(training=quick), grid, clinical, folds=2, inner=2, baselines=False, replicates=20
    ... )
    >>> report.targets
    ('survival', 'diagnosis')
    """
    pairs = cohort.folds(folds, seed=seed) if isinstance(folds, int) else list(folds)
    if not pairs:
        raise ConfigError("There are no folds to validate on.")
    lead = Contender(f"tuned {title_of(model)}", "model", Tuned(model, grid, inner, seed))
    notes = []
    for number, (train, test) in enumerate(pairs):
        fitted = lead.fit(cohort[train])
        lead.judge(fitted, cohort[test], number)
        notes.append(f"Fold {number + 1} of {len(pairs)} chose {fitted.best_params_}.")
        if progress:
            progress(f"{lead.name}: {notes[-1]}")
    others = rivals(model, cohort) if baselines else []
    notes += run(others, [(cohort[train], cohort[test]) for train, test in pairs], progress)
    made = report([lead, *others], cohort, notes, replicates, seed, title, f"{len(pairs)} folds")
    return audited(made, cohort, pairs, {}, audit)
