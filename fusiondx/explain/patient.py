"""Patient: one of an explanation's patients, in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from fusiondx.core.targets import Classes, CompetingRisks, Labels, Survival, TargetValues
from fusiondx.data.bags import BagData
from fusiondx.data.tables import TableData
from fusiondx.errors import counted
from fusiondx.explain.question import unit_of
from fusiondx.reporting.words import number, plain

if TYPE_CHECKING:
    from fusiondx.explain.explanation import Explanation


@dataclass(frozen=True)
class Patient:
    """One patient of an explanation."""

    explanation: Explanation
    id: str
    place: int

    def of(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The patient's rows."""
        return frame[frame["patient_id"] == self.id]

    @property
    def value(self) -> pd.Series[Any]:
        """The number that is explained, and what it is."""
        return self.of(self.explanation.values).iloc[0]

    @property
    def unit(self) -> str:
        """What is on the axes."""
        return unit_of(self.explanation.question, self.explanation.prediction)

    @property
    def sentence(self) -> str:
        """What the model says."""
        value = self.value
        of = "" if self.unit.startswith("predicted") else f" of {plain(value['outcome'])}"
        return (
            f"{self.unit.capitalize()}{of}: {number(value['value'])}. With nothing known it would be "
            f"{number(value['with_nothing'])}."
        )

    @property
    def inputs(self) -> list[tuple[str, str]]:
        """What there is of the patient, modality by modality."""
        modalities = self.explanation.cohort.modalities
        counts = {name: int(modality.counts[self.place]) for name, modality in modalities.items()}
        return [(name, counted(n, *nouns(modalities[name].data)) if n else "missing") for name, n in counts.items()]

    @property
    def inputs_in_words(self) -> str:
        return "Known: " + "; ".join(f"{plain(name)}: {what}" for name, what in self.inputs) + "."


def nouns(data: object) -> tuple[str, str]:
    """What one item of a modality is called, and what several are."""
    if isinstance(data, TableData):
        return "row", "rows"
    return ("bag of patches", "bags of patches") if isinstance(data, BagData) else ("image", "images")


def told(values: TargetValues, place: int) -> str:
    """A patient's true answer in words."""
    if not values.known[place]:
        return "not known"
    held = {name: field[place] for name, field in values.fields.items()}
    if isinstance(values.spec, Classes):
        return values.classes[int(held["label"])]
    if isinstance(values.spec, Labels):
        found = [n for n, yes, known in zip(values.classes, held["label"], held["told"], strict=True) if yes and known]
        return ", ".join(found) or "none of the findings"
    if isinstance(values.spec, Survival | CompetingRisks):
        causes = values.classes if isinstance(values.spec, CompetingRisks) else ("event",)
        what = causes[int(held["event"]) - 1] if held["event"] else "no event"
        return f"{what} {'at' if held['event'] else 'until'} {held['time']:.3g} {values.spec.unit}"
    return number(float(held["value"]))
