"""Kaplan-Meier curves of groups of patients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from fusiondx.evaluation.groups import risk_groups
from fusiondx.evaluation.observed import outcomes
from fusiondx.evaluation.proportions import Z95
from fusiondx.reporting.displays.display import MODEL, OTHER, THIRD, Display, prognosis
from fusiondx.survival.estimators import at_risk, kaplan_meier

COLOURS = (MODEL, OTHER, THIRD)


@dataclass(frozen=True)
class KaplanMeierDisplay(Display):
    """Share event-free by time and group, with pointwise 95 % intervals on the log(-log) scale.

    Columns: `group`, `time`, `event_free`, `low`, `high`, `at_risk`.

    >>> from fusiondx.reporting.displays import KaplanMeierDisplay
    >>> display = KaplanMeierDisplay.from_predictions(risk, time, event, cuts=[0.0])
    >>> display.frame()["group"].unique().tolist()
    ['1', '2']
    >>> axes = display.plot()
    """

    size: ClassVar[tuple[float, float]] = (4.8, 3.7)

    @classmethod
    def from_predictions(
        cls, risk: npt.ArrayLike, time: npt.ArrayLike, event: npt.ArrayLike, *, cuts: npt.ArrayLike, name: str = ""
    ) -> Self:
        """From risks, times and events, all ``(patients,)``; groups are parted by `cuts`, from training patients."""
        times, events = outcomes(time, event)
        group = risk_groups(risk, cuts)
        tables = [_curve(times[group == g], events[group == g] == 1).assign(group=f"{g + 1}") for g in np.unique(group)]
        columns = ["group", "time", "event_free", "low", "high", "at_risk"]
        return cls(pd.concat(tables, ignore_index=True)[columns] if tables else pd.DataFrame(columns=columns), name)

    @classmethod
    def from_estimator(
        cls, model: Any, cohort: Any, *, cuts: npt.ArrayLike = (0.0,), target: str | None = None, name: str = ""
    ) -> Self:
        """From a fitted model and held-out patients; the default cut is the risk of the average training patient."""
        said, time, event = prognosis(model, cohort, target)
        return cls.from_predictions(said.risk, time, event, cuts=cuts, name=name)

    def draw(self, axes: Any) -> None:
        for place, (group, curve) in enumerate(self.table.groupby("group", sort=True)):
            colour = COLOURS[place % len(COLOURS)]
            axes.fill_between(curve["time"], curve["low"], curve["high"], step="post", color=colour, alpha=0.13, lw=0)
            label = f"Risk group {group} ({int(curve['at_risk'].iloc[0]):,} patients)"
            axes.step(curve["time"], curve["event_free"], where="post", color=colour, linewidth=1.8, label=label)
        axes.set(xlabel="Time", ylabel="Event-free", ylim=(-0.02, 1.02))
        axes.legend(loc="lower left")


def _curve(time: npt.NDArray[np.floating[Any]], event: npt.NDArray[np.bool_]) -> pd.DataFrame:
    curve = kaplan_meier(time, event)
    at = np.concatenate([[0.0], curve.times, [time.max()]])
    values = curve.at(at)
    variance = np.concatenate([[0.0], curve.variance, [0.0, *curve.variance][-1:]])
    inside = (values > 0) & (values < 1)
    share = np.where(inside, values, 0.5)
    width = Z95 * np.sqrt(variance) / (share * np.abs(np.log(share)))
    low, high = (np.where(inside, share ** np.exp(sign * width), values) for sign in (1, -1))
    numbers = {"event_free": values, "low": low, "high": high, "at_risk": at_risk(time, at)}
    return pd.DataFrame({"time": at, **numbers})
