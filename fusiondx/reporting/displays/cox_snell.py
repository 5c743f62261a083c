"""Calibration of whole survival curves: A-calibration bin by bin, and D-calibration as a plot."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from fusiondx.evaluation.a_calibration import a_calibration, d_calibration
from fusiondx.evaluation.estimate import Undefined
from fusiondx.reporting.displays.display import INK, MODEL, Display, prognosis
from fusiondx.reporting.words import number


class OfCurves(Display):
    """A display of whole curves, judged by what became of each patient."""

    size: ClassVar[tuple[float, float]] = (4.6, 3.3)

    @classmethod
    @abstractmethod
    def from_predictions(
        cls, survival: npt.ArrayLike, times: npt.ArrayLike, time: npt.ArrayLike, event: npt.ArrayLike, *, name: str = ""
    ) -> Self:
        """From probabilities to be event-free beyond each of `times`, ``(patients, times)``, and what happened. Raises
        `DataError` for input that cannot be judged."""

    @classmethod
    def from_estimator(cls, model: Any, cohort: Any, *, target: str | None = None, name: str = "") -> Self:
        """From a fitted model and held-out patients."""
        said, time, event = prognosis(model, cohort, target)
        return cls.from_predictions(said.curves, said.times, time, event, name=name)


@dataclass(frozen=True)
class ACalibrationDisplay(OfCurves):
    """Events observed beside those expected, in bins that each expect the same number (Simonsen & Waagepetersen 2025).

    Columns: `start` and `end` of the bin, as predicted cumulative hazard, `observed`, `expected`. Empty where the test
    is undefined.

    >>> from fusiondx.reporting.displays import ACalibrationDisplay
    >>> at = np.linspace(0.1, 3, 30)
    >>> display = ACalibrationDisplay.from_predictions(np.exp(-np.outer(np.exp(risk), at)), at, time, event)
    >>> len(display.frame())
    10
    """

    verdict: str = ""
    """The test in words, or why there is none."""

    @classmethod
    def from_predictions(
        cls, survival: npt.ArrayLike, times: npt.ArrayLike, time: npt.ArrayLike, event: npt.ArrayLike, *, name: str = ""
    ) -> Self:
        found = a_calibration(survival, times, time, event)
        columns = ["start", "end", "observed", "expected"]
        if isinstance(found, Undefined):
            return cls(pd.DataFrame(columns=columns), name, f"A-calibration is undefined: {found.reason}")
        rows = {"start": found.edges[:-1], "end": found.edges[1:], "observed": found.observed}
        chance = "p < 0.001" if found.p < 0.001 else f"p = {found.p:.3f}"
        said = f"A-calibration: chi-squared {number(found.chi2)} on {found.degrees} degrees of freedom, {chance}"
        return cls(pd.DataFrame({**rows, "expected": found.expected})[columns], name, said)

    def draw(self, axes: Any) -> None:
        place = np.arange(1, len(self.table) + 1)
        axes.bar(place, self.table["observed"], width=0.7, color=MODEL, alpha=0.75)
        axes.axhline(self.table["expected"].max(), color=INK, linewidth=0.9, alpha=0.6)
        axes.set(xlabel="Bin of predicted cumulative hazard", ylabel="Events", xticks=place)


@dataclass(frozen=True)
class DCalibrationDisplay(OfCurves):
    """How patients spread over ten equal parts of predicted survival probability (Haider et al. 2020): a plot, no test.

    Columns: `start` and `end` of the part, `share` of the patients. Empty where there are no patients.

    >>> from fusiondx.reporting.displays import DCalibrationDisplay
    >>> at = np.linspace(0.1, 3, 30)
    >>> display = DCalibrationDisplay.from_predictions(np.exp(-np.outer(np.exp(risk), at)), at, time, event)
    >>> round(float(display.frame()["share"].sum()), 6)
    1.0
    """

    @classmethod
    def from_predictions(
        cls, survival: npt.ArrayLike, times: npt.ArrayLike, time: npt.ArrayLike, event: npt.ArrayLike, *, name: str = ""
    ) -> Self:
        found = d_calibration(survival, times, time, event)
        if isinstance(found, Undefined):
            return cls(pd.DataFrame(columns=["start", "end", "share"]), name)
        rows = {"start": found.edges[:-1], "end": found.edges[1:], "share": found.share}
        return cls(pd.DataFrame(rows), name)

    def draw(self, axes: Any) -> None:
        width = self.table["end"] - self.table["start"]
        axes.bar(self.table["start"], self.table["share"], width * 0.9, align="edge", color=MODEL, alpha=0.75)
        axes.axhline(1 / len(self.table), color=INK, linewidth=0.9, alpha=0.6)
        axes.set(xlabel="Predicted survival probability at each patient's own time", ylabel="Share", xlim=(0, 1))
