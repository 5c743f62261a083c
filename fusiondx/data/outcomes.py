"""Outcomes: the answers already known, read from the patient table and checked once."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fusiondx.core.targets import (
    AnyTarget,
    Cause,
    Classes,
    CompetingRisks,
    Labels,
    Masks,
    Number,
    Survival,
    TargetValues,
)
from fusiondx.data.reading import Source, labels, need_columns, number, numbers
from fusiondx.errors import DataError, FusionDxWarning, counted, listed

Array = npt.NDArray[Any]
ANSWERS = {"0": 0.0, "no": 0.0, "false": 0.0, "1": 1.0, "yes": 1.0, "true": 1.0}
"""What a label's cell may hold, in lower case."""


def columns_of(target: AnyTarget | Masks | Cause) -> tuple[str, ...]:
    """The columns that hold a target's answers; masks and single causes are read from none."""
    if isinstance(target, Masks | Cause):
        return ()
    if isinstance(target, Labels):
        return target.columns
    return (target.time, target.event) if isinstance(target, Survival | CompetingRisks) else (target.column,)


def read_target(target: AnyTarget, source: Source, ids: Array) -> TargetValues:
    """The values of one target for the rows of `source`. Raises `DataError` where nothing can be learnt from them."""
    need_columns(source, columns_of(target))
    frame = source.frame(columns_of(target))
    if isinstance(target, Classes):
        values = from_labels(target, labels(frame[target.column]), ids, source.name)
        _check_classes(values, ids, source.name)
        return values
    if isinstance(target, Labels):
        values = from_answers(target, yes_or_no(frame[list(target.columns)]), ids, source.name)
        _check_labels(values, source.name)
        return values
    if isinstance(target, Survival | CompetingRisks):
        time, event = number(frame[target.time]), number(frame[target.event])
        values = from_times(target, time, event, ids, source.name)
        _check_events(values, source.name)
        return in_strata(values, source, ids)
    return from_numbers(target, numbers(frame, ids, source.name)[:, 0], ids, source.name)


def from_labels(target: Classes, given: Array, ids: Array, name: str) -> TargetValues:
    """A diagnosis from labels, None where unknown."""
    known = np.array([label is not None for label in given], dtype=bool)
    classes = target.classes or tuple(_in_order(set(given[known])))
    place = {label: i for i, label in enumerate(classes)}
    strange = known & np.array([label not in place for label in given], dtype=bool)
    if strange.any():
        raise DataError(
            f"{name}, column '{target.column}': {counted(int(strange.sum()), 'patient')} with a class that is not "
            f"among {listed(classes)}: {listed(ids[strange])}. Add the class, or blank their cells."
        )
    label = np.array([place.get(x, 0) for x in given], dtype=np.int64)
    return TargetValues(target, {"label": label}, known, classes)


def yes_or_no(frame: pd.DataFrame) -> Array:
    """1 for yes, 0 for no, NaN for a gap, infinite for anything else; shape ``(rows, columns)``."""
    given = [[np.nan if v is None else ANSWERS.get(v.lower(), np.inf) for v in labels(frame[c])] for c in frame.columns]
    return np.array(given, dtype=np.float64).T


def from_answers(target: Labels, answers: Array, ids: Array, name: str) -> TargetValues:
    """Labels from 1 and 0, NaN where unknown."""
    told = np.asarray(~np.isnan(answers))
    wrong = np.asarray(told & ~np.isin(answers, [0, 1]))
    named = [column for column, bad in zip(target.columns, wrong.T, strict=True) if bad.any()]
    _refuse(
        np.asarray(wrong.any(axis=1)),
        ids,
        f"{name}, {'column' if len(named) == 1 else 'columns'} {listed(named)}",
        "neither yes nor no",
        "Write 1 or 0, yes or no, true or false, and leave unknown cells blank",
    )
    fields = {"label": np.where(told, answers, 0).astype(np.int64), "told": told}
    return TargetValues(target, fields, np.asarray(told.any(axis=1)), target.columns)


def from_times(target: Survival | CompetingRisks, time: Array, event: Array, ids: Array, name: str) -> TargetValues:
    """A prognosis from times and events, NaN where both are unknown."""
    causes = target.causes if isinstance(target, CompetingRisks) else ()
    last, what = max(1, len(causes)), "the number of the cause" if causes else "1 when it happened"
    blank_time, blank_event = np.isnan(time), np.isnan(event)
    _refuse(
        ~np.isin(event, np.arange(last + 1)) & ~blank_event,
        ids,
        f"{name}, column '{target.event}'",
        f"an event other than {'0 and 1' if last == 1 else f'0 to {last}'}",
        f"Write {what} and 0 when the patient was last seen without it",
    )
    _refuse(
        blank_time != blank_event,
        ids,
        f"{name}, columns '{target.time}' and '{target.event}'",
        "only one of time and event",
        "Give both, or blank both",
    )
    _refuse(
        ~blank_time & ~(np.isfinite(time) & (time >= 0)),
        ids,
        f"{name}, column '{target.time}'",
        "a time that is negative or no finite number",
        f"Write {target.unit} since diagnosis, or blank both",
    )
    known = ~blank_time
    zero = known & (time == 0)
    if zero.any():
        message = (
            f"{name}, column '{target.time}': {counted(int(zero.sum()), 'patient')} at time 0: {listed(ids[zero])}."
        )
        warnings.warn(message, FusionDxWarning, stacklevel=2)
    fields = {"time": np.where(known, time, 0.0), "event": np.where(known, event, 0).astype(np.int64)}
    return TargetValues(target, fields, known, causes)


def in_strata(values: TargetValues, source: Source, ids: Array) -> TargetValues:
    """The same prognosis with the stratum of every patient, where it asks for strata."""
    column = values.spec.strata if isinstance(values.spec, Survival) else None
    if column is None:
        return values
    need_columns(source, [column])
    given = labels(source.frame([column])[column])
    blank = np.array([label is None for label in given], dtype=bool)
    remedy = "Fill the stratum in, or blank time and event"
    _refuse(values.known & blank, ids, f"{source.name}, column '{column}'", "an outcome but no stratum", remedy)
    names = tuple(_in_order({label for label in given[~blank]}))
    place = {name: i for i, name in enumerate(names)}
    stratum = np.array([place.get(label, 0) for label in given], dtype=np.int64)
    return replace(values, fields={**values.fields, "stratum": stratum}, classes=names)


def _check_events(values: TargetValues, where: str) -> None:
    """Somebody must have an event; causes that nobody met are named."""
    column, met = columns_of(values.spec)[1], set(values.fields["event"][values.known].tolist())
    if not met - {0}:
        raise DataError(f"{where}: nobody has an event in column '{column}'. Survival needs some.")
    never = [cause for code, cause in enumerate(values.classes, start=1) if code not in met]
    if never:
        message = f"{where}, column '{column}': nobody met {listed(never)}."
        warnings.warn(message, FusionDxWarning, stacklevel=3)


def from_numbers(target: Number, value: Array, ids: Array, name: str) -> TargetValues:
    """A quantity, NaN where unknown."""
    where, what = f"{name}, column '{target.column}'", "something else than a finite number"
    _refuse(np.isinf(value), ids, where, what, "Give numbers, and NaN where unknown")
    known = ~np.isnan(value)
    if not known.any():
        raise DataError(f"{name}: column '{target.column}' is empty. A target needs known values.")
    return TargetValues(target, {"value": np.where(known, value, 0.0)}, known)


def _refuse(wrong: Array, ids: Array, where: str, what: str, remedy: str) -> None:
    if wrong.any():
        raise DataError(f"{where}: {counted(int(wrong.sum()), 'patient')} with {what}: {listed(ids[wrong])}. {remedy}.")


def _check_classes(values: TargetValues, ids: Array, name: str) -> None:
    """A class needs two patients, one to learn from and one to be tested on; declared classes may be absent here."""
    where = f"{name}, column '{columns_of(values.spec)[0]}'"
    label = values.fields["label"]
    members = np.bincount(label[values.known], minlength=len(values.classes))
    if isinstance(values.spec, Classes) and values.spec.classes:
        rare = [c for c, n in zip(values.classes, members, strict=True) if n < 2]
        if rare:
            message = f"{where}: fewer than two patients of class {listed(rare)}."
            warnings.warn(message, FusionDxWarning, stacklevel=2)
        return
    if len(members) < 2:
        raise DataError(f"{where}: {counted(len(members), 'class', 'classes')}. A diagnosis needs two or more.")
    remedy = "Merge it with another class, or blank the cell"
    _refuse(values.known & (members[label] == 1), ids, where, "a class that occurs only once", remedy)


def _check_labels(values: TargetValues, where: str) -> None:
    """Some label must tell patients apart; those that do not are named."""
    idle = idle_labels(values)
    if len(idle) == len(values.classes):
        raise DataError(f"{where}: every label is empty or the same for all patients: {listed(idle)}.")
    if idle:
        message = f"{where}: labels that are empty or the same for all patients: {listed(idle)}."
        warnings.warn(message, FusionDxWarning, stacklevel=3)


def idle_labels(values: TargetValues) -> list[str]:
    """Labels that tell no two of these patients apart."""
    told, yes = values.fields["told"], values.fields["label"] == 1
    differ = (told & yes).any(axis=0) & (told & ~yes).any(axis=0)
    return [name for name, varies in zip(values.classes, differ, strict=True) if not varies]


def _in_order(classes: set[str]) -> list[str]:
    """Sorted, as numbers where all of them are."""
    try:
        return sorted(classes, key=float)
    except ValueError:
        return sorted(classes)


def flat(values: TargetValues) -> Array:
    """The values in one array, as scikit-learn expects them; see `Cohort.y`."""
    known, fields = values.known, values.fields
    if isinstance(values.spec, Classes):
        return np.where(known, np.array([*values.classes, ""])[fields["label"]], "")
    if isinstance(values.spec, Labels):
        return np.where(fields["told"], fields["label"], np.nan)
    if isinstance(values.spec, Survival | CompetingRisks | Cause):
        kind = bool if isinstance(values.spec, Survival) else np.int64
        out = np.zeros(len(values), dtype=[("event", kind), ("time", np.float64)])
        out["event"], out["time"] = np.where(known, fields["event"], 0), np.where(known, fields["time"], np.nan)
        return out
    return np.where(known, fields["value"], np.nan)


def replaced(values: TargetValues, y: Array, ids: Array) -> TargetValues:
    """Other values for the same target: classes, numbers, 1 and 0 with a column per label, or (event, time) as
    structured array or two columns.

    Raises `DataError` where `y` has another shape, or values that the target cannot take.
    """
    y = np.atleast_1d(y)
    if len(y) != len(ids):
        raise DataError(f"y has {counted(len(y), 'value')} for {counted(len(ids), 'patient')}. Give one each.")
    if isinstance(values.spec, Classes):
        _need_shape(y, (), "one class per patient")
        if y.dtype == bool and "True" not in values.classes:
            y = y.astype(np.int64)  # what a comparison with class "1" gives
        given = labels(pd.Series(y.tolist(), dtype=object))
        declared = values.spec.replace(classes=values.classes)
        return replace(from_labels(declared, given, ids, "y"), spec=values.spec)
    if isinstance(values.spec, Labels):
        _need_shape(y, (len(values.classes),), f"a column for each of {listed(values.classes)}")
        return from_answers(values.spec, yes_or_no(pd.DataFrame(y)), ids, "y")
    if isinstance(values.spec, Survival | CompetingRisks):
        event, time, name = _event_and_time(y)
        new = from_times(values.spec, time, np.where(np.isnan(time), np.nan, event), ids, name)
        return replace(new, fields={**values.fields, **new.fields}, classes=values.classes)
    assert isinstance(values.spec, Number)  # masks are not asked for
    _need_shape(y, (), "one number per patient")
    return from_numbers(values.spec, _numbers(y), ids, "y")


def _event_and_time(y: Array) -> tuple[Array, Array, str]:
    """Events and times, and what messages call the two together."""
    if y.dtype.names is None:
        _need_shape(y, (2,), "two columns, the event and the time, or the fields 'event' and 'time'")
        return _numbers(y[:, 0]), _numbers(y[:, 1]), "y (the event first, then the time)"
    if not {"event", "time"} <= set(y.dtype.names):
        raise DataError(f"y has the fields {listed(y.dtype.names)}. Call them 'event' and 'time'.")
    _need_shape(y, (), "one event and time per patient")
    return _numbers(y["event"]), _numbers(y["time"]), "y"


def _numbers(y: Array) -> Array:
    """Numbers, NaN where unknown, infinite for what is no finite number."""
    return number(pd.Series(y.tolist()))


def _need_shape(y: Array, beside: tuple[int, ...], what: str) -> None:
    if y.shape[1:] != beside:
        raise DataError(f"y has shape {y.shape}. Give {what}.")


def at_or_before(values: TargetValues, time: float) -> npt.NDArray[np.bool_]:
    """Which patients met the event, or were last seen, at `time` or before; nobody where the target has no time."""
    if not isinstance(values.spec, Survival | CompetingRisks):
        return np.zeros(len(values), dtype=bool)
    return np.asarray(values.known & (values.fields["time"] <= time))


def counted_from(values: TargetValues, time: float) -> TargetValues:
    """The same prognosis with times counted from `time`; other targets as they are."""
    if not isinstance(values.spec, Survival | CompetingRisks):
        return values
    moved = np.where(values.known, values.fields["time"] - time, 0.0)
    return replace(values, fields={**values.fields, "time": moved})
