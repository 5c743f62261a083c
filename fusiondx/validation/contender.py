"""A contender: one model of a comparison, fitted part by part, with what it said of held-out patients."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd
from sklearn.base import clone

from fusiondx.core.predictions import CompetingPrediction, LabelsPrediction, Prediction, SurvivalPrediction
from fusiondx.core.targets import TargetValues
from fusiondx.data.cohort import Cohort
from fusiondx.errors import ConfigError, DataError, listed
from fusiondx.evaluation.score import score
from fusiondx.modality_use import Asked, ask, ways
from fusiondx.model import FusionModel
from fusiondx.reporting.report import Part, Result

CLASSICAL = {
    "classes": "logistic regression",
    "labels": "logistic regression",
    "survival": "Cox regression",
    "competing": "Cox regression per cause",
    "cause": "Cox regression per cause",
    "number": "ridge regression",
}
MOST = 5
"""Modalities up to which Shapley values are asked for: of one more there are twice as many subsets to predict from."""


@dataclass
class Contender:
    """One model of the comparison: what it is, which modality it is confined to, and what it achieved."""

    name: str
    role: Literal["model", "modality", "baseline"]
    estimator: Any
    only: str | None = None
    """The one modality it sees; patients without it neither train nor test it."""
    parts: dict[str, list[Part]] = field(default_factory=lambda: defaultdict(list))
    histories: list[pd.DataFrame] = field(default_factory=list)
    trials: list[pd.DataFrame] = field(default_factory=list)
    """Settings it tried inside its training patients, of an estimator that does."""
    seconds: float = 0.0
    parameters: int | None = None
    permutations: int = 0
    """How often a fusion model is asked again with each modality permuted; 0 leaves that out."""
    asked: list[Asked] = field(default_factory=list)
    """What it said then, fold by fold."""

    def __post_init__(self) -> None:
        """Raise `ConfigError` for fewer than no permutations."""
        if self.permutations < 0:
            raise ConfigError(f"permutations={self.permutations}. Give 0 to leave them out, or more.")

    def view(self, cohort: Cohort) -> Cohort:
        """What it sees of a cohort."""
        if self.only is None:
            return cohort
        mine = cohort.select(modalities=[self.only])
        return mine[np.flatnonzero(mine.modalities[self.only].present)]

    def fresh(self) -> Contender:
        """The same, with nothing achieved yet."""
        return Contender(self.name, self.role, self.estimator, self.only, permutations=self.permutations)

    def absorb(self, other: Contender) -> None:
        """Add what `other`, a fresh copy, achieved elsewhere."""
        for target, parts in other.parts.items():
            self.parts[target].extend(parts)
        self.histories.extend(other.histories)
        self.trials.extend(other.trials)
        self.asked.extend(other.asked)
        self.seconds += other.seconds
        self.parameters = other.parameters

    def fit(self, train: Cohort) -> Any:
        """A fresh copy, trained."""
        started = time.perf_counter()
        fitted = clone(self.estimator).fit(self.view(train))
        self.seconds += time.perf_counter() - started
        return fitted

    def judge(self, fitted: Any, test: Cohort, fold: int = 0) -> None:
        """Keep its predictions for held-out patients beside their true values, of the targets that these have.

        Raises `DataError` where they have none, or other labels or causes.
        """
        seen = self.view(test)
        if len(seen):
            said = fitted.predict(seen)
            shared = [target for target in said if target in seen.targets]
            if not shared:
                raise DataError(f"The cohort has no target that the model predicts: {listed(said)}.")
            for target in shared:
                for name, part in judged(target, said[target], seen.targets[target]):
                    self.parts[name].append(part)
        if isinstance(fitted, FusionModel):
            for target, part in overlaps(fitted, seen):
                self.parts[target].append(part)
        if self.permutations and self.role == "model" and len(seen) and len(seen.modalities) > 1:
            how = ways(len(seen.modalities), MOST)
            self.asked.append(ask(fitted, seen, tuple(seen.modalities), how, self.permutations, seed=fold))
        self.parameters = getattr(fitted, "parameters_", None)
        if isinstance(history := getattr(fitted, "history_", None), pd.DataFrame):
            self.histories.append(history.assign(fold=fold))
        if isinstance(trials := getattr(fitted, "trials_", None), pd.DataFrame):
            self.trials.append(trials.assign(fold=fold))

    def named(self, kind: str) -> str:
        """Its name in a table about targets of this kind."""
        return f"{self.name} ({CLASSICAL[kind]})" if self.role == "baseline" else self.name

    def results(self, replicates: int, seed: int) -> list[Result]:
        """What it achieved, target by target."""
        return [
            Result(
                self.named(parts[0][1].spec.kind),
                self.role,
                target,
                tuple(parts),
                score(parts, replicates=replicates, seed=seed),
                self.seconds,
                self.parameters,
                # risk is relative to the average training patient: above it is high
                tuple(0.0 if isinstance(prediction, SurvivalPrediction) else None for prediction, _ in parts),
            )
            for target, parts in self.parts.items()
        ]


def judged(target: str, prediction: Prediction, truth: TargetValues) -> Iterator[tuple[str, Part]]:
    """A prediction beside the truth; of several labels or causes also each on its own."""
    yield target, (prediction, truth)
    if isinstance(prediction, CompetingPrediction):
        for cause in prediction.causes:
            yield f"{target}: {cause}", (prediction.of_cause(cause), truth.of_cause(cause))
    if isinstance(prediction, LabelsPrediction):
        for label in prediction.labels:
            yield f"{target}: {label}", (prediction.of_label(label), truth.of_label(label))


def overlaps(model: FusionModel, seen: Cohort) -> Iterator[tuple[str, Part]]:
    """What a model that segments drew, beside the true masks, where some of these patients have them."""
    here = [name for name in model.segments_ if name in seen.modalities and seen.modalities[name].present.any()]
    for modality, drawn in model.segment(seen).items() if here else ():
        said, truth = drawn.judged()
        if truth.known.any():
            yield f"{modality} tumour", (said, truth)
