"""A metric of a prognosis at one horizon after the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from fusiondx.evaluation.dynamic_auc import dynamic_auc
from fusiondx.evaluation.estimate import Estimate
from fusiondx.evaluation.influence import Judged, estimate
from fusiondx.evaluation.survival_brier import prediction_accuracy, survival_brier
from fusiondx.reporting.displays.display import INK, MODEL, Display, prognosis

Metric = Literal["dynamic_auc", "survival_brier", "ipa"]
TITLES = {"dynamic_auc": "AUC", "survival_brier": "Brier score", "ipa": "Index of prediction accuracy"}
USELESS = {"dynamic_auc": 0.5, "survival_brier": 0.25, "ipa": 0.0}
"""What a coin reaches, or Kaplan-Meier's estimate for everyone."""


@dataclass(frozen=True)
class OverTimeDisplay(Display):
    """Cumulative/dynamic AUC, Brier score or index of prediction accuracy by time, with 95 % intervals.

    Columns: `metric`, `time`, `value`, `low`, `high`, `events`. Times at which it is undefined are left out.

    >>> from fusiondx.reporting.displays import OverTimeDisplay
    >>> display = OverTimeDisplay.from_predictions(risk, [0.5, 1.0], time, event)
    >>> display.frame()[["time", "value"]].round(2)
       time  value
    0   0.5   0.83
    1   1.0   0.81
    >>> axes = display.plot()
    """

    metric: Metric = "dynamic_auc"
    unit: str = "months"
    size: ClassVar[tuple[float, float]] = (4.6, 3.3)

    @classmethod
    def from_predictions(
        cls,
        predicted: npt.ArrayLike,
        times: npt.ArrayLike,
        time: npt.ArrayLike,
        event: npt.ArrayLike,
        *,
        metric: Metric = "dynamic_auc",
        unit: str = "months",
        name: str = "",
    ) -> Self:
        """From probabilities of the event by each of `times`, ``(patients, times)``, and what happened. The AUC also
        takes risks, ``(patients,)``, the same at all times. Raises `DataError` for input that cannot be judged."""
        at, said = np.atleast_1d(np.asarray(times, dtype=np.float64)), np.asarray(predicted, dtype=np.float64)
        every = np.broadcast_to(said[:, None], (len(said), len(at))) if said.ndim == 1 else said
        judged = [_judge(metric, every[:, place], time, event, horizon) for place, horizon in enumerate(at.tolist())]
        found = [(horizon, e) for horizon, one in zip(at, judged, strict=True) if isinstance(e := one, Estimate)]
        rows = [(metric, float(horizon), e.value, e.low, e.high, e.events) for horizon, e in found]
        return cls(pd.DataFrame(rows, columns=["metric", "time", "value", "low", "high", "events"]), name, metric, unit)

    @classmethod
    def from_estimator(
        cls,
        model: Any,
        cohort: Any,
        times: npt.ArrayLike,
        *,
        metric: Metric = "dynamic_auc",
        target: str | None = None,
        name: str = "",
    ) -> Self:
        """From a fitted model and held-out patients."""
        said, time, event = prognosis(model, cohort, target)
        given = 1 - said.survival(times), times, time, event
        return cls.from_predictions(*given, metric=metric, unit=said.unit, name=name)

    def draw(self, axes: Any) -> None:
        rows = self.table
        axes.fill_between(rows["time"], rows["low"], rows["high"], color=MODEL, alpha=0.13, linewidth=0)
        axes.plot(rows["time"], rows["value"], color=MODEL, linewidth=1.8, marker="o", markersize=4)
        axes.axhline(USELESS[self.metric], color=INK, linewidth=0.7, alpha=0.45)
        axes.set(xlabel=f"Time ({self.unit})", ylabel=TITLES[self.metric])
        axes.margins(y=0.15)


def _judge(metric: Metric, predicted: Any, time: Any, event: Any, horizon: float) -> Any:
    judge = {"dynamic_auc": dynamic_auc, "survival_brier": survival_brier, "ipa": prediction_accuracy}[metric]
    found: Judged = judge(predicted, time, event, horizon)
    return estimate(found)
