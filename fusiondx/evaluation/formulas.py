"""Intervals by formula: of one held-out set where they cover better than a bootstrap, and over folds together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fusiondx.core.predictions import ClassPrediction, LabelsPrediction, Prediction
from fusiondx.core.targets import TargetValues
from fusiondx.evaluation import confusion
from fusiondx.evaluation.average_precision import estimate_average_precision
from fusiondx.evaluation.brier import estimate_brier, estimate_brier_skill
from fusiondx.evaluation.calibration import (
    estimate_calibration_errors,
    estimate_calibration_intercept,
    estimate_calibration_slope,
    estimate_observed_expected,
)
from fusiondx.evaluation.classification import confusion_matrix
from fusiondx.evaluation.delong import estimate_auroc
from fusiondx.evaluation.ece import estimate_ece
from fusiondx.evaluation.estimate import Estimate, Outcome
from fusiondx.evaluation.multiclass import estimate_hand_till, estimate_one_vs_rest, estimate_over_labels

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

BINARY: dict[str, Callable[[Floats, Array], Outcome]] = {
    "auroc": estimate_auroc,
    "average_precision": estimate_average_precision,
    "brier": estimate_brier,
    "brier_skill": estimate_brier_skill,
}
FITTED: dict[str, Callable[[Floats, Array, Array | None], Outcome]] = {
    "calibration_intercept": estimate_calibration_intercept,
    "calibration_slope": estimate_calibration_slope,
    "observed_expected": estimate_observed_expected,
    "ici": lambda probability, positive, patient: estimate_calibration_errors(probability, positive, patient)[0],
    "ece": estimate_ece,
}
"""Metrics that have to be fitted or need many patients; of several folds they are taken over all at once."""
TABLES: dict[str, Callable[[Floats], Outcome]] = {
    "accuracy": confusion.estimate_accuracy,
    "balanced_accuracy": confusion.estimate_balanced_accuracy,
    "recall": confusion.estimate_recall,
    "precision": confusion.estimate_precision,
    "f1": confusion.estimate_f1,
    "mcc": confusion.estimate_mcc,
}


def by_formula(prediction: Prediction, truth: TargetValues) -> dict[str, Outcome]:
    """Metrics of one set of patients, all of known truth and each there once, that have an interval of their own."""
    if isinstance(prediction, LabelsPrediction):
        answers = (
            np.asarray(prediction.probability, dtype=np.float64),
            truth.fields["label"],
            truth.fields["told"].astype(bool),
        )
        return {f"macro_{name}": estimate_over_labels(name, *answers) for name in ("auroc", "average_precision")}
    if not isinstance(prediction, ClassPrediction):
        return {}
    label = truth.fields["label"].astype(np.int64)
    table = np.asarray(confusion_matrix(label, prediction.label, len(prediction.classes)), dtype=np.float64)
    if len(prediction.classes) > 2:
        ranked = {
            name: estimate_one_vs_rest(name, prediction.probability, label) for name in ("auroc", "average_precision")
        }
        called = {name: TABLES[name](table) for name in ("accuracy", "balanced_accuracy")}
        return {**ranked, "hand_till": estimate_hand_till(prediction.probability, label), **called}
    positive, events = label == 1, int((label == 1).sum())
    chance = np.asarray(prediction.probability[:, 1], dtype=np.float64)
    ranked = {name: metric(chance, positive) for name, metric in BINARY.items()}
    fitted = {name: metric(chance, positive, None) for name, metric in FITTED.items()}
    called = {name: replace(metric(table), events=events) for name, metric in TABLES.items()}
    return {**ranked, **fitted, **called}


def fitted_over_folds(answers: Floats, patient: Array, events: int | None) -> dict[str, Outcome]:
    """`FITTED` metrics of predictions from several folds at once; `answers` are probabilities and positives, by row.

    A patient may be in several rows; intervals are clustered by patient, and patients are counted once.
    """
    chance, positive = answers[0], answers[1] == 1
    several = len(np.unique(patient)) < len(patient)
    found = {name: metric(chance, positive, patient if several else None) for name, metric in FITTED.items()}
    return {name: _over_folds(outcome, len(np.unique(patient)), events) for name, outcome in found.items()}


def _over_folds(outcome: Outcome, patients: int, events: int | None) -> Outcome:
    if isinstance(outcome, Estimate):
        return replace(outcome, n=patients, events=events, method=f"all folds together; {outcome.method}")
    return replace(outcome, n=patients, events=events)
