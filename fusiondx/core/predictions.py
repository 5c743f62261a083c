"""Predictions: what a model says of each patient, in NumPy, keyed by patient id."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from fusiondx.errors import DataError, counted, listed

Floats = npt.NDArray[np.floating[Any]]
Strings = npt.NDArray[Any]


@dataclass(frozen=True)
class Prediction(ABC):
    """One target's predictions; `ids` are the patients, in order."""

    ids: Strings
    per_patient: ClassVar[tuple[str, ...]]
    """Fields with one entry per patient, beside `ids`."""

    def __len__(self) -> int:
        return len(self.ids)

    @abstractmethod
    def to_frame(self) -> pd.DataFrame:
        """One row per patient, indexed by `patient_id`."""

    def take(self, index: npt.NDArray[Any]) -> Self:
        """The predictions of some patients, by position or by boolean mask."""
        return replace(self, **{name: getattr(self, name)[index] for name in ("ids", *self.per_patient)})

    def of(self, ids: Strings) -> Self:
        """The predictions of `ids`, in that order. Raises `DataError` where one is missing."""
        index = pd.Index(self.ids).get_indexer(pd.Index(ids))
        if (index < 0).any():
            missing = np.asarray(ids)[index < 0]
            raise DataError(
                f"{counted(len(missing), 'patient')} without a prediction: {listed(missing)}. Predict them first."
            )
        return self.take(index)


def finite_times(times: npt.ArrayLike) -> Floats:
    """Times to ask for. Raises `DataError` for a negative or infinite one."""
    at = np.asarray(times, dtype=np.float64)
    if not np.isfinite(at).all() or (at < 0).any():
        raise DataError("Survival was asked for at a negative or infinite time. Give finite times >= 0.")
    return at


@dataclass(frozen=True)
class ClassPrediction(Prediction):
    """A diagnosis: the probability of each class."""

    classes: tuple[str, ...]
    probability: Floats
    """Shape ``(patients, classes)``; rows sum to 1."""
    per_patient: ClassVar[tuple[str, ...]] = ("probability",)

    @property
    def label(self) -> npt.NDArray[np.int64]:
        """Index of the most probable class."""
        return np.asarray(self.probability.argmax(axis=1), dtype=np.int64)

    def to_frame(self) -> pd.DataFrame:
        frame = pd.DataFrame(self.probability, columns=[f"probability[{c}]" for c in self.classes])
        frame.insert(0, "predicted", np.asarray(self.classes, dtype=object)[self.label])
        return frame.set_index(pd.Index(self.ids, name="patient_id"))


@dataclass(frozen=True)
class LabelsPrediction(Prediction):
    """Findings that do not exclude each other: the probability of each."""

    labels: tuple[str, ...]
    probability: Floats
    """Shape ``(patients, labels)``; each between 0 and 1."""
    per_patient: ClassVar[tuple[str, ...]] = ("probability",)

    def of_label(self, name: str) -> ClassPrediction:
        """One label as a diagnosis of its own, ``no`` or ``yes``."""
        yes = self.probability[:, self.labels.index(name)]
        return ClassPrediction(self.ids, ("no", "yes"), np.stack([1 - yes, yes], axis=1))

    def to_frame(self) -> pd.DataFrame:
        frame = pd.DataFrame(self.probability, columns=[f"probability[{label}]" for label in self.labels])
        return frame.set_index(pd.Index(self.ids, name="patient_id"))


@dataclass(frozen=True)
class SurvivalPrediction(Prediction):
    """A prognosis: a risk score to rank patients by, and each patient's survival curve."""

    risk: Floats
    """Log hazard relative to the average training patient; higher is worse. Where hazards need not be proportional, the
    log of the cumulative hazard averaged over follow-up, which is the same where they are. Shape ``(patients,)``."""
    times: Floats
    """Times at which the curves step, ascending, in `unit`. Shape ``(times,)``."""
    curves: Floats
    """Probability to be event-free beyond each of `times`. Shape ``(patients, times)``."""
    unit: str = "months"
    per_patient: ClassVar[tuple[str, ...]] = ("risk", "curves")

    def survival(self, times: npt.ArrayLike) -> Floats:
        """Probability to be event-free beyond each of `times`; shape ``(patients, len(times))``.

        Curves are step functions: 1 before the first step, flat after the last. Raises `DataError` for a negative
        or infinite time.
        """
        at = finite_times(times)
        step = np.searchsorted(self.times, at, side="right")
        return np.asarray(np.concatenate([np.ones((len(self), 1)), self.curves], axis=1)[:, step])

    def at(self, times: npt.ArrayLike) -> Self:
        """The same curves, read at other `times`, ascending. Raises `DataError` as `survival`."""
        return replace(self, times=finite_times(times), curves=self.survival(times))

    def median(self) -> Floats:
        """Median survival time; infinite where the curve does not fall to one half."""
        reached = np.concatenate([self.curves <= 0.5, np.ones((len(self), 1), dtype=bool)], axis=1)
        return np.asarray(np.concatenate([self.times, [np.inf]])[reached.argmax(axis=1)])

    def restricted_mean(self) -> Floats:
        """Event-free time expected within the last of `times`: the area under the curve up to there, in `unit`."""
        if not len(self.times):
            return np.zeros(len(self))
        before = np.concatenate([np.ones((len(self), 1)), self.curves[:, :-1]], axis=1)
        return np.asarray(before @ np.diff(self.times, prepend=0.0))

    def to_frame(self) -> pd.DataFrame:
        return pd.DataFrame(
            {"risk": self.risk, f"median_{self.unit}": self.median()},
            index=pd.Index(self.ids, name="patient_id"),
        )


@dataclass(frozen=True)
class CompetingPrediction(Prediction):
    """A prognosis with several causes: the probability to have met each of them by each time."""

    causes: tuple[str, ...]
    risk: Floats
    """To rank patients by, cause by cause: the time expected to be lost to it within the last of `times` (Andersen
    2013), in `unit`. Shape ``(patients, causes)``."""
    times: Floats
    """Ascending, in `unit`. Shape ``(times,)``."""
    incidence: Floats
    """Probability that the cause comes first, and does so by each of `times`. Shape ``(patients, causes, times)``."""
    unit: str = "months"
    per_patient: ClassVar[tuple[str, ...]] = ("risk", "incidence")

    @classmethod
    def of_incidence(cls, ids: Strings, causes: tuple[str, ...], times: Floats, incidence: Floats, unit: str) -> Self:
        """With the time lost worked out."""
        lost = incidence[:, :, :-1] @ np.diff(times)
        return cls(ids, causes, np.asarray(lost), times, incidence, unit)

    def of_cause(self, name: str) -> CausePrediction:
        """One cause on its own."""
        at = self.causes.index(name)
        return CausePrediction(self.ids, self.risk[:, at], self.times, self.incidence[:, at], self.unit)

    def cumulative_incidence(self, cause: str, times: npt.ArrayLike) -> Floats:
        """Probability to have met `cause` by each of `times`, ``(patients, len(times))``; a step function as
        `SurvivalPrediction.survival`, with the same errors."""
        return self.of_cause(cause).cumulative_incidence(times)

    def at(self, times: npt.ArrayLike) -> Self:
        """As `SurvivalPrediction.at`."""
        each = [self.cumulative_incidence(cause, times) for cause in self.causes]
        return replace(self, times=finite_times(times), incidence=np.stack(each, axis=1))

    def to_frame(self) -> pd.DataFrame:
        lost = {f"{self.unit}_lost[{cause}]": self.risk[:, k] for k, cause in enumerate(self.causes)}
        return pd.DataFrame(lost, index=pd.Index(self.ids, name="patient_id"))


@dataclass(frozen=True)
class CausePrediction(Prediction):
    """One of several competing causes: a score to rank patients by, and its incidence."""

    risk: Floats
    """To rank patients by, such as the time expected to be lost to the cause, in `unit`. Shape ``(patients,)``."""
    times: Floats
    """Ascending, in `unit`. Shape ``(times,)``; ``(0,)`` where there is a score alone."""
    incidence: Floats
    """Probability that the cause comes first, and does so by each of `times`. Shape ``(patients, times)``."""
    unit: str = "months"
    per_patient: ClassVar[tuple[str, ...]] = ("risk", "incidence")

    def cumulative_incidence(self, times: npt.ArrayLike) -> Floats:
        """Probability to have met the cause by each of `times`, ``(patients, len(times))``; a step function as
        `SurvivalPrediction.survival`, with the same errors."""
        at = finite_times(times)
        step = np.searchsorted(self.times, at, side="right")
        return np.asarray(np.concatenate([np.zeros((len(self), 1)), self.incidence], axis=1)[:, step])

    def at(self, times: npt.ArrayLike) -> Self:
        """As `SurvivalPrediction.at`."""
        return replace(self, times=finite_times(times), incidence=self.cumulative_incidence(times))

    def to_frame(self) -> pd.DataFrame:
        return pd.DataFrame({f"{self.unit}_lost": self.risk}, index=pd.Index(self.ids, name="patient_id"))


@dataclass(frozen=True)
class NumberPrediction(Prediction):
    """A quantity."""

    value: Floats
    unit: str = ""
    per_patient: ClassVar[tuple[str, ...]] = ("value",)

    def to_frame(self) -> pd.DataFrame:
        return pd.DataFrame({"value": self.value}, index=pd.Index(self.ids, name="patient_id"))


@dataclass(frozen=True)
class MaskPrediction(Prediction):
    """Where the tumour is: how many pixels were drawn, and how many of them lie in the true mask."""

    area: Floats
    shared: Floats
    per_patient: ClassVar[tuple[str, ...]] = ("area", "shared")

    def dice(self, true: Floats) -> Floats:
        """Overlap with a mask of `true` pixels: 2 shared / (drawn + true), Dice 1945; 1 where both are empty."""
        whole = self.area + true
        return np.asarray(np.divide(2 * self.shared, whole, out=np.ones(len(self)), where=whole > 0))

    def to_frame(self) -> pd.DataFrame:
        columns = {"tumour_pixels": self.area, "shared_pixels": self.shared}
        return pd.DataFrame(columns, index=pd.Index(self.ids, name="patient_id"))
