"""Cumulative incidence of one of several causes: observed, and the mean of what was predicted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from fusiondx.evaluation.observed import outcomes, probabilities
from fusiondx.evaluation.proportions import Z95
from fusiondx.reporting.displays.display import MODEL, OTHER, Display
from fusiondx.survival.competing import incidence


@dataclass(frozen=True)
class IncidenceDisplay(Display):
    """Aalen-Johansen estimate with pointwise 95 % intervals on the log(-log) scale; mean prediction at some times.

    Columns: `what` ("observed" or "predicted"), `time`, `incidence`, and of the observed `low`, `high`.

    >>> from fusiondx.reporting.displays import IncidenceDisplay
    >>> display = IncidenceDisplay.from_predictions(np.empty((400, 0)), [], time, event)
    >>> display.frame()["what"].unique().tolist()
    ['observed']
    """

    unit: str = "months"

    @classmethod
    def from_predictions(
        cls,
        probability: npt.ArrayLike,
        times: npt.ArrayLike,
        time: npt.ArrayLike,
        event: npt.ArrayLike,
        *,
        unit: str = "months",
        name: str = "",
    ) -> Self:
        """From probabilities that event 1 comes first, and by each of `times`, ``(patients, times)``, and what
        happened: 0 censored, 1 the event, other numbers what competes. Raises `DataError` for input that cannot be
        judged."""
        at, events = outcomes(time, event)
        curve = incidence(at, events)
        inside = (curve.values > 0) & (curve.values < 1)
        value = np.where(inside, curve.values, 0.5)
        width = Z95 * np.sqrt(curve.variance) / ((1 - value) * np.abs(np.log1p(-value)))
        low, high = (np.where(inside, 1 - (1 - value) ** np.exp(sign * width), curve.values) for sign in (-1, 1))
        rows = {"time": curve.times, "incidence": curve.values, "low": low, "high": high}
        tables = [pd.DataFrame({"what": "observed", **rows})]
        if len(when := np.asarray(times, dtype=np.float64)):
            mean = probabilities(probability, len(at), len(when)).mean(axis=0)
            tables.append(pd.DataFrame({"what": "predicted", "time": when, "incidence": mean}))
        return cls(pd.concat(tables, ignore_index=True), name, unit)

    def draw(self, axes: Any) -> None:
        observed, said = (self.table[self.table["what"] == what] for what in ("observed", "predicted"))
        start = np.concatenate([[0.0], observed["time"]])
        band = (np.concatenate([[0.0], observed[end]]) for end in ("low", "high"))
        axes.fill_between(start, *band, step="post", color=MODEL, alpha=0.13, linewidth=0)
        line = np.concatenate([[0.0], observed["incidence"]])
        axes.step(start, line, where="post", color=MODEL, linewidth=1.8, label="Observed")
        if len(said):
            axes.plot(
                said["time"],
                said["incidence"],
                color=OTHER,
                marker="o",
                markersize=4.5,
                linestyle="",
                label="Predicted",
            )
        axes.set(xlabel=f"Time ({self.unit})", ylabel="Cumulative incidence", ylim=(0, None))
        axes.legend(loc="upper left")
