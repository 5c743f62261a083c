"""Case: what an audit looks at, laid out column by column and answer by answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from fusiondx.core.targets import Classes, CompetingRisks, Labels, Number, Survival, TargetValues
from fusiondx.data.cohort import Cohort
from fusiondx.data.modalities import Modality
from fusiondx.data.splits import Fold
from fusiondx.data.tables import TableData
from fusiondx.survival.estimators import nelson_aalen

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Answer:
    """One thing asked of patients, as a number each: 0 and 1 for a class or label, the martingale residual for an
    event, a quantity as it is."""

    name: str
    values: Floats
    """Shape ``(patients,)``; NaN where unknown."""
    time: Floats | None = None
    """Of an event: when it came, or until when it had not."""
    event: Bools | None = None

    @property
    def known(self) -> Bools:
        """Whose answer is known."""
        return np.asarray(~np.isnan(self.values))

    @property
    def binary(self) -> bool:
        """Whether it is yes or no."""
        return bool(np.isin(self.values[self.known], (0.0, 1.0)).all())


@dataclass(frozen=True)
class Told:
    """What a check found, apart from whom it found it in: a report shows no patient ids."""

    message: str
    patients: str
    """Ids, as text."""


@dataclass(frozen=True)
class Case:
    """A cohort, how it is split, and perhaps the model that was fitted."""

    cohort: Cohort
    folds: tuple[Fold, ...]
    models: Mapping[str, Any] = field(default_factory=dict)
    """Fitted models by name."""
    index: str | None = None
    """Column of the patient table with the time from which predictions are made."""
    dated: Mapping[str, str] | None = None
    """Column of the patient table that dates an input, by the input's column."""

    @cached_property
    def tables(self) -> dict[str, tuple[TableData, Modality]]:
        """Tables and genomic matrices by modality."""
        found = self.cohort.modalities.items()
        return {name: (m.data, m) for name, m in found if isinstance(m.data, TableData)}

    @cached_property
    def numeric(self) -> dict[str, tuple[tuple[str, ...], Floats]]:
        """Column names and values ``(patients, columns)`` by table, NaN for gaps; the latest of several rows."""
        return {
            name: (data.names, self._latest(data.numeric, modality)) for name, (data, modality) in self.tables.items()
        }

    @cached_property
    def categorical(self) -> dict[tuple[str, str], Array]:
        """Values of every categorical column by table and column, None for gaps."""
        return {
            (name, column): self._latest_of(values, modality)
            for name, (data, modality) in self.tables.items()
            for column, values in data.categorical.items()
        }

    @property
    def inputs(self) -> list[str]:
        """Names of all columns of tables and genomic matrices."""
        return [column for names, _ in self.numeric.values() for column in names] + [c for _, c in self.categorical]

    @cached_property
    def answers(self) -> tuple[Answer, ...]:
        """All that is asked."""
        return tuple(answer for name, values in self.cohort.targets.items() for answer in answers_of(name, values))

    def parted(self, one: Array, other: Array) -> Bools:
        """Which pairs of patients, given by position, some fold puts on different sides."""
        apart = np.zeros(len(one), dtype=bool)
        for train, test in self.folds:
            side = np.zeros(len(self.cohort), dtype=np.int8)
            side[train], side[test] = 1, 2
            apart |= side[one] + side[other] == 3
        return apart

    def _latest(self, values: Array, modality: Modality) -> Floats:
        found = np.full((len(self.cohort), values.shape[1]), np.nan)
        here = modality.present
        found[here] = values[modality.rows[modality.start[1:][here] - 1]]
        return found

    def _latest_of(self, values: Array, modality: Modality) -> Array:
        found = np.full(len(self.cohort), None, dtype=object)
        here = modality.present
        found[here] = values[modality.rows[modality.start[1:][here] - 1]]
        return found


def answers_of(name: str, values: TargetValues) -> Iterator[Answer]:
    """What one target asks, one answer per class but the first of two, per label, per cause."""
    spec, fields = values.spec, values.fields
    if isinstance(spec, Classes):
        for k, label in enumerate(values.classes):
            if len(values.classes) > 2 or k == 1:
                yield Answer(f"{name}: {label}", np.where(values.known, fields["label"] == k, np.nan))
    elif isinstance(spec, Labels):
        for label in values.classes:
            mine = values.of_label(label)
            yield Answer(f"{name}: {label}", np.where(mine.known, mine.fields["label"] == 1, np.nan))
    elif isinstance(spec, Survival):
        yield timed(name, fields["time"], fields["event"] > 0, values.known)
    elif isinstance(spec, CompetingRisks):
        for cause in values.classes:
            mine = values.of_cause(cause)
            yield timed(f"{name}: {cause}", mine.fields["time"], mine.fields["event"] == 1, mine.known)
    elif isinstance(spec, Number):
        yield Answer(name, np.where(values.known, fields["value"], np.nan).astype(np.float64))


def timed(name: str, time: Array, event: Bools, known: Bools) -> Answer:
    """An event as its martingale residual under a hazard that is the same for all (Therneau et al. 1990)."""
    residual = np.full(len(time), np.nan)
    residual[known] = event[known] - nelson_aalen(time[known], event[known]).at(time[known])
    return Answer(name, residual, np.asarray(time, dtype=np.float64), np.asarray(event, dtype=bool))
