"""The ROC curve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy.typing as npt
import pandas as pd

from fusiondx.evaluation.discrimination import roc_curve
from fusiondx.reporting.displays.display import INK, MODEL, FromClasses


@dataclass(frozen=True)
class RocDisplay(FromClasses):
    """Sensitivity against 1 - specificity. Columns: `false_positive_rate`, `sensitivity`.

    >>> from fusiondx.reporting.displays import RocDisplay
    >>> display = RocDisplay.from_predictions([0.9, 0.8, 0.4, 0.2], [1, 0, 1, 0])
    >>> display.frame()["sensitivity"].tolist()
    [0.0, 0.5, 0.5, 1.0, 1.0]
    >>> axes = display.plot()
    """

    @classmethod
    def from_predictions(cls, probability: npt.ArrayLike, positive: npt.ArrayLike, *, name: str = "") -> Self:
        """From probabilities, or any score, of the positive class and who is of it, both ``(patients,)``."""
        false, true, _ = roc_curve(probability, positive)
        return cls(pd.DataFrame({"false_positive_rate": false, "sensitivity": true}), name)

    def draw(self, axes: Any) -> None:
        axes.plot([0, 1], [0, 1], color=INK, linewidth=0.7, alpha=0.35)
        axes.plot(self.table["false_positive_rate"], self.table["sensitivity"], color=MODEL, linewidth=2)
        axes.set(xlabel="1 \u2212 specificity", ylabel="Sensitivity", xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
