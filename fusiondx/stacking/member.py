"""Member: one model of a stack, and what it says of patients it has not seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import clone

from fusiondx.classical.model import ClassicalModel
from fusiondx.core.components import Head
from fusiondx.core.predictions import Prediction
from fusiondx.data.cohort import Cohort
from fusiondx.errors import DataError
from fusiondx.plain import answers_of

Floats = npt.NDArray[np.floating[Any]]
Split = tuple[npt.NDArray[np.integer[Any]], npt.NDArray[np.integer[Any]]]
Answers = dict[str, Floats]
"""By target, ``(patients, outputs)``; NaN for patients of whom nothing is said."""


@dataclass(frozen=True)
class Question:
    """A target, as a stack answers it."""

    head: Head
    outputs: int


Questions = Mapping[str, Question]


@dataclass(frozen=True, eq=False)
class Recipe:
    """A model of a stack, not fitted."""

    name: str
    estimator: Any
    """Anything with `FusionModel`'s `fit` and `predict`."""
    reads: tuple[str, ...]
    """What it is shown: modalities, or tables made of them."""
    joint: bool
    """Whether it answers for patients who lack some of that."""

    def fit(self, cohort: Cohort, splits: Sequence[Split]) -> tuple[Member, Member]:
        """The member to keep, and one that has a fit for each inner split, not of the patients held out there.

        A regression or forest is kept as fitted on everybody. Of a network, whose fits scatter, those of all splits are
        kept: their mean is steadier.
        """
        prototype = clone(self.estimator)
        if isinstance(prototype, ClassicalModel):
            whole = prototype.fit(self.view(cohort))
            inner = tuple(again(whole, self.view(cohort[train])) for train, _ in splits)
            return Member(self, (whole,)), Member(self, inner)
        both = Member(self, tuple(clone(prototype).fit(self.view(cohort[train])) for train, _ in splits))
        return both, both

    def view(self, cohort: Cohort) -> Cohort:
        """What it sees: its modalities, and the patients it learns from or speaks of."""
        mine = cohort.select(modalities=[name for name in self.reads if name in cohort.modalities])
        present = [modality.present for modality in mine.modalities.values()]
        return mine[np.flatnonzero(np.any(present, axis=0))] if present and not self.joint else mine

    def speaks_of(self, cohort: Cohort) -> bool:
        """Whether it can say anything of patients with these modalities."""
        return any(name in cohort.modalities for name in self.reads)


@dataclass(frozen=True, eq=False)
class Member:
    """A model of a stack with its fits, whose answers are averaged."""

    recipe: Recipe
    fits: tuple[Any, ...]

    def answers(self, cohort: Cohort, questions: Questions) -> Answers:
        """What it says of new patients."""
        each = [said(fit, self.recipe.view(cohort), cohort, questions) for fit in self.fits]
        return {target: np.mean([answers[target] for answers in each], axis=0) for target in questions}

    def held_out(self, cohort: Cohort, splits: Sequence[Split], questions: Questions) -> Answers:
        """What the fits say of the patients of a split that they were not fitted on.

        For a fit that says nothing stands the mean of what others say: nothing among log hazards would itself tell who
        was held out there.
        """
        found = {name: np.full((len(cohort), question.outputs), np.nan) for name, question in questions.items()}
        for fit, (_, test) in zip(self.fits, splits, strict=True):
            part = cohort[test]
            for target, values in said(fit, self.recipe.view(part), part, questions).items():
                found[target][test] = values
        for values in found.values():
            heard: npt.NDArray[np.bool_] = np.isfinite(values[:, 0])
            for _, test in splits:
                if heard.any() and not heard[test].any():
                    values[test] = values[heard].mean(axis=0)
        return found


class Mute:
    """In place of what could not be fitted on an inner split."""

    def predict(self, cohort: Cohort) -> dict[str, Prediction]:
        """Nothing."""
        return {}


def again(whole: ClassicalModel, cohort: Cohort) -> ClassicalModel | Mute:
    """The same model on the patients of an inner split, who may be too few where all together are enough."""
    try:
        return whole.again().fit(cohort)
    except DataError:
        return Mute()


def said(fit: Any, seen: Cohort, cohort: Cohort, questions: Questions) -> Answers:
    """The answers of one fit, in the order of the patients of `cohort`."""
    found = {name: np.full((len(cohort), question.outputs), np.nan) for name, question in questions.items()}
    if len(seen):
        place = {name: row for row, name in enumerate(cohort.ids)}
        for target, prediction in fit.predict(seen).items():
            rows = [place[name] for name in prediction.ids]
            found[target][rows] = answers_of(prediction, questions[target].head)
    return found
