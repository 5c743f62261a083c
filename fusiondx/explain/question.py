"""Question: which number about each patient is explained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.special import logit

from fusiondx.core.predictions import (
    ClassPrediction,
    CompetingPrediction,
    LabelsPrediction,
    NumberPrediction,
    Prediction,
    SurvivalPrediction,
    finite_times,
)
from fusiondx.errors import ConfigError, did_you_mean

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.int64]
Scale = Literal["probability", "link"]

TINY = 1e-12
"""Probabilities are held this far from 0 and 1 before a link takes them to infinity."""


@dataclass(frozen=True)
class Outcomes:
    """The numbers a prediction holds, of which one per patient is explained."""

    names: tuple[str, ...]
    values: Floats
    """Shape ``(patients, outcomes)``."""
    labels: tuple[str, ...] = ()
    """What each is asked for by: a class, a finding or a cause; none where there is one number only."""


@dataclass(frozen=True)
class Question:
    """One number per patient: a probability, a risk by a horizon, or a quantity."""

    target: str
    label: str | None = None
    """The class, finding or cause; None for each patient's most probable one."""
    horizon: float | None = None
    """Of a prognosis, in its unit; None elsewhere."""
    scale: Scale = "probability"

    def outcomes(self, said: Prediction) -> Outcomes:
        """Every number that could be asked for, on the scale of the question."""
        if isinstance(said, NumberPrediction):
            return Outcomes((f"{self.target} ({said.unit})" if said.unit else self.target,), said.value[:, None])
        if isinstance(said, SurvivalPrediction):
            risk = 1 - said.survival([self.horizon or 0.0])
            held = risk if self.scale == "probability" else np.log(-np.log1p(-risk.clip(TINY, 1 - TINY)))
            return Outcomes((f"event by {self.horizon:g} {said.unit}",), held)
        labels, probability = chances(said, self.horizon or 0.0)
        held = probability if self.scale == "probability" else logit(probability.clip(TINY, 1 - TINY))
        by = f" by {self.horizon:g} {said.unit}" if isinstance(said, CompetingPrediction) else ""
        return Outcomes(tuple(label + by for label in labels), np.asarray(held), labels)

    def choice(self, found: Outcomes) -> Ints:
        """Which of the outcomes is explained, patient by patient. Raises `ConfigError` for an unknown label."""
        if self.label is None:
            return np.asarray(found.values.argmax(axis=1), dtype=np.int64)
        if self.label not in found.labels:
            raise ConfigError(f"'{self.target}' has no outcome '{self.label}'.{did_you_mean(self.label, found.labels)}")
        return np.full(len(found.values), found.labels.index(self.label), dtype=np.int64)


def chances(said: Prediction, horizon: float) -> tuple[tuple[str, ...], Floats]:
    """The probabilities of a prediction that holds several, and of what."""
    if isinstance(said, ClassPrediction):
        return said.classes, said.probability
    if isinstance(said, LabelsPrediction):
        return said.labels, said.probability
    assert isinstance(said, CompetingPrediction)
    incidence = [said.cumulative_incidence(cause, [horizon])[:, 0] for cause in said.causes]
    return said.causes, np.stack(incidence, axis=1)


def asked(said: Prediction, target: str, label: str | None, horizon: float | None, scale: Scale) -> Question:
    """The question, checked, and with the horizon filled in: the middle of the times at which the curves step.

    Raises `ConfigError` for a horizon where nothing depends on time, for a label where there is nothing to choose from,
    and for an unknown scale; `DataError` for a horizon that is negative or infinite.
    """
    timed = isinstance(said, SurvivalPrediction | CompetingPrediction)
    if scale not in ("probability", "link"):
        raise ConfigError(f"scale: '{scale}'. Choose 'probability' or 'link'.")
    if horizon is not None and not timed:
        raise ConfigError(f"'{target}' does not depend on time: leave out the horizon.")
    if label is not None and isinstance(said, SurvivalPrediction | NumberPrediction):
        raise ConfigError(f"'{target}' has one outcome only: leave out the label.")
    if isinstance(said, SurvivalPrediction | CompetingPrediction):
        horizon = float(np.median(said.times)) if horizon is None else float(finite_times(horizon))
    return Question(target, label, horizon, scale)


def unit_of(question: Question, said: Prediction) -> str:
    """What the explained number is, in words."""
    if isinstance(said, NumberPrediction):
        return f"predicted value ({said.unit})" if said.unit else "predicted value"
    if question.scale == "probability":
        return "probability"
    return "log cumulative hazard" if isinstance(said, SurvivalPrediction) else "log odds"
