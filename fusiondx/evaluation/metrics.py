"""The metrics there are, and those that fit a prediction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fusiondx.core.predictions import (
    CausePrediction,
    ClassPrediction,
    CompetingPrediction,
    LabelsPrediction,
    MaskPrediction,
    NumberPrediction,
    Prediction,
    SurvivalPrediction,
)
from fusiondx.core.targets import TargetValues
from fusiondx.evaluation import classification, deviation, discrimination
from fusiondx.evaluation.ratio import mean_of_defined, ratio

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.floating[Any]]
Kind = Literal["classes", "labels", "survival", "competing", "cause", "number", "mask"]


@dataclass(frozen=True)
class Metric:
    """What a metric is called, and how to read it.

    >>> evaluation.METRICS["brier"].higher_is_better
    False
    """

    title: str
    kind: Kind
    """The kind of target it judges."""
    higher_is_better: bool = True
    secondary: bool = False
    """Not to choose or to praise a model by: it judges one threshold, or depends on bins."""
    ideal: float | None = None
    """The value of a model that is right, for metrics of which neither more nor less is better."""
    classes: Literal["any", "two", "several"] = "any"
    """How many classes it is for."""
    fitted: bool = False
    """It is not bootstrapped: of several folds it has an interval of its own, and a difference of it has none here."""


METRICS: Mapping[str, Metric] = {
    "auroc": Metric("AUROC", "classes"),
    "average_precision": Metric("Average precision", "classes"),
    "hand_till": Metric("AUROC, mean over pairs of classes (Hand-Till)", "classes", classes="several"),
    "brier": Metric("Brier score", "classes", higher_is_better=False),
    "brier_skill": Metric("Brier skill score", "classes"),
    "calibration_intercept": Metric(
        "Calibration in the large", "classes", higher_is_better=False, ideal=0.0, classes="two", fitted=True
    ),
    "calibration_slope": Metric(
        "Calibration slope", "classes", higher_is_better=False, ideal=1.0, classes="two", fitted=True
    ),
    "observed_expected": Metric(
        "Observed / expected", "classes", higher_is_better=False, ideal=1.0, classes="two", fitted=True
    ),
    "ici": Metric("Integrated calibration index", "classes", higher_is_better=False, classes="two", fitted=True),
    "accuracy": Metric("Accuracy", "classes", secondary=True),
    "balanced_accuracy": Metric("Balanced accuracy", "classes", secondary=True),
    "recall": Metric("Recall", "classes", secondary=True),
    "precision": Metric("Precision", "classes", secondary=True),
    "f1": Metric("F1", "classes", secondary=True),
    "mcc": Metric("Matthews correlation", "classes", secondary=True),
    "ece": Metric(
        "Expected calibration error",
        "classes",
        higher_is_better=False,
        secondary=True,
        classes="two",
        fitted=True,
    ),
    "macro_auroc": Metric("AUROC, mean over labels", "labels"),
    "macro_average_precision": Metric("Average precision, mean over labels", "labels"),
    "c_index": Metric("Harrell's C-index", "survival"),
    "uno_c": Metric("Uno's C-index", "survival", fitted=True),
    "dynamic_auc": Metric("AUC at the median event time", "survival", fitted=True),
    "ibs": Metric("Integrated Brier score", "survival", higher_is_better=False, fitted=True),
    "ipa": Metric("Index of prediction accuracy at the median event time", "survival", fitted=True),
    "mean_cause_c_index": Metric("Cause-specific C-index, mean over causes", "competing"),
    "cause_c_index": Metric("Cause-specific C-index", "cause"),
    "cause_auc": Metric("Cause-specific AUC at the median event time", "cause", fitted=True),
    "cause_brier": Metric(
        "Cause-specific Brier score at the median event time", "cause", higher_is_better=False, fitted=True
    ),
    "cause_ipa": Metric("Cause-specific index of prediction accuracy then", "cause", fitted=True),
    "mse": Metric("Mean squared error", "number", higher_is_better=False),
    "mae": Metric("Mean absolute error", "number", higher_is_better=False),
    "r2": Metric("R²", "number"),
    "dice": Metric("Dice, mean over patients", "mask"),
    "iou": Metric("Intersection over union, mean over patients", "mask"),
}
"""By name; the first of each kind is the primary one."""

KINDS: Mapping[type[Prediction], Kind] = {
    ClassPrediction: "classes",
    LabelsPrediction: "labels",
    SurvivalPrediction: "survival",
    CompetingPrediction: "competing",
    CausePrediction: "cause",
    NumberPrediction: "number",
    MaskPrediction: "mask",
}


def metrics_for(about: Prediction | type[Prediction] | TargetValues) -> tuple[str, ...]:
    """Names of the metrics that fit a prediction or a target.

    >>> evaluation.metrics_for(cohort.targets["survival"])[:2]
    ('c_index', 'uno_c')
    """
    if isinstance(about, TargetValues):
        kind: Kind = about.spec.kind
    else:
        kind = KINDS[about if isinstance(about, type) else type(about)]
    other = _other(about)
    return tuple(name for name, metric in METRICS.items() if metric.kind == kind and metric.classes != other)


def _other(about: Prediction | type[Prediction] | TargetValues) -> Literal["two", "several"]:
    """Which number of classes this is not; two of a kind alone."""
    classes = about.classes if isinstance(about, ClassPrediction | TargetValues) else ()
    return "two" if len(classes) > 2 else "several"


def primary_metric(about: Prediction | type[Prediction] | TargetValues) -> str:
    """The metric to look at first: ``auroc``, ``c_index``, ``mse`` or ``dice``.

    >>> evaluation.primary_metric(cohort.targets["diagnosis"])
    'auroc'
    """
    return metrics_for(about)[0]


def measure(prediction: Prediction, truth: TargetValues, counts: Array | None = None) -> dict[str, Floats]:
    """Every metric that suits, but for those that are fitted, by name; NaN where these patients cannot give it.

    The patients' truth must be known.

    ``counts``, shape ``(..., patients)``, says how often each patient is there; values have shape ``(...)``.
    """
    if isinstance(prediction, ClassPrediction):
        return _classes(prediction, truth.fields["label"].astype(np.int64), counts)
    if isinstance(prediction, LabelsPrediction):
        return {
            "macro_auroc": _over_labels(discrimination.auroc, prediction, truth, counts),
            "macro_average_precision": _over_labels(discrimination.average_precision, prediction, truth, counts),
        }
    if isinstance(prediction, SurvivalPrediction):
        outcome = truth.fields["time"], truth.fields["event"]
        return {"c_index": discrimination.concordance(prediction.risk, *outcome, counts)}
    if isinstance(prediction, CompetingPrediction):
        each = [_of_cause(prediction.of_cause(name), truth.of_cause(name), counts) for name in prediction.causes]
        return {"mean_cause_c_index": mean_of_defined(np.stack(each, axis=-1))}
    if isinstance(prediction, CausePrediction):
        return {"cause_c_index": _of_cause(prediction, truth, counts)}
    if isinstance(prediction, MaskPrediction):
        dice = prediction.dice(truth.fields["value"])
        return {"dice": deviation.mean(dice, counts), "iou": deviation.mean(dice / (2 - dice), counts)}
    assert isinstance(prediction, NumberPrediction)
    given = prediction.value, truth.fields["value"], counts
    return {
        "mse": deviation.mean_squared_error(*given),
        "mae": deviation.mean_absolute_error(*given),
        "r2": deviation.r_squared(*given),
    }


def _of_cause(prediction: CausePrediction, truth: TargetValues, counts: Array | None) -> Floats:
    """Harrell's C-index of one cause, where whoever met another cause is censored then (Wolbers et al. 2009)."""
    return discrimination.concordance(prediction.risk, truth.fields["time"], truth.fields["event"] == 1, counts)


def _over_labels(
    metric: discrimination.Metric, prediction: LabelsPrediction, truth: TargetValues, counts: Array | None
) -> Floats:
    """Mean of a binary `metric` over labels, each on the patients in whom it is known; undefined ones are left out, and
    those known in nobody."""
    told, yes = truth.fields["told"].astype(bool), truth.fields["label"] == 1
    each = [
        metric(prediction.probability[here, j], yes[here, j], None if counts is None else counts[..., here])
        for j, here in enumerate(told.T)
        if here.any()
    ]
    return mean_of_defined(np.stack(each, axis=-1))


def _classes(prediction: ClassPrediction, label: Array, counts: Array | None) -> dict[str, Floats]:
    confusion = classification.confusion_matrix(label, prediction.label, len(prediction.classes), counts)
    return {
        "auroc": _ranked(discrimination.auroc, prediction.probability, label, counts),
        "average_precision": _ranked(discrimination.average_precision, prediction.probability, label, counts),
        **_hand_till(prediction, label, counts),
        **_squared(prediction, label, counts),
        "accuracy": classification.accuracy(confusion),
        "balanced_accuracy": classification.balanced_accuracy(confusion),
        "recall": classification.recall(confusion),
        "precision": classification.precision(confusion),
        "f1": classification.f1(confusion),
        "mcc": classification.matthews_correlation(confusion),
    }


def _hand_till(prediction: ClassPrediction, label: Array, counts: Array | None) -> dict[str, Floats]:
    if len(prediction.classes) == 2:
        return {}
    return {"hand_till": discrimination.hand_till(prediction.probability, label, counts)}


def _squared(prediction: ClassPrediction, label: Array, counts: Array | None) -> dict[str, Floats]:
    """Brier score: of the positive class of two, 0 to 1, else summed over classes, 0 to 2 (Brier 1950)."""
    true = label[:, None] == np.arange(len(prediction.classes))
    two = len(prediction.classes) == 2
    terms = ((prediction.probability - true) ** 2).sum(axis=1) / (2 if two else 1)
    brier = deviation.mean(terms, counts)
    shares = np.stack([deviation.mean(column, counts) for column in true.T.astype(np.float64)], axis=-1)
    null = (shares * (1 - shares)).sum(axis=-1) / (2 if two else 1)
    return {"brier": brier, "brier_skill": 1 - ratio(brier, null)}


def _ranked(metric: discrimination.Metric, probability: Floats, label: Array, counts: Array | None) -> Floats:
    if probability.shape[1] == 2:
        return metric(probability[:, 1], label == 1, counts)
    return discrimination.one_vs_rest(metric, probability, label, counts)
