"""What was predicted for a target, and how far it can be believed: the first sections of a page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from fusiondx.core.predictions import CausePrediction, ClassPrediction, NumberPrediction, SurvivalPrediction
from fusiondx.evaluation.metrics import METRICS
from fusiondx.reporting import core_set, figures, panels
from fusiondx.reporting.grids import chance, exact, listing, method, shown
from fusiondx.reporting.html import Drawing, Section, Table
from fusiondx.reporting.report import Report, Result
from fusiondx.reporting.summary import lead
from fusiondx.reporting.words import count, number, plain, title

SHOWN_FALSE_POSITIVES = (0.05, 0.1, 0.2, 0.3, 0.5)


def answers(report: Report, target: str) -> Iterator[Section]:
    """The section that shows the core set of a target; none where nothing was predicted."""
    seen = [result for result in report.about(target) if any(len(said) for said, _ in result.known)]
    leader = lead(report, target)
    if leader is None or not any(leader is result for result in seen):
        return
    said = leader.parts[0][0]
    if isinstance(said, ClassPrediction):
        drawings = (*_roc(seen, target), *core_set.diagnosis(leader), _confusion(leader))
        heading, shows = f"{plain(target)}: diagnosis", _core_shown(drawings)
        yield Section(heading, tables=(_core(leader),), drawings=drawings, shows=shows)
    elif isinstance(said, SurvivalPrediction | CausePrediction):
        drawings = tuple(core_set.prognosis(leader, said.unit))
        yield Section(f"{plain(target)}: prognosis", (), (_core(leader),), drawings, shows=_core_shown(drawings))
    elif isinstance(said, NumberPrediction):
        yield Section(
            f"{plain(target)}: predicted and true", tables=(_core(leader),), drawings=(_scatter(leader, said.unit),)
        )


def over_time(report: Report, target: str) -> Iterator[Section]:
    """The section that follows a prognosis over time; none for other targets."""
    leader = lead(report, target)
    said = None if leader is None or not leader.parts else leader.parts[0][0]
    if leader is None or not any(len(part) for part, _ in leader.known):
        return
    if isinstance(said, SurvivalPrediction):
        yield _followed(leader, said.unit)
    elif isinstance(said, CausePrediction):
        drawings = (*core_set.incidence(leader, said.unit), *core_set.over_time(leader, said.unit))
        yield Section(f"{plain(target)}: over time", drawings=drawings, shows=("prognosis",))


def _core(result: Result) -> Table:
    rows = tuple(
        (title(e.metric), shown(e), count(e.n), count(e.events), plain(method(e)))
        for e in result.estimates
        if not (e.metric in METRICS and METRICS[e.metric].secondary)
    )
    columns = ("Metric", "Estimate (95\u00a0%\u00a0interval)", "Patients", "Events", "Method")
    return Table(f"{plain(result.model)} on held-out patients", columns, rows, words=(0, 4))


def _core_shown(drawings: Iterable[Drawing]) -> tuple[str, ...]:
    """What the core set is evidence of."""
    calibrated = any(drawing.title.startswith("Calibration") for drawing in drawings)
    return ("core", "calibration") if calibrated else ("core",)


def _roc(results: list[Result], target: str) -> Iterator[Drawing]:
    curves = [(result, curve) for result in results if (curve := panels.roc(result)) is not None]
    if not curves:
        return
    lines = [figures.Line(r.model, r.role, x, y, r.estimate("auroc")) for r, (x, y) in curves]
    rates = tuple(f"at {number(1 - false)[:4]} specificity" for false in SHOWN_FALSE_POSITIVES)
    rows = tuple(
        (plain(line.name), *(exact(float(np.interp(false, line.x, line.y))) for false in SHOWN_FALSE_POSITIVES))
        for line in lines
    )
    alt = f"ROC curves for {plain(target)}. AUROC: " + listing(
        [(r.model, r.role, r.estimate("auroc")) for r, _ in curves]
    )
    yield Drawing(
        "ROC curves",
        figures.roc(lines, alt),
        "Sensitivity against 1 \u2212 specificity; the thin diagonal is chance. Over several folds or classes the "
        "curves are averaged.",
        Table("Sensitivity", ("Model", *rates), rows),
    )


def _confusion(result: Result) -> Drawing:
    counts, classes = panels.confusion(result), result.parts[0][1].classes
    right, total = int(np.trace(counts)), int(counts.sum())
    rows = tuple((plain(name), *(f"{n:,}" for n in row)) for name, row in zip(classes, counts, strict=True))
    alt = f"Confusion matrix of {plain(result.target)} by {plain(result.model)}: {right} of {total} patients correct."
    return Drawing(
        "Confusion matrix",
        figures.confusion(counts, classes, alt),
        f"{plain(result.model)}: patients by true and most probable class. {right:,} of {total:,} are correct.",
        Table("Patients by true class (rows) and predicted class", ("True class", *map(plain, classes)), rows),
    )


def _followed(result: Result, unit: str) -> Section:
    heading, drawings = f"{plain(result.target)}: over time", tuple(core_set.over_time(result, unit))
    panel = panels.survival(result)
    if panel is None:
        why = "No risk groups: no cut point from training patients was recorded."
        return Section(heading, text=(why,), drawings=drawings)
    note = "" if panel.test is None else f"log-rank {chance(panel.test.p)}"
    sizes = "; ".join(f"{name}: {g.patients:,} patients, {g.events:,} events" for name, g in panel.groups.items())
    caption = f"{plain(result.model)}: Kaplan-Meier with 95 % bands. Cut points come from training patients. " + (
        "Several folds are shown together, so the p value is descriptive." if len(result.parts) > 1 else ""
    )
    columns = ("Group and time", "At risk", "Event-free")
    rows = tuple(
        (f"{name}, {time:g} {plain(unit)}", f"{remaining:,}", exact(float(group.curve.at(time))))
        for name, group in panel.groups.items()
        for time, remaining in zip(panel.times, group.at_risk, strict=True)
    )
    alt = f"Kaplan-Meier curves by risk group, {plain(result.target)}. {sizes}. {note}".strip()
    svg = figures.survival(panel, unit, note, alt)
    drawing = Drawing("Kaplan-Meier by risk group", svg, caption.strip(), Table("Patients at risk", columns, rows))
    return Section(heading, drawings=(drawing, *drawings), shows=("prognosis",))


def _scatter(result: Result, unit: str) -> Drawing:
    true, predicted = panels.agreement(result)
    fifths = [part for part in np.array_split(np.argsort(predicted, kind="stable"), 5) if len(part)]
    rows = tuple(
        (str(i), f"{len(part):,}", exact(float(predicted[part].mean())), exact(float(true[part].mean())))
        for i, part in enumerate(fifths, start=1)
    )
    alt = f"Predicted against true {plain(result.target)} of {len(true)} patients by {plain(result.model)}."
    return Drawing(
        "Predicted and true values",
        figures.scatter(true, predicted, unit, alt),
        f"{plain(result.model)}: each point is a patient; on the line the prediction is right.",
        Table("Means by fifth of the prediction", ("Fifth", "Patients", "Predicted", "True"), rows),
    )
