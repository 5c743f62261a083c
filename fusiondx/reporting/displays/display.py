"""What every display is: a frame of numbers, and a way to plot them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import pandas as pd

from fusiondx.core.predictions import ClassPrediction, Prediction, SurvivalPrediction
from fusiondx.core.targets import TargetValues
from fusiondx.errors import ConfigError, DataError, counted, did_you_mean

MODEL, OTHER, THIRD = "#0069a8", "#c44e00", "#007a5a"
"""Blue, vermillion and green: told apart with any colour vision (after Okabe & Ito 2008)."""
INK = "#010203"
"""Stands for the colour of the surrounding text."""


@dataclass(frozen=True)
class Display(ABC):
    """A figure as data. `table` is what it shows; `plot` draws it on matplotlib axes.

    >>> from fusiondx.reporting.displays import RocDisplay
    >>> display = RocDisplay.from_predictions(probability, positive)
    >>> axes = display.plot()  # an existing figure: display.plot(ax)
    >>> display.frame().columns.tolist()
    ['false_positive_rate', 'sensitivity']
    """

    table: pd.DataFrame
    name: str = ""
    """Of the model."""
    size: ClassVar[tuple[float, float]] = (4.6, 3.7)
    """Width and height in inches that suit it."""

    def frame(self) -> pd.DataFrame:
        """The numbers behind the figure; a copy."""
        return self.table.copy()

    @abstractmethod
    def draw(self, axes: Any) -> None:
        """Draw on matplotlib axes."""

    def plot(self, ax: Any = None) -> Any:
        """Draw on the axes `ax`, or on new ones; returns them. Their ``.figure`` can be saved or shown."""
        from fusiondx.reporting.figures import new_axes  # loads matplotlib

        axes = new_axes(self.size) if ax is None else ax
        self.draw(axes)
        return axes


def asked(model: Any, cohort: Any, target: str | None) -> tuple[Prediction, TargetValues]:
    """What a fitted model says of a cohort's patients whose truth is known, beside the truth.

    `target` may be left out where the cohort has one. Raises `ConfigError` for a target that is not there.
    """
    targets: Mapping[str, TargetValues] = cohort.targets
    if target is None and len(targets) != 1:
        raise ConfigError(f"The cohort has {counted(len(targets), 'target')}. Say which with target=...")
    name = next(iter(targets)) if target is None else target
    if name not in targets:
        raise ConfigError(f"The cohort has no target '{name}'.{did_you_mean(name, list(targets))}")
    truth = targets[name]
    return model.predict(cohort)[name].take(truth.known), truth[truth.known]


def binary(model: Any, cohort: Any, target: str | None) -> tuple[Any, Any]:
    """Probability of the positive class of two, and who is of it. Raises `DataError` for another kind of target."""
    said, truth = asked(model, cohort, target)
    if not isinstance(said, ClassPrediction) or len(said.classes) != 2:
        raise DataError("This display is for a diagnosis of two classes. Choose such a target.")
    return said.probability[:, 1], truth.fields["label"] == 1


def prognosis(model: Any, cohort: Any, target: str | None) -> tuple[SurvivalPrediction, Any, Any]:
    """A prognosis with times and events. Raises `DataError` for another kind of target."""
    said, truth = asked(model, cohort, target)
    if not isinstance(said, SurvivalPrediction):
        raise DataError("This display is for survival. Choose such a target.")
    return said, truth.fields["time"], truth.fields["event"]


class FromClasses(Display):
    """A display of probabilities of the positive class of two."""

    @classmethod
    @abstractmethod
    def from_predictions(cls, probability: Any, positive: Any, *, name: str = "") -> Self:
        """From probabilities of the positive class and who is of it, both ``(patients,)``."""

    @classmethod
    def from_estimator(cls, model: Any, cohort: Any, *, target: str | None = None, name: str = "") -> Self:
        """From a fitted model and held-out patients. Raises `DataError` unless `target` has two classes."""
        return cls.from_predictions(*binary(model, cohort, target), name=name)
