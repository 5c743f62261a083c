"""Predictions that any tool wrote to a table, read beside the truth: joined by patient id, in any order."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from fusiondx.core.predictions import CompetingPrediction, Prediction
from fusiondx.core.targets import AnyTarget, Classes, CompetingRisks, Labels, Number, TargetValues
from fusiondx.data.outcomes import read_target
from fusiondx.data.reading import FrameSource, Source, need_columns, numbers, read_ids, refuse_duplicate_ids
from fusiondx.errors import DataError, counted, listed
from fusiondx.evaluation.observed import TOLERANCE
from fusiondx.evaluation.parts import Part, class_part, label_part, number_part, survival_part

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]


def read_predictions(
    predictions: pd.DataFrame,
    truth: pd.DataFrame,
    target: AnyTarget,
    *,
    id: str = "patient_id",
    unpredicted: Literal["refuse", "leave out"] = "refuse",
) -> Part:
    """Predictions and truths of the same patients, for `fusiondx.evaluation.score`; both tables have a row per patient.

    The columns that hold predictions go by the target. A diagnosis: ``probability[CLASS]`` for every class, or
    ``probability`` of the second of two; where the target names no classes they are those with a column, in that
    order. Labels: ``probability[LABEL]`` each. A prognosis: ``risk``, higher is worse, and where there are curves
    ``survival[TIME]``, the probability to be event-free beyond that time. Of several causes, each
    ``incidence[CAUSE][TIME]``, the probability that it comes first, and by that time, or ``risk[CAUSE]``, or both; a
    risk that is left out is the mean incidence over the times. A number: ``value``.

    Raises `DataError` for patients that are there twice, predicted but unknown, or, unless they are to be left out,
    without a prediction; for columns that are missing, and for values that cannot be what they stand for.
    """
    said, known = FrameSource(predictions, "the predictions"), FrameSource(truth, "the truth")
    ids, patients = read_ids(said, id), read_ids(known, id)
    refuse_duplicate_ids(ids, said.name)
    refuse_duplicate_ids(patients, known.name)
    if strange := sorted(set(ids) - set(patients)):
        raise DataError(
            f"{counted(len(strange), 'patient')} predicted but not in the truth: {listed(strange)}. Remove them, or "
            "add their rows."
        )
    if (missing := sorted(set(patients) - set(ids))) and unpredicted == "refuse":
        raise DataError(
            f"{counted(len(missing), 'patient')} of the truth without a prediction: {listed(missing)}. Predict them, "
            "or pass unpredicted='leave out' where they were not meant to be."
        )
    named = with_classes(target, said.columns)
    answers = read_target(named, known, patients)[pd.Index(patients).get_indexer(pd.Index(ids))]
    return _read(named, said, ids, answers), answers


def with_classes(target: AnyTarget, columns: Sequence[str]) -> AnyTarget:
    """The target with the classes that have a column, where it names none."""
    found = tuple(match[1] for column in columns if (match := re.fullmatch(r"probability\[(.+)\]", column)))
    return target.replace(classes=found) if isinstance(target, Classes) and not target.classes and found else target


def _read(target: AnyTarget, said: Source, ids: Array, truth: TargetValues) -> Prediction:
    """The prediction in the columns of `said`, checked as any other is."""
    gaps = np.full(len(ids), np.nan)
    if isinstance(target, Classes):
        several = f"probability[{truth.classes[0]}]" in said.columns or len(truth.classes) > 2
        chance = _columns(said, ids, [f"probability[{name}]" for name in truth.classes] if several else ["probability"])
        return class_part(chance, np.full(len(ids), None), classes=truth.classes, ids=ids)[0]
    if isinstance(target, Labels):
        chance = _columns(said, ids, [f"probability[{name}]" for name in truth.classes])
        return label_part(chance, np.full(chance.shape, np.nan), labels=truth.classes, ids=ids)[0]
    if isinstance(target, Number):
        return number_part(_columns(said, ids, ["value"])[:, 0], gaps, unit=target.unit, ids=ids)[0]
    if isinstance(target, CompetingRisks):
        return _competing(target, said, ids)
    times = {column: float(match[1]) for column in said.columns if (match := _TIME.fullmatch(column))}
    if odd := [column for column in said.columns if column.startswith("survival[") and column not in times]:
        raise DataError(f"{said.name}: {listed(odd)} names no time. Write it as survival[24], in {target.unit}.")
    ordered = sorted(times, key=lambda column: times[column])
    curves, zeros = _columns(said, ids, ordered), np.zeros(len(ids))
    at = [times[column] for column in ordered]
    risk = _columns(said, ids, ["risk"])[:, 0]
    return survival_part(risk, zeros, zeros, times=at, survival=curves, unit=target.unit, ids=ids)[0]


def _competing(target: CompetingRisks, said: Source, ids: Array) -> CompetingPrediction:
    """Incidence and risk of every cause. Raises `DataError` where neither is there, or incidences make no sense."""
    times = sorted({float(match[2]) for column in said.columns if (match := _INCIDENCE.fullmatch(column))})
    at = np.array(times, dtype=np.float64)
    each, risks = np.zeros((len(ids), len(target.causes), len(at))), np.zeros((len(ids), len(target.causes)))
    for place, cause in enumerate(target.causes):
        mine = {float(m[2]): c for c in said.columns if (m := _INCIDENCE.fullmatch(c)) and m[1] == cause}
        if len(at):
            each[:, place] = _columns(said, ids, [mine.get(time, f"incidence[{cause}][{time:g}]") for time in times])
        given = f"risk[{cause}]" in said.columns or not len(at)
        risks[:, place] = _columns(said, ids, [f"risk[{cause}]"])[:, 0] if given else each[:, place].mean(axis=1)
    wrong = (each < -TOLERANCE) | (each > 1 + TOLERANCE) | (each.sum(axis=1, keepdims=True) > 1 + TOLERANCE)
    falling = (np.diff(each, axis=2) < -TOLERANCE).any(axis=(1, 2))
    if bad := int((wrong.any(axis=(1, 2)) | falling).sum()):
        raise DataError(
            f"{said.name}: incidences of {counted(bad, 'patient')} are no probabilities, fall with time, or add up to "
            "more than 1 over causes. Give the probability that each cause comes first, and by each time."
        )
    return CompetingPrediction(ids, target.causes, risks, at, np.clip(each, 0.0, 1.0), target.unit)


_INCIDENCE = re.compile(r"incidence\[(.+)\]\[(\d+(?:\.\d*)?)\]")
_TIME = re.compile(r"survival\[(\d+(?:\.\d*)?)\]")


def _columns(said: Source, ids: Array, names: Sequence[str]) -> Floats:
    """Columns as numbers, ``(patients, columns)``. Raises `DataError` where one is missing or has gaps."""
    need_columns(said, names)
    values = numbers(said.frame(names), ids, said.name)
    blank = np.isnan(values).any(axis=1)
    if blank.any():
        raise DataError(
            f"{said.name}: {counted(int(blank.sum()), 'patient')} with a gap in {listed(names)}: {listed(ids[blank])}. "
            "Fill it, or remove their rows."
        )
    return values
