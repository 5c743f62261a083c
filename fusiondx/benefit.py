"""Benefit: the outcomes a model predicts for the same patients under each of several treatments."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from fusiondx.core.predictions import (
    ClassPrediction,
    CompetingPrediction,
    LabelsPrediction,
    NumberPrediction,
    Prediction,
    SurvivalPrediction,
)
from fusiondx.data.cohort import Cohort
from fusiondx.data.preprocess import AnyPreparation, TablePreparation
from fusiondx.data.treatment import Treatment, given, home, received
from fusiondx.errors import ConfigError, DataError, FusionDxWarning, counted, listed

Predict = Callable[[Cohort], Mapping[str, Prediction]]

CAVEAT = (
    "'{column}' was not declared randomised. Patients who received one treatment may differ from those who received "
    "another in ways no input tells, so these differences may reflect who was treated how, not what treatment does. "
    "They can raise a question for a trial; they are no ground to choose a treatment."
)


@dataclass(frozen=True)
class Benefit:
    """Predicted outcomes of one target under each treatment; `str` shows them with their caveat."""

    target: str
    treatment: str
    """The column."""
    frame: pd.DataFrame
    """One row per patient who has the table with the treatment, indexed by `patient_id`. ``received``: the treatment
    they had; ``quantity[treatment]`` for each treatment; ``quantity[treatment - reference]``, the difference.

    The quantity is the event-free time expected within the last time of the model's curves, the time expected to be
    lost to each cause, the probability of each class (of two: the last) or label, or the value."""
    caveat: str
    """Why differences may not be effects; blank where treatment was randomised."""

    def __str__(self) -> str:
        head = f"Predicted {self.target} under each {self.treatment}, {counted(len(self.frame), 'patient')}"
        average = self.frame.select_dtypes("number").mean().to_string()
        return "\n\n".join(part for part in (head, f"Mean over patients\n{average}", self.caveat) if part)


def benefits(cohort: Cohort, preparations: Mapping[str, AnyPreparation], predict: Predict) -> dict[str, Benefit]:
    """What `predict` says of the patients under each treatment that training saw, by target.

    Raises `ConfigError` where no treatment is declared, or the model does not know it, and `DataError` where no patient
    has its table; warns where it was not randomised.
    """
    asked = cohort.treatment
    if asked is None:
        raise ConfigError("The cohort declares no treatment. Name its column: treatment={'column': ...}.")
    name = home(asked, cohort.modalities)
    levels = known_treatments(asked, preparations.get(name), name)
    mine = cohort[np.flatnonzero(cohort.modalities[name].present)]
    if not len(mine):
        raise DataError(
            f"None of {counted(len(cohort), 'patient')} has '{name}', the table with the treatment '{asked.column}'. "
            "Benefit is predicted for patients who have it."
        )
    said = {level: predict(under(mine, name, asked.column, level)) for level in levels}
    caveat = "" if asked.randomised else CAVEAT.format(column=asked.column)
    if caveat:
        warnings.warn(caveat, FusionDxWarning, stacklevel=3)
    had = pd.DataFrame({"received": received(mine.modalities[name], asked.column)}, index=mine.ids)
    targets = next(iter(said.values()))
    return {
        target: Benefit(target, asked.column, had.join(side_by_side({k: v[target] for k, v in said.items()})), caveat)
        for target in targets
    }


def under(cohort: Cohort, modality: str, column: str, treatment: str) -> Cohort:
    """The same patients, had they all received `treatment`."""
    return replace(
        cohort, modalities={**cohort.modalities, modality: given(cohort.modalities[modality], column, treatment)}
    )


def known_treatments(asked: Treatment, preparation: AnyPreparation | None, name: str) -> tuple[str, ...]:
    """The treatments the model was trained on, the reference first. Raises `ConfigError` where it knows none."""
    levels = preparation.categories.get(asked.column, ()) if isinstance(preparation, TablePreparation) else ()
    if not levels:
        raise ConfigError(
            f"The model was not trained with '{asked.column}' of '{name}' as an input that differs between patients. "
            "Name it under 'categorical' and train again."
        )
    reference = asked.reference or levels[0]
    if reference not in levels:
        raise ConfigError(f"treatment.reference: training never saw '{reference}'. Known: {listed(levels)}.")
    return (reference, *(level for level in levels if level != reference))


def side_by_side(said: Mapping[str, Prediction]) -> pd.DataFrame:
    """The quantities of each treatment, the reference first, then their differences from the reference's."""
    reference, *others = {level: quantities(prediction) for level, prediction in said.items()}.items()
    name, base = reference
    parts = [base.add_suffix(f"[{name}]")]
    parts += [frame.add_suffix(f"[{level}]") for level, frame in others]
    parts += [(frame - base).add_suffix(f"[{level} - {name}]") for level, frame in others]
    return pd.concat(parts, axis=1)


def quantities(prediction: Prediction) -> pd.DataFrame:
    """What is compared between treatments, a column each, indexed by `patient_id`."""
    columns: dict[str, object]
    if isinstance(prediction, SurvivalPrediction):
        columns = {f"{prediction.unit}_event_free": prediction.restricted_mean()}
    elif isinstance(prediction, CompetingPrediction):
        columns = {f"{prediction.unit}_lost_to_{c}": prediction.risk[:, k] for k, c in enumerate(prediction.causes)}
    elif isinstance(prediction, ClassPrediction):
        shown = prediction.classes[1:] if len(prediction.classes) == 2 else prediction.classes
        columns = {f"probability_{c}": prediction.probability[:, prediction.classes.index(c)] for c in shown}
    elif isinstance(prediction, LabelsPrediction):
        columns = {f"probability_{label}": prediction.probability[:, j] for j, label in enumerate(prediction.labels)}
    else:
        assert isinstance(prediction, NumberPrediction)
        columns = {"value": prediction.value}
    return pd.DataFrame(columns, index=pd.Index(prediction.ids, name="patient_id"))
