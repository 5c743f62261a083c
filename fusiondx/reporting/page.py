"""From a report to the page that shows it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd

from fusiondx.core.predictions import ClassPrediction, NumberPrediction, SurvivalPrediction
from fusiondx.evaluation.estimate import Estimate, Outcome, Undefined
from fusiondx.evaluation.metrics import METRICS
from fusiondx.reporting import appendix, core_set, figures, panels
from fusiondx.reporting.grids import exact, frame_table, shown
from fusiondx.reporting.html import Drawing, Exact, Page, Section, Table
from fusiondx.reporting.report import Report, Result
from fusiondx.reporting.summary import lead, paired, primary, sentences
from fusiondx.reporting.words import NOTHING, ROLES, count, duration, number, plain, signed, spread, title

CHANCE = {"auroc": 0.5, "c_index": 0.5}
SHOWN_FALSE_POSITIVES = (0.05, 0.1, 0.2, 0.3, 0.5)


def compose(report: Report) -> Page:
    """The page of `report`, in the order of reading: summary, core set, comparison, training, patients, notes."""
    sections = [
        *(section for target in report.targets for section in _answers(report, target)),
        *(_comparison(report, target) for target in report.targets),
        *_training(report),
        *appendix.sections(report),
    ]
    if report.notes:
        sections.append(Section("Notes", points=tuple(plain(note) for note in report.notes)))
    if report.manifest:
        facts = tuple((plain(name), plain(value)) for name, value in report.manifest.items())
        sections.append(Section("How this report was made", facts=facts))
    return Page(
        plain(report.title),
        tuple((plain(target), sentences(report, target)) for target in report.targets),
        tuple(sections),
    )


def _comparison(report: Report, target: str) -> Section:
    results, metric = report.about(target), primary(report.about(target))
    if metric is None:
        return Section(f"{plain(target)}: comparison", text=("No metric was asked for.",))
    found = [(result, result.estimate(metric)) for result in results]
    undefined = dict.fromkeys(
        f"{title(e.metric)} is undefined for {plain(result.model)}: {plain(e.reason)}."
        for result in results
        for e in result.estimates
        if isinstance(e, Undefined)
    )
    rows = [(result.model, result.role, e) for result, e in found if e is not None]
    alt = f"{title(metric)} for {plain(target)} with 95 % intervals: " + _listed(rows)
    chance = CHANCE.get(metric)
    drawing = Drawing(
        f"{title(metric)} of every model",
        figures.forest(rows, title(metric), chance, alt),
        "Points are estimates, bars 95 % intervals." + (" The short upright line is chance." if chance else ""),
        _forest_table(rows, metric),
    )
    return Section(
        f"{plain(target)}: comparison",
        tables=(_main_table(report, target, metric),),
        drawings=(drawing,),
        folded=(_all_metrics(results),),
        points=tuple(undefined),
    )


def _main_table(report: Report, target: str, metric: str) -> Table:
    leader, results = lead(report, target), report.about(target)
    heading = f"{title(metric)} (95\u00a0%\u00a0interval)"
    columns = (
        "Model",
        "Kind",
        heading,
        "Difference from the leading model",
        "p (Holm)",
        "Patients",
        "Events",
        "Fitting",
        "Parameters",
    )
    rows = tuple(
        (
            plain(result.model),
            ROLES[result.role],
            shown(result.estimate(metric)),
            _gap(report, leader, result, metric),
            _chance(report, leader, result, metric),
            *_counts(result.estimate(metric)),
            duration(result.seconds),
            count(result.parameters),
        )
        for result in results
    )
    place = next((i for i, result in enumerate(results) if result is leader), None)
    return Table(f"{plain(target)} on held-out patients", columns, rows, place, words=(0, 1))


def _gap(report: Report, leader: Result | None, result: Result, metric: str) -> str:
    """The difference of `result` from the leading model, with its interval."""
    if leader is None or leader is result:
        return NOTHING
    gap = paired(report, leader, result, metric)
    if gap is None:
        return "not compared"
    text = f"{signed(-gap['difference'])} ({spread(-gap['high'], -gap['low'])})"
    return Exact(text, -gap["difference"], low=-gap["high"], high=-gap["low"])


def _chance(report: Report, leader: Result | None, result: Result, metric: str) -> str:
    """The p-value of that difference, corrected for all comparisons of the target."""
    gap = None if leader is None or leader is result else paired(report, leader, result, metric)
    p = None if gap is None else gap.get("p_holm")
    return NOTHING if p is None or pd.isna(p) else Exact(_p_value(float(p)), float(p))


def _core(result: Result) -> Table:
    rows = tuple(
        (title(e.metric), shown(e), count(e.n), count(e.events), plain(_method(e)))
        for e in result.estimates
        if not (e.metric in METRICS and METRICS[e.metric].secondary)
    )
    columns = ("Metric", "Estimate (95\u00a0%\u00a0interval)", "Patients", "Events", "Method")
    return Table(f"{plain(result.model)} on held-out patients", columns, rows, words=(0, 4))


def _all_metrics(results: tuple[Result, ...]) -> Table:
    rows = tuple(
        (plain(result.model), title(e.metric), shown(e), count(e.n), count(e.events), plain(_method(e)))
        for result in results
        for e in result.estimates
    )
    columns = ("Model", "Metric", "Estimate (95\u00a0%\u00a0interval)", "Patients", "Events", "Method")
    return Table("Every metric", columns, rows, words=(0, 1, 5))


def _forest_table(rows: list[tuple[str, figures.Role, Outcome]], metric: str) -> Table:
    cells = tuple(
        (plain(name), exact(e.value), exact(e.low), exact(e.high))
        if isinstance(e, Estimate)
        else (plain(name), "undefined", NOTHING, NOTHING)
        for name, _, e in rows
    )
    return Table(f"{title(metric)} with 95 % interval", ("Model", title(metric), "Low", "High"), cells)


def _answers(report: Report, target: str) -> Iterator[Section]:
    """The section that shows what was predicted for a target; none where nothing was."""
    seen = [result for result in report.about(target) if any(len(said) for said, _ in result.known)]
    leader = lead(report, target)
    if leader is None or not any(leader is result for result in seen):
        return
    said = leader.parts[0][0]
    if isinstance(said, ClassPrediction):
        drawings = (*_roc(seen, target), *core_set.diagnosis(leader), _confusion(leader))
        yield Section(f"{plain(target)}: diagnosis", tables=(_core(leader),), drawings=drawings)
    elif isinstance(said, SurvivalPrediction):
        yield _prognosis(leader, said.unit)
    elif isinstance(said, NumberPrediction):
        yield Section(
            f"{plain(target)}: predicted and true", tables=(_core(leader),), drawings=(_scatter(leader, said.unit),)
        )


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
    alt = f"ROC curves for {plain(target)}. AUROC: " + _listed(
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
    alt = f"Confusion matrix of {plain(result.model)}: {right} of {total} patients correct."
    return Drawing(
        "Confusion matrix",
        figures.confusion(counts, classes, alt),
        f"{plain(result.model)}: patients by true and most probable class. {right:,} of {total:,} are correct.",
        Table("Patients by true class (rows) and predicted class", ("True class", *map(plain, classes)), rows),
    )


def _prognosis(result: Result, unit: str) -> Section:
    heading = f"{plain(result.target)}: prognosis"
    panel = panels.survival(result)
    if panel is None:
        why = "No risk groups: no cut point from training patients was recorded."
        return Section(heading, text=(why,), tables=(_core(result),), drawings=tuple(core_set.prognosis(result, unit)))
    note = "" if panel.test is None else f"log-rank {_p_value(panel.test.p)}"
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
    svg = figures.survival(panel, unit, note, f"Kaplan-Meier curves by risk group. {sizes}. {note}".strip())
    drawing = Drawing("Kaplan-Meier by risk group", svg, caption.strip(), Table("Patients at risk", columns, rows))
    return Section(heading, tables=(_core(result),), drawings=(drawing, *core_set.prognosis(result, unit)))


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


def _training(report: Report) -> Iterator[Section]:
    drawings = tuple(_curve(name, frame) for name, frame in report.history.items() if len(frame))
    if drawings:
        yield Section("Training", drawings=drawings)


def _curve(name: str, history: pd.DataFrame) -> Drawing:
    columns = [c for c in ("fold", "member", "epoch", "train_loss", "validation_loss") if c in history]
    losses = [c for c in columns if c.endswith("loss")]
    alt = f"Training curve of {plain(name)} over {history['epoch'].nunique()} epochs."
    return Drawing(
        plain(name),
        figures.training(history, alt),
        "Loss by epoch." + (" One line per fold and member." if "fold" in columns else ""),
        frame_table("Loss by epoch", history.loc[:, columns].dropna(subset=losses, how="all")),
    )


def _counts(found: Outcome | None) -> tuple[str, str]:
    return (NOTHING, NOTHING) if found is None else (count(found.n), count(found.events))


def _method(found: Outcome) -> str:
    return found.method if isinstance(found, Estimate) else found.reason


def _p_value(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def _listed(rows: Iterable[tuple[str, str, Outcome | None]]) -> str:
    return "; ".join(f"{plain(name)} {shown(found)}" for name, _, found in rows) + "."
