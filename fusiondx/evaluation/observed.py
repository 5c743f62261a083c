"""What was observed and predicted, checked before it is judged."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fusiondx.errors import DataError, counted, listed
from fusiondx.evaluation import checking

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.integer[Any]]
Outcomes = tuple[npt.ArrayLike, npt.ArrayLike]

CODES = 2**31
"""Numbers of competing events are below; what is not is no such number."""
ROWS = 512
TOLERANCE = 1e-6
"""By how much a predicted probability may miss [0, 1], or a curve rise, from rounding."""


def outcomes(time: npt.ArrayLike, event: npt.ArrayLike) -> tuple[Floats, Ints]:
    """Times and events, both ``(patients,)``.

    Raises `DataError` for shapes that differ, times that are negative or not finite, and events that are not 0
    (censored), 1 (the event) or the number, below 2**31, of a competing event.
    """
    times, events = checking.numbers(time, "time"), checking.numbers(event, "event")
    if times.ndim != 1 or times.shape != events.shape:
        raise DataError(f"Times have shape {times.shape}, events {events.shape}. Give one of each per patient.")
    _require(np.isfinite(times) & (times >= 0), "time", "negative, missing or infinite")
    whole = (events >= 0) & (events < CODES) & (events == np.floor(events))
    _require(whole, "event", "neither 0, 1 nor the number of a competing event")
    return times, events.astype(np.int64)


def moment(value: float, what: str = "horizon") -> float:
    """A time to judge at. Raises `DataError` for one that is negative or not finite."""
    if not 0 <= value < np.inf:
        raise DataError(f"'{what}' is {value:g}. Give a time of 0 or more, in the unit of the times.")
    return float(value)


def scores(risk: npt.ArrayLike, patients: int) -> Floats:
    """Scores, ``(patients,)``. Raises `DataError` for another shape or a score that is not finite."""
    given = checking.scores(risk, "risk")
    if len(given) != patients:
        raise DataError(f"There are {len(given)} risks for {counted(patients, 'patient')}. Give one each.")
    return given


def probabilities(predicted: npt.ArrayLike, patients: int, *times: int) -> Floats:
    """Probabilities, ``(patients,)`` or ``(patients, times)``; rounding beyond 0 and 1 is cut off.

    Raises `DataError` for another shape, or a probability that is missing or outside [0, 1].
    """
    given = checking.numbers(predicted, "probability")
    if given.shape != (patients, *times):
        each = "patient and time" if times else "patient"
        raise DataError(f"Probabilities have shape {given.shape}, not {(patients, *times)}. Give one per {each}.")
    if given.size and given.min() >= 0 and given.max() <= 1:  # false where one is missing
        return given
    with np.errstate(invalid="ignore"):
        sound = (given >= -TOLERANCE) & (given <= 1 + TOLERANCE)
    rows = sound.all(axis=tuple(range(1, given.ndim)))
    _require(rows, "predicted probability", "missing or outside 0 to 1", "predicted probabilities")
    return np.clip(given, 0.0, 1.0)


def groups_of(group: npt.ArrayLike, patients: int) -> tuple[list[Any], Ints]:
    """Names of groups in their order, and which of them each patient is in, ``(patients,)``.

    Raises `DataError` for another shape, and for a group that is missing or infinite.
    """
    given = np.asarray(group)
    if given.shape != (patients,):
        raise DataError(f"Groups have shape {given.shape} for {counted(patients, 'patient')}. Give one each.")
    member, names = pd.factorize(given, sort=True)
    _require((member >= 0) & ~np.isin(given, (np.inf, -np.inf)), "group", "missing or infinite")
    return names.tolist(), member


def curves(survival: npt.ArrayLike, times: npt.ArrayLike, patients: int) -> tuple[Floats, Floats]:
    """Survival curves ``(patients, times)`` and their times, ascending; columns move with times that are not in order.

    Raises `DataError` as `probabilities`, for times that are repeated, negative or infinite, and for curves that rise.
    """
    at = checking.numbers(times, "times")
    if at.ndim != 1:
        raise DataError(f"Times of curves have shape {at.shape}. Give one row of them.")
    given = probabilities(survival, patients, len(at))
    order = np.argsort(at, kind="stable")
    if not np.array_equal(order, np.arange(len(at))):
        at, given = at[order], given[:, order]
    if not np.isfinite(at).all() or (at < 0).any() or (np.diff(at) == 0).any():
        raise DataError("Times of curves are repeated, negative or infinite. Give each once, finite and >= 0.")
    falling = [(rows[:, 1:] - rows[:, :-1] <= TOLERANCE).all(axis=1) for rows in blocks(given)]
    _require(np.concatenate([np.ones(0, dtype=bool), *falling]), "survival curve", "rising")
    return given, at


def blocks(table: Floats) -> Iterator[Floats]:
    """Rows of a table, some at a time so that they stay in a processor's cache."""
    return (table[start : start + ROWS] for start in range(0, len(table), ROWS))


def _require(sound: npt.ArrayLike, what: str, fault: str, plural: str | None = None) -> None:
    rows = np.flatnonzero(~np.asarray(sound, dtype=bool))
    if len(rows):
        where = f"in {'row' if len(rows) == 1 else 'rows'} {listed(rows)}"
        raise DataError(f"{counted(len(rows), what, plural)} {fault}, {where}. Correct or leave out these patients.")
