"""Out-of-fold predictions of all folds as one set, and two models compared on it, patient by patient.

The mean over folds that `score` gives ignores how fold sizes differ, and the spread of folds is no standard error of
it: folds share their training patients (Bates, Hastie & Tibshirani 2023). Pooled, a metric is one number of all
patients, and what each patient adds to it gives its variance (LeDell et al. 2015). Pairs of patients from different
folds count too, so models whose scores are not comparable from fold to fold look worse than they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fusiondx.core.predictions import (
    CausePrediction,
    ClassPrediction,
    CompetingPrediction,
    NumberPrediction,
    Prediction,
    SurvivalPrediction,
)
from fusiondx.core.targets import TargetValues
from fusiondx.errors import ConfigError, did_you_mean
from fusiondx.evaluation import checking
from fusiondx.evaluation.delong import from_influence
from fusiondx.evaluation.estimate import Outcome, Undefined
from fusiondx.evaluation.folds import SHARED, spread_over
from fusiondx.evaluation.multiclass import INFLUENCES
from fusiondx.evaluation.parts import Part, patients_of
from fusiondx.evaluation.usable import require_paired, require_usable

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Found = tuple[float, Floats]


def pool(parts: Sequence[Part]) -> Part:
    """All parts as one, without the patients whose truth is unknown; a patient of several parts has several rows.

    Curves are read at the times of all parts; where a part has none, there are none. Raises `DataError` as `score`.

    >>> folds = [evaluation.class_part(probability[half], positive[half]) for half in (slice(0, 200), slice(200, 400))]
    >>> len(evaluation.pool(folds)[0])
    400
    """
    require_usable(parts)
    said = [
        replace(prediction, ids=ids).take(truth.known)
        for (prediction, truth), ids in zip(parts, patients_of(parts), strict=True)
    ]
    truths = [truth[truth.known] for _, truth in parts]
    fields = {name: np.concatenate([truth.fields[name] for truth in truths]) for name in truths[0].fields}
    return _stacked(said), replace(truths[0], fields=fields, known=np.ones(sum(map(len, said)), dtype=bool))


def _stacked(said: Sequence[Prediction]) -> Prediction:
    alike = _on_one_grid(said)
    names = ("ids", *alike[0].per_patient)
    return replace(alike[0], **{name: np.concatenate([getattr(each, name) for each in alike]) for name in names})


def _on_one_grid(said: Sequence[Prediction]) -> Sequence[Prediction]:
    """Curves read at the times of all; none where somebody has none."""
    timed = [each for each in said if isinstance(each, SurvivalPrediction | CompetingPrediction | CausePrediction)]
    if not timed:
        return said
    whole = all(len(each.times) for each in timed)
    times = np.unique(np.concatenate([each.times for each in timed])) if whole else np.empty(0)
    return [each.at(times) for each in timed]


def pooled_difference(parts_a: Sequence[Part], parts_b: Sequence[Part], metric: str) -> Outcome:
    """`metric` of a minus that of b over all folds' predictions together, with a paired 95 % interval and p-value.

    Both are of the same patients in the same folds; a patient of several folds counts as one. Metrics: `auroc`,
    `average_precision`, `brier` and `accuracy` of classes, `mse` and `mae` of numbers. Of one set two AUROCs are
    compared by DeLong's test; of folds, standard errors grow by `folds.spread_over`. `Undefined` where the patients
    cannot give the metric; raises `ConfigError` for another one, and `DataError` as `difference`.

    >>> ids = np.arange(400)
    >>> a, b = (evaluation.class_part(said, positive, ids=ids) for said in (probability, 1 - probability))
    >>> evaluation.pooled_difference([a], [b], "auroc").value > 0
    True
    """
    require_paired(parts_a, parts_b)
    a, b = pool(parts_a), pool(parts_b)
    known = [name for kind, name in _FOUND if isinstance(a[0], kind)]
    if metric not in known:
        raise ConfigError(f"No pooled comparison by '{metric}' of such predictions.{did_you_mean(metric, known)}")
    find = next(find for (kind, name), find in _FOUND.items() if name == metric and isinstance(a[0], kind))
    _, patient = np.unique(a[0].ids.astype(str), return_inverse=True)
    patients = int(patient.max(initial=-1)) + 1
    events = _events(a, patient, patients)
    if reason := _lacking(a):
        return Undefined(metric, reason, patients, events)
    (value_a, influence_a), (value_b, influence_b) = find(*a), find(*b)
    together = np.bincount(patient, weights=influence_a - influence_b, minlength=patients).astype(np.float64)
    together *= spread_over(len(parts_a))
    folds, shared = (f"{len(parts_a)} folds together", SHARED) if len(parts_a) > 1 else ("one held-out set", "")
    method = f"paired difference over {folds}; 95 % interval and p-value by influence functions, patient by patient"
    return from_influence(metric, value_a - value_b, together, patients, events, method + shared)


def _auroc_like(metric: str) -> Callable[[Prediction, TargetValues], Found]:
    def find(prediction: Prediction, truth: TargetValues) -> Found:
        assert isinstance(prediction, ClassPrediction)
        label = truth.fields["label"].astype(np.int64)
        chance = np.asarray(prediction.probability, dtype=np.float64)
        there = [1] if len(prediction.classes) == 2 else [int(k) for k in np.unique(label)]
        each = [INFLUENCES[metric](chance[:, k], label == k) for k in there]
        return float(np.mean([value for value, _ in each])), np.mean([influence for _, influence in each], axis=0)

    return find


def _brier(prediction: Prediction, truth: TargetValues) -> Found:
    assert isinstance(prediction, ClassPrediction)
    true = truth.fields["label"].astype(np.int64)[:, None] == np.arange(len(prediction.classes))
    terms = ((prediction.probability - true) ** 2).sum(axis=1)
    return _mean(terms / 2 if len(prediction.classes) == 2 else terms)


def _accuracy(prediction: Prediction, truth: TargetValues) -> Found:
    assert isinstance(prediction, ClassPrediction)
    return _mean((prediction.label == truth.fields["label"]).astype(np.float64))


def _squared(prediction: Prediction, truth: TargetValues) -> Found:
    assert isinstance(prediction, NumberPrediction)
    return _mean((prediction.value - truth.fields["value"]) ** 2)


def _absolute(prediction: Prediction, truth: TargetValues) -> Found:
    assert isinstance(prediction, NumberPrediction)
    return _mean(np.abs(prediction.value - truth.fields["value"]))


def _mean(terms: npt.NDArray[np.floating[Any]]) -> Found:
    value, n = float(terms.mean()), len(terms)
    return value, (terms - value) / np.sqrt(n * max(n - 1, 1))


_FOUND: dict[tuple[type[Prediction], str], Callable[[Prediction, TargetValues], Found]] = {
    (ClassPrediction, "auroc"): _auroc_like("auroc"),
    (ClassPrediction, "average_precision"): _auroc_like("average_precision"),
    (ClassPrediction, "brier"): _brier,
    (ClassPrediction, "accuracy"): _accuracy,
    (NumberPrediction, "mse"): _squared,
    (NumberPrediction, "mae"): _absolute,
}
"""Value and influence of each row, by kind of prediction and metric."""


def _events(part: Part, patient: Array, patients: int) -> int | None:
    prediction, truth = part
    if not isinstance(prediction, ClassPrediction) or len(prediction.classes) > 2:
        return None
    return int((np.bincount(patient, weights=truth.fields["label"] == 1, minlength=patients) > 0).sum())


def _lacking(part: Part) -> str | None:
    prediction, truth = part
    if not len(prediction):
        return "no patient whose truth is known"
    if not isinstance(prediction, ClassPrediction):
        return None
    if len(prediction.classes) == 2:
        return checking.lacking(truth.fields["label"] == 1)
    return "no two classes" if len(np.unique(truth.fields["label"])) < 2 else None
