"""Predictions that any tool wrote to a table, read beside the truth: joined by patient id, in any order."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from fusiondx.core.predictions import Prediction
from fusiondx.core.targets import AnyTarget, Classes, CompetingRisks, Labels, Number, TargetValues
from fusiondx.data.outcomes import read_target
from fusiondx.data.reading import FrameSource, Source, need_columns, numbers, read_ids, refuse_duplicate_ids
from fusiondx.errors import DataError, counted, listed
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
    ``survival[TIME]``, the probability to be event-free beyond that time. A number: ``value``.

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
    named = _with_classes(target, said.columns)
    answers = read_target(named, known, patients)[pd.Index(patients).get_indexer(pd.Index(ids))]
    return _read(named, said, ids, answers), answers


def _with_classes(target: AnyTarget, columns: Sequence[str]) -> AnyTarget:
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
        raise DataError("Predictions of competing causes are not read from a table. Judge one cause as a prognosis.")
    times = {column: float(match[1]) for column in said.columns if (match := _TIME.fullmatch(column))}
    ordered = sorted(times, key=lambda column: times[column])
    curves, zeros = _columns(said, ids, ordered), np.zeros(len(ids))
    at = [times[column] for column in ordered]
    risk = _columns(said, ids, ["risk"])[:, 0]
    return survival_part(risk, zeros, zeros, times=at, survival=curves, unit=target.unit, ids=ids)[0]


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
