"""The calibration plot of a prognosis at a horizon."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from fusiondx.evaluation.estimate import Estimate, Outcome, Undefined
from fusiondx.evaluation.influence import estimate
from fusiondx.evaluation.survival_calibration import calibration_groups, observed_expected, smooth_calibration
from fusiondx.reporting.displays.display import INK, MODEL, Display, prognosis
from fusiondx.reporting.words import outcome, title

GROUPS = 5
POINTS = 41


@dataclass(frozen=True)
class SurvivalCalibrationDisplay(Display):
    """Observed against predicted probability of the event by a horizon: a smooth curve, and fifths of the patients.

    Columns: `what` ("curve" or "group"), `predicted`, `observed`, and of groups `low`, `high`, `patients`.

    >>> from fusiondx.reporting.displays import SurvivalCalibrationDisplay
    >>> died = 1 - np.exp(-np.exp(risk))  # by time 1
    >>> display = SurvivalCalibrationDisplay.from_predictions(died, time, event, horizon=1.0)
    >>> display.frame()["what"].unique().tolist()
    ['curve', 'group']
    >>> axes = display.plot()
    """

    summary: tuple[Outcome, ...] = ()
    """Observed / expected, and the integrated calibration index."""
    size: ClassVar[tuple[float, float]] = (4.6, 4.4)

    @classmethod
    def from_predictions(
        cls,
        probability: npt.ArrayLike,
        time: npt.ArrayLike,
        event: npt.ArrayLike,
        horizon: float,
        *,
        name: str = "",
    ) -> Self:
        """From probabilities of the event by `horizon`, times and events, all ``(patients,)``.

        With competing events (numbers above 1) there are groups only. Raises `DataError` for input that cannot be
        judged."""
        given = probability, time, event, horizon
        groups, judged = calibration_groups(*given, groups=GROUPS), [estimate(observed_expected(*given))]
        rows: list[dict[str, object]] = []
        smooth = None
        if not (np.asarray(event) > 1).any():  # a smooth curve takes what competes for censoring
            smooth = smooth_calibration(*given)
            judged.append(smooth if isinstance(smooth, Undefined) else smooth.ici)
        if smooth is not None and not isinstance(smooth, Undefined):
            places = np.unique(np.linspace(0, len(smooth.predicted) - 1, POINTS).astype(int))
            curve = zip(smooth.predicted[places].tolist(), smooth.observed[places].tolist(), strict=True)
            rows += [{"what": "curve", "predicted": x, "observed": y} for x, y in curve]
        rows += [
            {
                "what": "group",
                "predicted": g.predicted,
                "observed": o.value,
                "low": o.low,
                "high": o.high,
                "patients": o.n,
            }
            for g in groups
            if isinstance(o := g.observed, Estimate)
        ]
        table = pd.DataFrame(rows, columns=["what", "predicted", "observed", "low", "high", "patients"])
        return cls(table, name, tuple(judged))

    @classmethod
    def from_estimator(
        cls, model: Any, cohort: Any, horizon: float, *, target: str | None = None, name: str = ""
    ) -> Self:
        """From a fitted model and held-out patients."""
        said, time, event = prognosis(model, cohort, target)
        return cls.from_predictions(1 - said.survival([horizon])[:, 0], time, event, horizon, name=name)

    def said(self) -> str:
        """Observed / expected and the index in words."""
        return "; ".join(f"{title(found.metric)} {outcome(found)}" for found in self.summary)

    def draw(self, axes: Any) -> None:
        axes.plot([0, 1], [0, 1], color=INK, linewidth=0.7, alpha=0.35)
        curve, group = (self.table[self.table["what"] == what] for what in ("curve", "group"))
        axes.plot(curve["predicted"], curve["observed"], color=MODEL, linewidth=2)
        axes.vlines(group["predicted"], group["low"], group["high"], color=MODEL, linewidth=1, alpha=0.7)
        axes.plot(group["predicted"], group["observed"], color=MODEL, marker="o", markersize=4.5, linestyle="")
        axes.set(xlabel="Predicted probability", ylabel="Observed share", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
