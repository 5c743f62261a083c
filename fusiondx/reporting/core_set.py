"""The core set: what a reader must see of a prediction before believing it, as figures with their numbers.

Of a diagnosis of two classes: calibration, decision curve and distribution of probabilities (Van Calster et al. 2025).
Of a prognosis: the same at a horizon; then accuracy over time and calibration of whole curves.
"""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from fusiondx.core.predictions import ClassPrediction, SurvivalPrediction
from fusiondx.errors import counted
from fusiondx.reporting import figures, panels
from fusiondx.reporting.displays import (
    ACalibrationDisplay,
    CalibrationDisplay,
    DCalibrationDisplay,
    DecisionCurveDisplay,
    DistributionDisplay,
    IncidenceDisplay,
    OverTimeDisplay,
    SurvivalCalibrationDisplay,
)
from fusiondx.reporting.displays.display import Display
from fusiondx.reporting.displays.over_time import TITLES, Metric
from fusiondx.reporting.grids import frame_table
from fusiondx.reporting.html import Drawing
from fusiondx.reporting.report import Result
from fusiondx.reporting.words import number, plain

BENEFIT = (
    "Net benefit counts true positives, less false positives at the odds of the threshold: the probability from which "
    "one would treat. Choose the range of thresholds before looking."
)

_CURVE = "Line: smooth curve. Points: patients in"


def diagnosis(result: Result) -> Iterator[Drawing]:
    """Calibration, decision curve and distribution of a diagnosis of two classes; nothing of others."""
    said = result.parts[0][0]
    if not isinstance(said, ClassPrediction) or len(said.classes) != 2:
        return
    chance, positive = panels.forecast(result)
    of, who = plain(said.classes[1]), plain(result.model)
    calibrated = CalibrationDisplay.from_predictions(chance, positive, name=result.model)
    text = f"{who}: observed share of {of} against the predicted probability. {calibrated.said()}. {_CURVE} tenths."
    yield _drawing("Calibration", result, calibrated, text)
    worth = DecisionCurveDisplay.from_predictions(chance, positive, name=result.model)
    yield _drawing("Decision curve", result, worth, f"{who}: net benefit with its 95\u00a0% band. {BENEFIT}")
    spread = DistributionDisplay.from_predictions(chance, positive, name=result.model)
    counts = f"{int(positive.sum()):,} positive and {int((~positive).sum()):,} negative patients"
    yield _drawing("Predicted probabilities", result, spread, f"{who}: probability of {of} among {counts}.")


def prognosis(result: Result, unit: str) -> Iterator[Drawing]:
    """Calibration, decision curve and distribution at the median event time; nothing without events or curves."""
    _, main = panels.horizons(result)
    if main is not None:
        _, chance, time, event = panels.prognosis(result, [main])
        if chance.shape[1]:
            yield from _at_horizon(result, chance[:, 0], time, event, main, unit)


def over_time(result: Result, unit: str) -> Iterator[Drawing]:
    """Accuracy over time and calibration of whole curves; nothing without events."""
    at, main = panels.horizons(result)
    if main is None:
        return
    risk, chance, time, event = panels.prognosis(result, at)
    curves, who = chance.shape[1] > 0, plain(result.model)
    metrics: tuple[Metric, ...] = ("dynamic_auc", "survival_brier", "ipa") if curves else ("dynamic_auc",)
    for metric in metrics:
        said = chance if curves else risk
        shown = OverTimeDisplay.from_predictions(said, at, time, event, metric=metric, unit=unit, name=result.model)
        if len(shown.table):
            text = f"{who}: {TITLES[metric]} of the event by each time, with 95\u00a0% intervals; {_USELESS[metric]}."
            yield _drawing(f"{TITLES[metric]} over time", result, shown, text)
    if curves and isinstance(result.parts[0][0], SurvivalPrediction):
        yield from _whole_curves(result)


def incidence(result: Result, unit: str) -> Iterator[Drawing]:
    """What was observed of one of several causes, beside the mean of what was predicted; nothing without events."""
    at, main = panels.horizons(result)
    if main is None:
        return
    _, chance, time, event = panels.prognosis(result, at)
    shown = IncidenceDisplay.from_predictions(chance, at if chance.shape[1] else (), time, event, unit=unit)
    mean = "; points: the mean of the predictions" if chance.shape[1] else ""
    text = (
        f"{plain(result.model)}: share of patients in whom this event came first. Line: observed (Aalen-Johansen), "
        f"with its 95\u00a0% band{mean}."
    )
    yield _drawing("Cumulative incidence", result, shown, text)


def _whole_curves(result: Result) -> Iterator[Drawing]:
    at, who = panels.event_times(result), plain(result.model)
    _, chance, time, event = panels.prognosis(result, at)
    tested = ACalibrationDisplay.from_predictions(1 - chance, at, time, event, name=result.model)
    if len(tested.table):
        text = (
            f"{who}: events in bins that should each hold as many as the line. {tested.verdict}. A small p says that "
            "the curves are not calibrated; a large one does not say that they are."
        )
        yield _drawing("A-calibration", result, tested, text)
    spread = DCalibrationDisplay.from_predictions(1 - chance, at, time, event, name=result.model)
    if len(spread.table):
        text = (
            f"{who}: where patients are on their own predicted curves in the end; a tenth in each part if calibrated. "
            "Censored patients are shared out, which hides much: no test is made of it."
        ) + ("" if len(tested.table) else f" {tested.verdict}.")
        yield _drawing("D-calibration", result, spread, text)


def _at_horizon(
    result: Result, chance: panels.Floats, time: panels.Floats, event: panels.Floats, main: float, unit: str
) -> Iterator[Drawing]:
    when, who = f"{number(main)} {plain(unit)}, the median event time", plain(result.model)
    calibrated = SurvivalCalibrationDisplay.from_predictions(chance, time, event, main, name=result.model)
    text = f"{who}: observed share with the event by {when}, against the predicted probability. {calibrated.said()}."
    points = f"{_CURVE} fifths." if (calibrated.table["what"] == "curve").any() else "Points: patients in fifths."
    yield _drawing("Calibration at a horizon", result, calibrated, f"{text} {points}")
    worth = DecisionCurveDisplay.from_survival(chance, time, event, main, name=result.model)
    if len(worth.table):
        yield _drawing("Decision curve at a horizon", result, worth, f"{who}: net benefit by {when}. {BENEFIT}")
    spread = DistributionDisplay.from_survival(chance, time, event, main, name=result.model)
    left = f" {counted(spread.left_out, 'patient')} last seen before then are left out." if spread.left_out else ""
    text = f"{who}: probability of the event by {when}, of those who had it and those who had not.{left}"
    yield _drawing("Predicted probabilities at a horizon", result, spread, text)


_USELESS = {
    "dynamic_auc": "the thin line is chance",
    "survival_brier": "smaller is better, the thin line is a coin",
    "ipa": "the thin line is the same probability for everyone",
}


def _drawing(title: str, result: Result, display: Display, caption: str) -> Drawing:
    words = tuple(i for i, kind in enumerate(display.table.dtypes) if not pd.api.types.is_numeric_dtype(kind))
    table = frame_table(title, display.table, words=words)
    return Drawing(title, figures.drawn(display, f"{title}, {plain(result.target)}. {caption}"), caption, table)
