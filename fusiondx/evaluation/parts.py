"""Anybody's predictions beside the truth: arrays, Series or frames become a `Part`, which every judge takes.

Where all that is given are pandas objects they are joined by index, in any order; ids must be the same on all, each
once. Else rows belong together by position, and patients are called `ids`, or numbered from 1: then nobody is taken to
be in two parts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fusiondx.core.predictions import (
    ClassPrediction,
    LabelsPrediction,
    NumberPrediction,
    Prediction,
    SurvivalPrediction,
    finite_times,
)
from fusiondx.core.targets import Classes, Labels, Number, Survival, TargetValues, Unit
from fusiondx.errors import DataError, counted, listed
from fusiondx.evaluation import checking

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Table = npt.ArrayLike | pd.Series | pd.DataFrame
Part = tuple[Prediction, TargetValues]
"""One held-out set: predictions and truths of the same patients in the same order."""


class Row(str):
    """The id of a patient who was given none: a number within the part, which says nothing of other parts."""


def patients_of(parts: Sequence[Part]) -> list[Array]:
    """The ids of each part, `Row`s told apart from those of other parts; the only ids to compare between parts."""
    if len(parts) == 1:
        return [parts[0][0].ids]
    return [
        np.array([Row(f"{id} of part {number}") if isinstance(id, Row) else id for id in said.ids], dtype=object)
        for number, (said, _) in enumerate(parts, start=1)
    ]


def class_part(
    probability: Table, label: Table, *, classes: Sequence[str] | None = None, ids: Table | None = None
) -> Part:
    """Probabilities of classes beside each patient's class.

    `probability` is of the positive class of two, ``(patients,)``, or of every class, ``(patients, classes)``. `label`
    holds names of classes, None or NaN where unknown. `classes` says their order, the last of two being the positive
    one; left out, it is that of a frame's columns, else of the sorted labels, so 0 or -1 before 1.

    Raises `DataError` where patients, classes or lengths do not match, and for what is no probability.

    >>> said, truth = evaluation.class_part([0.9, 0.2], ["malignant", "benign"], classes=["benign", "malignant"])
    >>> said.to_frame()
                predicted  probability[benign]  probability[malignant]
    patient_id
    1           malignant                  0.1                     0.9
    2              benign                  0.8                     0.2
    """
    (chance, given), who = _together({"probability": probability, "label": label}, ids)
    if given.ndim > 1:
        raise DataError(f"'label' has {given.ndim} dimensions. Give a class per patient: of a frame, one column.")
    unknown = np.asarray(pd.isna(given), dtype=bool)
    names = np.array([_name(value) for value in given], dtype=object)
    order = _order(classes, probability, names[~unknown])
    chance = _of_every_class(chance, order)
    place = {name: index for index, name in enumerate(order)}
    strange = np.array([not gap and name not in place for name, gap in zip(names, unknown, strict=True)], dtype=bool)
    if strange.any():
        raise DataError(
            f"{counted(int(strange.sum()), 'patient')} with a label that is not among the classes {listed(order)}: "
            f"{listed(who[strange])}. Name every class in 'classes'."
        )
    codes = np.array([0 if gap else place[name] for name, gap in zip(names, unknown, strict=True)], dtype=np.int64)
    truth = TargetValues(Classes("label", order), {"label": codes}, ~unknown, order)
    return ClassPrediction(who, order, chance), truth


def label_part(
    probability: Table, label: Table, *, labels: Sequence[str] | None = None, ids: Table | None = None
) -> Part:
    """Probabilities of findings that do not exclude each other beside 1 and 0, NaN where unknown.

    Both are of shape ``(patients, labels)``; names are `labels`, else a frame's columns, else numbers. Errors as
    `class_part`.

    >>> said, truth = evaluation.label_part([[0.9, 0.2], [0.3, 0.1]], [[1, 0], [0, np.nan]], labels=["liver", "bone"])
    >>> said.to_frame()
                probability[liver]  probability[bone]
    patient_id
    1                          0.9                0.2
    2                          0.3                0.1
    """
    (chance, given), who = _together({"probability": probability, "label": label}, ids)
    chance, answers = _numbers(chance, "probability"), _numbers(given, "label")
    if chance.ndim != 2 or answers.shape != chance.shape:
        raise DataError(
            f"Probabilities of shape {chance.shape} for labels of shape {answers.shape}. Give a column each."
        )
    for column in chance.T:
        checking.probabilities(column)
    told = ~np.isnan(answers)
    if not np.isin(answers[told], (0.0, 1.0)).all():
        raise DataError("A label is neither 0 nor 1. Write 1 for yes, 0 for no, and leave unknown ones blank.")
    columns = probability.columns if isinstance(probability, pd.DataFrame) else range(1, chance.shape[1] + 1)
    names = tuple(map(str, labels if labels is not None else columns))
    if len(names) != chance.shape[1]:
        raise DataError(f"{counted(len(names), 'label')} named for {counted(chance.shape[1], 'column')}. Name each.")
    fields = {"label": np.where(told, answers, 0).astype(np.int64), "told": told}
    truth = TargetValues(Labels(names), fields, np.asarray(told.any(axis=1)), names)
    return LabelsPrediction(who, names, chance), truth


def survival_part(
    risk: Table,
    time: Table,
    event: Table,
    *,
    times: npt.ArrayLike = (),
    survival: Table | None = None,
    unit: Unit = "months",
    ids: Table | None = None,
) -> Part:
    """Risks, higher is worse, beside each patient's time and whether the event came then (1) or not yet (0).

    `survival` holds the probabilities to be event-free beyond each of `times`, ``(patients, times)``, ascending, in
    `unit`. Raises `DataError` where patients or lengths do not match, for negative times, other events than 0 and 1,
    and probabilities that are none or rise with time.

    >>> said, truth = evaluation.survival_part([1.2, -0.3], [4.0, 9.0], [1, 0], ids=["A", "B"])
    >>> said.risk
    array([ 1.2, -0.3])
    """
    given = {"risk": risk, "time": time, "event": event}
    if survival is not None:
        given["survival"] = survival
    (risks, at, came, *curves), who = _together(given, ids)
    risks, at = checking.scores(_numbers(risks, "risk"), "risk"), checking.scores(_numbers(at, "time"), "time")
    if bad := int((at < 0).sum()):
        raise DataError(f"'time' is negative for {counted(bad, 'patient')}. Count it from the time origin.")
    happened = checking.binary(came, len(at), "event").astype(np.int64)
    grid = finite_times(times)
    known = _numbers(curves[0], "survival") if curves else np.empty((len(at), 0))
    _check_curves(known, grid, len(at))
    truth = TargetValues(Survival("time", "event", unit), {"time": at, "event": happened}, np.ones(len(at), dtype=bool))
    return SurvivalPrediction(who, risks, grid, known, unit), truth


def number_part(value: Table, truth: Table, *, unit: str = "", ids: Table | None = None) -> Part:
    """Predicted numbers beside true ones, NaN where unknown. Raises `DataError` where patients do not match.

    >>> said, truth = evaluation.number_part([61.0, 70.0], [60.0, np.nan], unit="years", ids=["A", "B"])
    >>> truth.known
    array([ True, False])
    """
    (said, given), who = _together({"value": value, "truth": truth}, ids)
    values, true = checking.scores(_numbers(said, "value"), "value"), _numbers(given, "truth")
    if true.ndim != 1 or np.isinf(true).any():
        raise DataError("'truth' is no column of finite numbers. Give one per patient, and leave unknown ones blank.")
    known = ~np.isnan(true)
    return NumberPrediction(who, values, unit), TargetValues(
        Number("truth", unit), {"value": np.where(known, true, 0.0)}, known
    )


def _together(given: dict[str, Table], ids: Table | None) -> tuple[list[Array], Array]:
    """Arrays with one row per patient in the same order, and who they are."""
    tables: Mapping[str, Table] = given if ids is None else {**given, "ids": ids}
    indexed = {name: table for name, table in tables.items() if isinstance(table, pd.Series | pd.DataFrame)}
    apart = [name for name in tables if name not in indexed]
    if ids is None and not apart:
        joined = _joined(indexed)
        tables = {**joined, "ids": next(iter(joined.values())).index.astype(str)}
    elif not _alike(indexed):
        if apart:
            raise DataError(
                f"The indexes of {listed(indexed)} differ, or their order does, and {listed(apart)} has none to join "
                "by. Give all as Series or frames with patient ids as index, or all as arrays."
            )
        tables = _joined(indexed)
    arrays = {name: np.asarray(table, dtype=object if name == "ids" else None) for name, table in tables.items()}
    for name, array in arrays.items():
        if not array.ndim or (name == "ids" and array.ndim > 1):
            raise DataError(f"'{name}' has {counted(array.ndim, 'dimension')}. Give one entry per patient.")
    if len({len(array) for array in arrays.values()}) > 1:
        said = ", ".join(f"'{name}' has {len(array)}" for name, array in arrays.items())
        raise DataError(f"Not as many rows everywhere: {said}. Give one per patient.")
    rows = range(1, 1 + len(next(iter(arrays.values()))))
    who = arrays.pop("ids", np.array([Row(row) for row in rows], dtype=object))
    return list(arrays.values()), who


def _alike(indexed: Mapping[str, pd.Series | pd.DataFrame]) -> bool:
    """Whether rows that belong together by index do so by position."""
    indexes = [table.index for table in indexed.values()]
    return all(index.equals(indexes[0]) for index in indexes)


def _joined(given: Mapping[str, pd.Series | pd.DataFrame]) -> dict[str, pd.Series | pd.DataFrame]:
    first = next(iter(given))
    who = given[first].index
    for name, table in given.items():
        if table.index.nlevels > 1:
            raise DataError(f"'{name}' has an index of several levels. Give it one of patient ids, as by droplevel.")
        if twice := list(table.index[table.index.duplicated()].unique()):
            raise DataError(f"Patients twice in '{name}': {listed(twice)}. Keep one row of each.")
        if odd := sorted(map(str, who.symmetric_difference(table.index))):
            raise DataError(
                f"{counted(len(odd), 'patient')} in only one of '{first}' and '{name}': {listed(odd)}. Give the same."
            )
    return {name: table.reindex(who) for name, table in given.items()}


def _name(value: object) -> str:
    """How a label is called: 1 and 1.0, True and 1 are the same."""
    if isinstance(value, bool | np.bool_):
        return str(int(value))
    return str(int(value)) if isinstance(value, float | np.floating) and float(value).is_integer() else str(value)


def _order(classes: Sequence[str] | None, probability: Table, names: Array) -> tuple[str, ...]:
    if classes is not None:
        return tuple(map(_name, classes))
    if isinstance(probability, pd.DataFrame):
        return tuple(map(_name, probability.columns))
    found = set(names)
    return ("0", "1") if found <= {"0", "1"} else tuple(sorted(found, key=_rank))


def _rank(name: str) -> tuple[float, str]:
    """Numbers by size, so -1 before 1 and 2 before 10, and before words."""
    try:
        number = float(name)
    except ValueError:
        number = np.inf
    return number if np.isfinite(number) else np.inf, name


def _of_every_class(chance: Array, classes: tuple[str, ...]) -> Floats:
    """Shape ``(patients, classes)``, from that or from the positive class's of two."""
    numbers = _numbers(chance, "probability")
    if numbers.ndim == 2 and numbers.shape[1] == 1:
        numbers = numbers[:, 0]
    for column in np.atleast_2d(numbers.T):
        checking.probabilities(column)
    if numbers.ndim == 1:
        numbers = np.stack([1 - numbers, numbers], axis=1)
    if numbers.ndim != 2 or numbers.shape[1] != len(classes):
        shape = f"{counted(numbers.shape[-1], 'column')} of probabilities for the classes {listed(classes)}"
        raise DataError(f"{shape}. Give one for each, or one column for the second of two.")
    if bad := int((np.abs(numbers.sum(axis=1) - 1) > 1e-3).sum()):
        raise DataError(f"Probabilities do not add up to 1 for {counted(bad, 'patient')}. Give those of all classes.")
    return numbers


def _numbers(values: Array, what: str) -> Floats:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise DataError(f"'{what}' holds something that is no number.") from None


def _check_curves(survival: Floats, times: Array, patients: int) -> None:
    if survival.shape != (patients, len(times)) or (np.diff(times) <= 0).any():
        raise DataError(
            f"'survival' has shape {survival.shape} for {counted(patients, 'patient')} and "
            f"{counted(len(times), 'time')}. Give a row per patient and a column per time, times ascending."
        )
    wrong = ~np.isfinite(survival) | (survival < -1e-6) | (survival > 1 + 1e-6)
    rising = np.diff(survival, axis=1) > 1e-6
    if bad := int((wrong.any(axis=1) | rising.any(axis=1)).sum()):
        raise DataError(f"'survival' is no probability, or rises with time, for {counted(bad, 'patient')}. Mend them.")
