"""Baselines: what a classical model makes of one table. Every result of ours stands beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.model_selection import GridSearchCV, StratifiedKFold

from fusiondx.core.predictions import (
    ClassPrediction,
    CompetingPrediction,
    LabelsPrediction,
    NumberPrediction,
    Prediction,
    SurvivalPrediction,
)
from fusiondx.core.targets import Classes, CompetingRisks, Labels, Survival, TargetValues
from fusiondx.data.cohort import Cohort
from fusiondx.data.preprocess import TablePreparation, fit_table
from fusiondx.data.tables import TableData
from fusiondx.errors import ConfigError
from fusiondx.evaluation.discrimination import concordance
from fusiondx.survival.estimators import breslow
from fusiondx.survival.regression import fit_cox

Floats = npt.NDArray[np.floating[Any]]
Answer = Callable[[Floats, npt.NDArray[Any]], Prediction]

PENALTIES = tuple(10.0**power for power in range(-1, 4))
"""Ridge penalties tried inside the training patients."""
FOLDS = 5


class ClinicalBaseline(BaseEstimator):
    """Regularised regression on one table: logistic for classes and labels, Cox for survival and for each of several
    causes, ridge for numbers.

    The penalty is chosen by cross-validation among the training patients. Interface as `FusionModel`'s.

    Parameters
    ----------
    modality:
        Name of the table.
    """

    def __init__(self, modality: str) -> None:
        self.modality = modality

    def fit(self, cohort: Cohort, y: Any = None) -> Self:
        """Fit one regression per target, on the patients who have the table and a known value."""
        data, rows, who = self._rows(cohort)
        self.preparation_: TablePreparation = fit_table(self.modality, data, rows)
        inputs = design(self.preparation_, data, rows)
        self.answers_: dict[str, Answer] = {}
        for name, values in cohort.targets.items():
            mine = values[who]
            self.answers_[name] = fitted(inputs[mine.known], mine[mine.known])
        return self

    def predict(self, cohort: Cohort) -> dict[str, Prediction]:
        """Predictions by target, for the patients who have the table."""
        if not hasattr(self, "answers_"):
            raise NotFittedError("This ClinicalBaseline is not fitted yet. Call fit(cohort) first.")
        data, rows, who = self._rows(cohort)
        inputs = design(self.preparation_, data, rows)
        return {name: answer(inputs, cohort.ids[who]) for name, answer in self.answers_.items()}

    def _rows(self, cohort: Cohort) -> tuple[TableData, npt.NDArray[Any], npt.NDArray[Any]]:
        modality = cohort.modalities.get(self.modality)
        if modality is None or not isinstance(modality.data, TableData):
            raise ConfigError(f"A clinical baseline needs a table; the cohort has none called '{self.modality}'.")
        who, rows = modality.locate(np.arange(len(cohort)))
        latest = np.diff(who, append=-1) != 0  # of several observations, in the order of their times
        return modality.data, rows[latest], who[latest]


def design(preparation: TablePreparation, data: TableData, rows: npt.NDArray[Any]) -> Floats:
    """Standardised numbers beside one-hot categories; an unseen category is all zeros."""
    arrays = preparation.arrays(data, rows)
    coded = [np.eye(n + 1)[arrays["codes"][:, i]][:, 1:] for i, n in enumerate(preparation.levels)]
    return np.concatenate([arrays["numeric"].astype(np.float64), *coded], axis=1)


def fitted(inputs: Floats, truth: TargetValues) -> Answer:
    """The regression that fits the kind of target."""
    if isinstance(truth.spec, Classes):
        return logistic(inputs, truth)
    if isinstance(truth.spec, Labels):
        return logistic_per_label(inputs, truth)
    if isinstance(truth.spec, CompetingRisks):
        return cox_per_cause(inputs, truth)
    return cox(inputs, truth) if isinstance(truth.spec, Survival) else ridge(inputs, truth)


def logistic(inputs: Floats, truth: TargetValues) -> Answer:
    label = truth.fields["label"].astype(int)
    folds = min(FOLDS, int(np.bincount(label)[np.unique(label)].min()))
    model: Any = LogisticRegression(max_iter=1000)
    if folds > 1:
        grid = {"C": [1 / penalty for penalty in PENALTIES]}
        splits = StratifiedKFold(folds, shuffle=True, random_state=0)
        model = GridSearchCV(model, grid, scoring="neg_log_loss", cv=splits)
    model.fit(inputs, label)

    def answer(x: Floats, ids: npt.NDArray[Any]) -> Prediction:
        probability = np.zeros((len(x), len(truth.classes)))
        probability[:, model.classes_] = model.predict_proba(x)
        return ClassPrediction(ids, truth.classes, probability)

    return answer


def logistic_per_label(inputs: Floats, truth: TargetValues) -> Answer:
    """A regression for each label that tells patients apart; the frequency of one that does not."""
    answers: list[Answer] = []
    for name in truth.classes:
        mine = truth.of_label(name)
        yes = mine.fields["label"][mine.known]
        answers.append(logistic(inputs[mine.known], mine[mine.known]) if len(set(yes)) > 1 else constant(yes))

    def answer(x: Floats, ids: npt.NDArray[Any]) -> Prediction:
        found = [said for one in answers if isinstance(said := one(x, ids), ClassPrediction)]
        return LabelsPrediction(ids, truth.classes, np.stack([said.probability[:, 1] for said in found], axis=1))

    return answer


def constant(yes: npt.NDArray[Any]) -> Answer:
    """The same answer to everyone: the share of yes, one half where nothing is known."""
    share = float(yes.mean()) if len(yes) else 0.5
    return lambda x, ids: ClassPrediction(ids, ("no", "yes"), np.tile([1 - share, share], (len(x), 1)))


def cox(inputs: Floats, truth: TargetValues) -> Answer:
    time, event = truth.fields["time"], truth.fields["event"]
    beta = fit_cox(inputs, time, event, best_penalty(inputs, time, event))
    centre = (inputs @ beta).mean()
    times, hazard = breslow(inputs @ beta - centre, time, event)
    assert isinstance(truth.spec, Survival)
    unit = truth.spec.unit

    def answer(x: Floats, ids: npt.NDArray[Any]) -> Prediction:
        risk = x @ beta - centre
        return SurvivalPrediction(ids, risk, times, np.exp(-np.exp(risk[:, None]) * hazard[None, :]), unit)

    return answer


def cox_per_cause(inputs: Floats, truth: TargetValues) -> Answer:
    """A hazard for each cause, to which the other causes are censoring; together they give the incidence of each."""
    assert isinstance(truth.spec, CompetingRisks)
    time, causes, unit = truth.fields["time"], truth.classes, truth.spec.unit
    events = [truth.of_cause(name).fields["event"] for name in causes]
    betas = [fit_cox(inputs, time, e, best_penalty(inputs, time, e)) if e.any() else None for e in events]
    times = np.unique(time[truth.fields["event"] > 0])
    steps = np.zeros((len(causes), len(times)))
    for k, beta in enumerate(betas):
        if beta is not None:
            at, hazard = breslow(inputs @ beta, time, events[k])
            steps[k, np.searchsorted(times, at)] = np.diff(hazard, prepend=0.0)

    def answer(x: Floats, ids: npt.NDArray[Any]) -> Prediction:
        ratio = np.stack([np.ones(len(x)) if beta is None else np.exp(x @ beta) for beta in betas], axis=1)
        return CompetingPrediction.of_incidence(ids, causes, times, incidence(ratio[:, :, None] * steps), unit)

    return answer


def incidence(steps: Floats) -> Floats:
    """The chance to have met each cause by each time, from the steps of their cumulative hazards: all of shape
    ``(patients, causes, times)``."""
    total = steps.sum(axis=1, keepdims=True)
    before = np.exp(-np.cumsum(total, axis=2) + total)  # free of any event just before each time
    share = np.divide(steps, total, out=np.zeros_like(steps), where=total > 0)
    return np.asarray(np.cumsum(before * -np.expm1(-total) * share, axis=2))


def best_penalty(inputs: Floats, time: Floats, event: Floats) -> float:
    """The penalty with the best mean concordance over inner folds."""
    folds = min(FOLDS, int(event.sum()), int((event == 0).sum()) or len(event))
    if folds < 2:
        return 1.0
    splits = list(StratifiedKFold(folds, shuffle=True, random_state=0).split(inputs, event))

    def worth(penalty: float) -> float:
        found = [
            float(
                concordance(
                    inputs[test] @ fit_cox(inputs[train], time[train], event[train], penalty), time[test], event[test]
                )
            )
            for train, test in splits
        ]
        return float(np.nanmean(found)) if np.isfinite(found).any() else 0.0

    return max(PENALTIES, key=worth)


def ridge(inputs: Floats, truth: TargetValues) -> Answer:
    model = RidgeCV(alphas=PENALTIES).fit(inputs, truth.fields["value"])
    unit = getattr(truth.spec, "unit", "")
    return lambda x, ids: NumberPrediction(ids, np.asarray(model.predict(x)), unit)
