"""What was observed and predicted, checked before it is judged."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from fusiondx.errors import DataError, counted, listed
from fusiondx.evaluation import checking

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.integer[Any]]
Outcomes = tuple[npt.ArrayLike, npt.ArrayLike]

ROWS = 512
TOLERANCE = 1e-6
"""By how much a predicted probability may miss [0, 1], or a curve rise, from rounding."""


def outcomes(time: npt.ArrayLike, event: npt.ArrayLike) -> tuple[Floats, Ints]:
    """Times and events, both ``(patients,)``.

    Raises `DataError` for shapes that differ, times that are negative or not finite, and events that are not 0
    (censored), 1 (the event) or the number of a competing event.
    """
    times, events = np.asarray(time, dtype=np.float64), np.asarray(event)
    if times.ndim != 1 or times.shape != events.shape:
        raise DataError(f"Times have shape {times.shape}, events {events.shape}. Give one of each per patient.")
    _require(np.isfinite(times) & (times >= 0), "time", "negative, missing or infinite")
    numbers = events.astype(np.float64)
    _require(
        (numbers >= 0) & (numbers == np.floor(numbers)), "event", "neither 0, 1 nor the number of a competing event"
    )
    return times, numbers.astype(np.int64)


def scores(risk: npt.ArrayLike, patients: int) -> Floats:
    """Scores, ``(patients,)``. Raises `DataError` for another shape or a score that is not finite."""
    given = checking.scores(risk, "risk")
    if len(given) != patients:
        raise DataError(f"There are {len(given)} risks for {counted(patients, 'patient')}. Give one each.")
    return given


def probabilities(predicted: npt.ArrayLike, patients: int) -> Floats:
    """Probabilities, ``(patients, ...)``; rounding beyond 0 and 1 is cut off.

    Raises `DataError` for another number of patients, or a probability that is missing or outside [0, 1].
    """
    given = np.asarray(predicted, dtype=np.float64)
    if given.ndim == 0 or len(given) != patients:
        raise DataError(f"Predictions have shape {given.shape} for {counted(patients, 'patient')}. Give one row each.")
    if given.size and given.min() >= 0 and given.max() <= 1:  # false where one is missing
        return given
    with np.errstate(invalid="ignore"):
        sound = (given >= -TOLERANCE) & (given <= 1 + TOLERANCE)
    _require(sound.all(axis=tuple(range(1, given.ndim))), "predicted probability", "missing or outside 0 to 1")
    return np.clip(given, 0.0, 1.0)


def curves(survival: npt.ArrayLike, times: npt.ArrayLike, patients: int) -> tuple[Floats, Floats]:
    """Survival curves ``(patients, times)`` and their times, ascending; columns move with times that are not in order.

    Raises `DataError` as `probabilities`, for times that are repeated, negative or infinite, and for curves that rise.
    """
    at, given = np.asarray(times, dtype=np.float64), probabilities(survival, patients)
    if at.ndim != 1 or given.shape != (patients, len(at)):
        raise DataError(f"Curves have shape {given.shape}, their times {at.shape}. Give one column per time.")
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


def _require(sound: npt.ArrayLike, what: str, fault: str) -> None:
    faulty = ~np.asarray(sound, dtype=bool)
    if faulty.any():
        rows = np.flatnonzero(faulty)
        raise DataError(
            f"{counted(len(rows), what)} {fault}, in rows {listed(rows)}. Correct or leave out these patients."
        )
