"""What metrics are given, checked once at the border."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fusiondx.errors import DataError, counted

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


def numbers(values: npt.ArrayLike, what: str) -> Floats:
    """Numbers, of any shape. Raises `DataError` for anything else."""
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise DataError(f"'{what}' holds what is no number, or rows of unequal length. Give numbers.") from None


def scores(values: npt.ArrayLike, what: str = "score") -> Floats:
    """One finite number per patient. Raises `DataError` for anything else."""
    found = numbers(values, what)
    if found.ndim != 1:
        raise DataError(f"'{what}' has {found.ndim} dimensions. Give one number per patient.")
    if bad := int((~np.isfinite(found)).sum()):
        raise DataError(f"'{what}' is not a finite number for {counted(bad, 'patient')}. Leave them out or mend them.")
    return found


def probabilities(values: npt.ArrayLike, what: str = "probability") -> Floats:
    """One probability per patient. Raises `DataError` for anything below 0 or above 1."""
    found = scores(values, what)
    if bad := int(((found < 0) | (found > 1)).sum()):
        raise DataError(f"'{what}' is below 0 or above 1 for {counted(bad, 'patient')}. Give probabilities.")
    return found


def binary(values: npt.ArrayLike, patients: int, what: str = "positive") -> Bools:
    """Whether each patient is positive, from booleans or 0 and 1. Raises `DataError` for other values or lengths."""
    found: npt.NDArray[Any] = np.asarray(values)
    if found.shape != (patients,):
        raise DataError(f"'{what}' has shape {found.shape} for {counted(patients, 'patient')}. Give one entry each.")
    if found.dtype == np.bool_:
        return found
    try:
        number = found.astype(np.float64)
    except (TypeError, ValueError):
        raise DataError(f"'{what}' holds something other than 0 and 1. Say who is positive.") from None
    if bad := int((~np.isin(number, (0.0, 1.0))).sum()):
        raise DataError(f"'{what}' is neither 0 nor 1 for {counted(bad, 'patient')}. Say who is positive.")
    return np.asarray(number == 1)


def scored(score: npt.ArrayLike, positive: npt.ArrayLike) -> tuple[Floats, Bools]:
    """Scores and who is positive."""
    found = scores(score)
    return found, binary(positive, len(found))


def forecast(probability: npt.ArrayLike, positive: npt.ArrayLike) -> tuple[Floats, Bools]:
    """Probabilities and who is positive."""
    found = probabilities(probability)
    return found, binary(positive, len(found))


def counts(positive: Bools, patient: npt.ArrayLike | None) -> tuple[int, int]:
    """Patients, and those of them who are positive in any row; `patient` says whose each is, else each is its own.

    Raises `DataError` for another number of these than of rows.
    """
    if patient is None:
        return len(positive), int(positive.sum())
    whose = np.asarray(patient)
    if whose.shape != positive.shape:
        raise DataError(
            f"'patient' has shape {whose.shape} for {counted(len(positive), 'row')}. Say whose each row is."
        )
    return len(np.unique(whose)), len(np.unique(whose[positive]))


def share(value: float, what: str) -> float:
    """A setting strictly between 0 and 1. Raises `DataError` for another."""
    if not 0 < value < 1:
        raise DataError(f"'{what}' is {value}. Give a number between 0 and 1, both excluded.")
    return float(value)


def lacking(positive: Bools, patient: npt.ArrayLike | None = None) -> str | None:
    """Why these patients cannot show how two classes are told apart; None where they can."""
    among = f"among {counted(counts(positive, patient)[0], 'patient')}"
    if not len(positive):
        return "no patients"
    if not positive.any():
        return f"no positive patients {among}"
    return f"no negative patients {among}" if positive.all() else None
