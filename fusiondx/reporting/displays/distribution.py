"""How predicted probabilities spread among patients of either outcome."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy.typing as npt

from fusiondx.evaluation.distributions import histogram_frame
from fusiondx.evaluation.observed import moment, outcomes, probabilities
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

    outcomes: tuple[str, str] = ("Positive", "Negative")
    left_out: int = 0
    """Patients last seen before the horizon, whose outcome then is not known."""

    @classmethod
    def from_predictions(cls, probability: npt.ArrayLike, positive: npt.ArrayLike, *, name: str = "") -> Self:
        """From probabilities of the positive class and who is of it, both ``(patients,)``."""
        return cls(histogram_frame(probability, positive), name)

    @classmethod
    def from_survival(
        cls, probability: npt.ArrayLike, time: npt.ArrayLike, event: npt.ArrayLike, horizon: float, *, name: str = ""
    ) -> Self:
        """From probabilities of the event by `horizon`, times and events, all ``(patients,)``: those with the event by
        then, and the others. Raises `DataError` for input that cannot be judged."""
        times, events = outcomes(time, event)
        chance = probabilities(probability, len(times))
        early = times <= moment(horizon)
        known = ~early | (events > 0)
        table = histogram_frame(chance[known], (early & (events == 1))[known])
        return cls(table, name, ("Event by then", "No event by then"), int((~known).sum()))

    def draw(self, axes: Any) -> None:
        start, width = self.table["start"], self.table["end"] - self.table["start"]
        axes.bar(start, self.table["positive"], width * 0.9, align="edge", color=OTHER, label=self.outcomes[0])
        axes.bar(start, -self.table["negative"], width * 0.9, align="edge", color=MODEL, label=self.outcomes[1])
        axes.axhline(0, color=INK, linewidth=0.7)
        most = max(1, int(self.table[["positive", "negative"]].to_numpy().max()))
        steps = sorted({0, most // 2, most})
        places = [*(-step for step in steps[:0:-1]), *steps]
        axes.set_yticks(places, [f"{abs(place):,}" for place in places])
        axes.set(xlabel="Predicted probability", ylabel="Patients", xlim=(0, 1))
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
