"""Usable: whether predictions can be judged beside their truths, and two models beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

import numpy as np
import numpy.typing as npt
import pandas as pd

from fusiondx.core.predictions import ClassPrediction, CompetingPrediction, LabelsPrediction, Prediction
from fusiondx.core.targets import TargetValues
from fusiondx.errors import DataError, counted, listed
from fusiondx.evaluation.metrics import metrics_for
from fusiondx.evaluation.observed import TOLERANCE
from fusiondx.evaluation.parts import Part, patients_of

CHANCES = ("probability", "curves", "incidence")
"""Fields of predictions that hold what must lie between 0 and 1."""


def require_usable(parts: Sequence[Part]) -> None:
    """Raise `DataError` for predictions that are not finite, do not match their truths, or are of mixed kinds, names or
    units, and for a patient whose truth is one in one part and another in the next."""
    if not parts:
        raise DataError("There is nothing to judge: no held-out set was given.")
    for prediction, truth in parts:
        _check(prediction, truth, parts[0])
    if len(parts) > 1:
        _check_truths(parts)


def require_paired(parts_a: Sequence[Part], parts_b: Sequence[Part]) -> None:
    """Raise `DataError` where ids, their order, or truths differ."""
    if len(parts_a) != len(parts_b):
        raise DataError(f"{len(parts_a)} held-out sets against {len(parts_b)}. Compare models on the same folds.")
    ids = zip(patients_of(parts_a), patients_of(parts_b), strict=True)
    for number, ((a, true_a), (b, true_b), (who_a, who_b)) in enumerate(
        zip(parts_a, parts_b, ids, strict=True), start=1
    ):
        if not np.array_equal(who_a.astype(str), who_b.astype(str)):
            odd = sorted({*map(str, who_a)} ^ {*map(str, who_b)})
            how = f"{counted(len(odd), 'patient')} in one only: {listed(odd)}" if odd else "another order"
            raise DataError(f"Held-out set {number} has other patients in a than in b ({how}). Pass the same.")
        if type(a) is not type(b) or not _same_truth(true_a, true_b):
            raise DataError(f"Held-out set {number} has other truths in a than in b. Compare one target at a time.")


def _same_truth(a: TargetValues, b: TargetValues) -> bool:
    return np.array_equal(a.known, b.known) and all(
        np.array_equal(a.fields[name][a.known], b.fields[name][b.known]) for name in a.fields
    )


def _check(prediction: Prediction, truth: TargetValues, first: Part) -> None:
    if type(prediction) is not type(first[0]) or metrics_for(prediction) != metrics_for(truth):
        raise DataError("Predictions and truths of different kinds were given. Judge one target at a time.")
    if len(prediction) != len(truth):
        raise DataError(
            f"{counted(len(prediction), 'prediction')} for {counted(len(truth), 'truth')}. Pass the same patients."
        )
    if isinstance(prediction, ClassPrediction) and prediction.classes != truth.classes:
        raise DataError("The classes predicted are not those of the truths, or in another order. Predict the same.")
    if isinstance(prediction, LabelsPrediction) and prediction.labels != truth.classes:
        raise DataError("The labels predicted are not those of the truths, or in another order. Predict the same.")
    if isinstance(prediction, CompetingPrediction) and prediction.causes != truth.classes:
        raise DataError("The causes predicted are not those of the truths, or in another order. Predict the same.")
    said, true = (getattr(given, "unit", "") for given in (prediction, truth.spec))
    if said and true and said != true:  # a number may come without
        raise DataError(f"Predictions are in {said}, truths in {true}. Give both in the same unit.")
    asked, same = _question(prediction, truth), _question(*first)
    if odd := [name for name in asked if asked[name] != same[name]]:
        raise DataError(f"Held-out sets differ in {listed(odd)}, or in the order of them. Judge one question only.")
    if who := _known(prediction, truth, ~np.isfinite(getattr(prediction, prediction.per_patient[0]))):
        raise DataError(f"The prediction is not a finite number for {who}. Check the model's training.")
    for chance in (getattr(prediction, name) for name in prediction.per_patient if name in CHANCES):
        if who := _known(prediction, truth, ~((chance >= -TOLERANCE) & (chance <= 1 + TOLERANCE))):
            raise DataError(f"A probability is below 0, above 1 or no number for {who}. Give probabilities.")
    ids, times = np.unique(prediction.ids.astype(str), return_counts=True)
    if (times > 1).any():
        raise DataError(f"Patients twice in one held-out set: {listed(ids[times > 1])}. Keep one prediction of each.")


def _question(prediction: Prediction, truth: TargetValues) -> dict[str, object]:
    """What is the same in every part: names and their order, and units."""
    each = {field.name: getattr(prediction, field.name) for field in fields(prediction)}
    own = {name: value for name, value in each.items() if name not in ("ids", "times", *prediction.per_patient)}
    return own | {f"true {name}": getattr(truth.spec, name, "") for name in ("unit", "cause")}


def _known(prediction: Prediction, truth: TargetValues, wrong: npt.NDArray[np.bool_]) -> str:
    """The patients of known truth with something wrong, for a message; blank where there are none."""
    those = prediction.ids[truth.known & wrong.any(axis=tuple(range(1, wrong.ndim)))]
    return f"{counted(len(those), 'patient')}: {listed(those)}" if len(those) else ""


def _check_truths(parts: Sequence[Part]) -> None:
    ids = np.concatenate(patients_of(parts)).astype(str)
    if pd.Index(ids).is_unique:
        return
    for name in parts[0][1].fields.keys() - {"told"}:
        held = [np.where(_told(truth, name), truth.fields[name], np.nan) for _, truth in parts]
        several = pd.DataFrame(np.concatenate(held)).groupby(ids).nunique().gt(1).any(axis=1)
        if several.any():
            raise DataError(
                f"{counted(int(several.sum()), 'patient')} of another truth in one held-out set than in another: "
                f"{listed(several.index[several])}. Give different patients different 'ids'."
            )


def _told(truth: TargetValues, field: str) -> npt.NDArray[np.bool_]:
    """Which entries of a field mean something."""
    known = truth.known.reshape(-1, *[1] * (truth.fields[field].ndim - 1))
    return known & truth.fields["told"].astype(bool) if "told" in truth.fields else known
