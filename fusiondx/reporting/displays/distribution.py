"""How predicted probabilities spread among patients of either outcome."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy.typing as npt

from fusiondx.evaluation.distributions import histogram_frame
from fusiondx.reporting.displays.display import INK, MODEL, OTHER, FromClasses


@dataclass(frozen=True)
class DistributionDisplay(FromClasses):
    """Positive patients upwards, negative ones downwards, in twentieths of the probability.

    Columns: those of `fusiondx.evaluation.histogram_frame`.

    >>> from fusiondx.reporting.displays import DistributionDisplay
    >>> display = DistributionDisplay.from_predictions(probability, positive)
    >>> int(display.frame()["positive"].sum()) == int(positive.sum())
    True
    >>> axes = display.plot()
    """

    @classmethod
    def from_predictions(cls, probability: npt.ArrayLike, positive: npt.ArrayLike, *, name: str = "") -> Self:
        """From probabilities of the positive class and who is of it, both ``(patients,)``."""
        return cls(histogram_frame(probability, positive), name)

    def draw(self, axes: Any) -> None:
        start, width = self.table["start"], self.table["end"] - self.table["start"]
        axes.bar(start, self.table["positive"], width * 0.9, align="edge", color=OTHER, label="Positive")
        axes.bar(start, -self.table["negative"], width * 0.9, align="edge", color=MODEL, label="Negative")
        axes.axhline(0, color=INK, linewidth=0.7)
        most = max(1, int(self.table[["positive", "negative"]].to_numpy().max()))
        steps = sorted({0, most // 2, most})
        places = [*(-step for step in steps[:0:-1]), *steps]
        axes.set_yticks(places, [f"{abs(place):,}" for place in places])
        axes.set(xlabel="Predicted probability", ylabel="Patients", xlim=(0, 1))
        axes.legend(loc="upper center")
