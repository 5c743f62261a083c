"""The decision curve, of a diagnosis or of a prognosis at a horizon."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from fusiondx.evaluation.net_benefit import net_benefit_frame
from fusiondx.evaluation.survival_benefit import survival_net_benefit_frame
from fusiondx.reporting.displays.display import INK, MODEL, OTHER, FromClasses

THRESHOLDS = np.round(np.arange(0.02, 1.0, 0.02), 2)


@dataclass(frozen=True)
class DecisionCurveDisplay(FromClasses):
    """Net benefit by threshold probability, beside treating all and nobody (Vickers & Elkin 2006).

    Columns: `threshold`, `net_benefit`, `low`, `high`, `treat_all`, `treat_none`; of a diagnosis, the `gain` over the
    better of the two as well.

    >>> from fusiondx.reporting.displays import DecisionCurveDisplay
    >>> display = DecisionCurveDisplay.from_estimator(model, test, target="diagnosis")
    >>> axes = display.plot()
    >>> axes.get_xlabel()
    'Threshold probability'
    """

    @classmethod
    def from_predictions(cls, probability: npt.ArrayLike, positive: npt.ArrayLike, *, name: str = "") -> Self:
        """From probabilities of the positive class and who is of it, both ``(patients,)``."""
        return cls(net_benefit_frame(probability, positive, THRESHOLDS), name)

    @classmethod
    def from_survival(
        cls, probability: npt.ArrayLike, time: npt.ArrayLike, event: npt.ArrayLike, horizon: float, *, name: str = ""
    ) -> Self:
        """From probabilities of the event by `horizon`, times and events, all ``(patients,)``."""
        return cls(survival_net_benefit_frame(probability, time, event, horizon, THRESHOLDS), name)

    def draw(self, axes: Any) -> None:
        at, table = self.table["threshold"], self.table
        axes.fill_between(at, table["low"], table["high"], color=MODEL, alpha=0.13, linewidth=0)
        axes.plot(at, table["net_benefit"], color=MODEL, linewidth=2, label="Model")
        axes.plot(at, table["treat_all"], color=OTHER, linewidth=1.4, linestyle=(0, (5, 1.6)), label="Treat all")
        axes.axhline(0, color=INK, linewidth=0.9, linestyle=(0, (1.2, 1.4)), label="Treat none")
        most = max(0.05, float(table["net_benefit"].max()), float(table["treat_all"].max())) if len(table) else 1.0
        axes.set(xlabel="Threshold probability", ylabel="Net benefit", xlim=(0, 1), ylim=(-0.35 * most, 1.1 * most))
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
