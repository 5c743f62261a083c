"""Failures: the predictions that were furthest from what happened."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fusiondx.core.predictions import ClassPrediction, NumberPrediction, Prediction, SurvivalPrediction
from fusiondx.core.targets import TargetValues
from fusiondx.errors import ConfigError
from fusiondx.reporting.report import FAILURES, Report, Result
from fusiondx.reporting.words import number

Floats = npt.NDArray[np.floating[Any]]


def failure_frame(report: Report, most: int) -> pd.DataFrame:
    """The `most` patients whom each fusion model got most wrong, worst first; ids are patient data.

    A diagnosis: by the probability given to the true class. A number: by the distance. A prognosis: patients with the
    event among the longest-lived half by prediction, the earliest event first. Columns: `FAILURES`.
    Raises `ConfigError` where `most` is negative.
    """
    if most < 0:
        raise ConfigError(f"most={most}. Give 0 or more.")
    rows = [row for result in report.results if result.role == "model" for row in _worst(result, most)]
    return pd.DataFrame(rows, columns=list(FAILURES))


def _worst(result: Result, most: int) -> Iterator[tuple[str, ...]]:
    found = [entry for said, truth in result.known for entry in _entries(said, truth)]
    for _, patient, true, predicted in sorted(found, key=lambda entry: -entry[0])[:most]:
        yield result.target, result.model, patient, true, predicted


def _entries(said: Prediction, truth: TargetValues) -> Iterator[tuple[float, str, str, str]]:
    """How wrong, the patient, what was true, what was said."""
    ids = [str(patient) for patient in said.ids]
    if isinstance(said, ClassPrediction):
        label = truth.fields["label"].astype(np.int64)
        chance = said.probability[np.arange(len(said)), label]
        for place, name in enumerate(ids):
            if said.label[place] != label[place]:
                guess = said.label[place]
                top = f"{said.classes[guess]} ({number(float(said.probability[place, guess]))})"
                yield 1 - float(chance[place]), name, truth.classes[label[place]], top
    elif isinstance(said, NumberPrediction):
        for name, true, value in zip(ids, truth.fields["value"], said.value, strict=True):
            yield abs(float(true - value)), name, number(float(true)), number(float(value))
    elif isinstance(said, SurvivalPrediction) and len(said):
        calm, time = said.risk < np.median(said.risk), truth.fields["time"]
        for place in np.flatnonzero(calm & (truth.fields["event"] == 1)).tolist():
            risk = f"risk {number(float(said.risk[place]))}"
            yield -float(time[place]), ids[place], f"event at {number(float(time[place]))} {said.unit}", risk
