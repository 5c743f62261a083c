"""The calibration plot of a diagnosis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from fusiondx.evaluation import checking
from fusiondx.evaluation.calibration import (
    calibration_frame,
    estimate_calibration_errors,
    estimate_calibration_intercept,
    estimate_calibration_slope,
)
from fusiondx.evaluation.estimate import Outcome, Undefined
from fusiondx.evaluation.proportions import wilson
from fusiondx.reporting.displays.display import INK, MODEL, FromClasses
from fusiondx.reporting.words import outcome, title

GROUPS = 10


@dataclass(frozen=True)
class CalibrationDisplay(FromClasses):
    """Observed against predicted risk: a smooth curve with its 95 % band, and tenths of the patients.

    Columns: `what` ("curve" or "group"), `predicted`, `observed`, `low`, `high`, `patients` (of groups).

    >>> from fusiondx.reporting.displays import CalibrationDisplay
    >>> display = CalibrationDisplay.from_predictions(probability, positive)
    >>> display.frame()["what"].unique().tolist()
    ['curve', 'group']
    >>> axes = display.plot()
    """

    summary: tuple[Outcome, ...] = ()
    """Calibration in the large, slope and integrated calibration index."""
    size: ClassVar[tuple[float, float]] = (4.6, 4.4)

    @classmethod
    def from_predictions(cls, probability: npt.ArrayLike, positive: npt.ArrayLike, *, name: str = "") -> Self:
        """From probabilities of the positive class and who is of it, both ``(patients,)``.

        The curve is `fusiondx.evaluation.calibration_frame`'s; where that is undefined, there are groups alone.
        """
        chance, flag = checking.forecast(probability, positive)
        curve = calibration_frame(chance, flag, points=41)
        tables = [_groups(chance, flag)]
        if not isinstance(curve, Undefined):
            tables.insert(0, curve.assign(what="curve"))
        columns = ["what", "predicted", "observed", "low", "high", "patients"]
        table = pd.concat(tables, ignore_index=True).reindex(columns=columns)
        estimates = (estimate_calibration_intercept(chance, flag), estimate_calibration_slope(chance, flag))
        return cls(table, name, (*estimates, estimate_calibration_errors(chance, flag)[0]))

    def said(self) -> str:
        """Calibration in the large, slope and index in words."""
        return "; ".join(f"{title(found.metric)} {outcome(found)}" for found in self.summary)

    def draw(self, axes: Any) -> None:
        axes.plot([0, 1], [0, 1], color=INK, linewidth=0.7, alpha=0.35)
        curve, group = (self.table[self.table["what"] == what] for what in ("curve", "group"))
        axes.fill_between(curve["predicted"], curve["low"], curve["high"], color=MODEL, alpha=0.13, linewidth=0)
        axes.plot(curve["predicted"], curve["observed"], color=MODEL, linewidth=2)
        axes.vlines(group["predicted"], group["low"], group["high"], color=MODEL, linewidth=1, alpha=0.7)
        axes.plot(group["predicted"], group["observed"], color=MODEL, marker="o", markersize=4.5, linestyle="")
        axes.set(xlabel="Predicted probability", ylabel="Observed share", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))


def _groups(chance: npt.NDArray[np.float64], positive: npt.NDArray[np.bool_]) -> pd.DataFrame:
    """Tenths of the patients by prediction; equal predictions stay together."""
    if not len(chance):
        return pd.DataFrame({"what": []})
    cuts = np.unique(np.quantile(chance, np.arange(1, GROUPS) / GROUPS))
    _, member = np.unique(np.searchsorted(cuts, chance, side="left"), return_inverse=True)
    size, hits = np.bincount(member), np.bincount(member, weights=positive)
    (low, high), mean = wilson(hits, size), np.bincount(member, weights=chance) / size
    columns = {"predicted": mean, "observed": hits / size, "low": low, "high": high}
    return pd.DataFrame({"what": "group", **columns, "patients": size})
