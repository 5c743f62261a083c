"""From a report to the page that shows it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import pandas as pd

from fusiondx.evaluation.estimate import Estimate, Outcome, Undefined
from fusiondx.reporting import appendix, figures
from fusiondx.reporting.answers import answers, over_time
from fusiondx.reporting.card import card
from fusiondx.reporting.checklists import checklist_tables
from fusiondx.reporting.grids import chance, counts, exact, frame_table, listing, method, shown
from fusiondx.reporting.html import Drawing, Exact, Page, Section, Table
from fusiondx.reporting.report import Report, Result
from fusiondx.reporting.summary import lead, paired, primary, sentences
from fusiondx.reporting.words import NOTHING, ROLES, count, duration, plain, signed, spread, title

CHANCE = {"auroc": 0.5, "c_index": 0.5, "cause_c_index": 0.5, "mean_cause_c_index": 0.5}


def sections_of(report: Report) -> list[Section]:
    """What a page shows of `report`, in the order of reading: core set, survival, comparison, what stands behind."""
    sections = [
        *(section for target in report.targets for section in answers(report, target)),
        *(section for target in report.targets for section in over_time(report, target)),
        *(_comparison(report, target) for target in report.targets),
        *appendix.sections(report),
        *_training(report),
    ]
    if report.notes:
        sections.append(Section("Notes", points=tuple(plain(note) for note in report.notes)))
    if report.manifest:
        facts = tuple((plain(name), plain(value)) for name, value in report.manifest.items())
        sections.append(Section("How this report was made", facts=facts, shows=_made(report)))
    return [replace(section, anchor=f"part-{number}") for number, section in enumerate(sections, start=1)]


def compose(report: Report) -> Page:
    """The page of `report`, with its model card and checklists."""
    sections = sections_of(report)
    said = "Items that this page shows something for are ticked and linked; whether it suffices is for you to say."
    folded = checklist_tables(evidence(sections))
    closing = Section("Reporting checklists", text=(said,), folded=folded, anchor="checklists")
    return Page(
        plain(report.title),
        tuple((plain(target), sentences(report, target)) for target in report.targets),
        (*sections, *((card(report), closing) if report.results else ())),
    )


def evidence(sections: Iterable[Section]) -> dict[str, Section]:
    """The first section that shows each kind of evidence."""
    return {kind: section for section in reversed(list(sections)) for kind in section.shows}


def _made(report: Report) -> tuple[str, ...]:
    """What the manifest is evidence of."""
    held_out = ("manifest",) if "judged on" in report.manifest else ()
    return (*held_out, *(("versions",) if "fusiondx" in report.manifest else ()))


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
    alt = f"{title(metric)} for {plain(target)} with 95 % intervals: " + listing(rows)
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
        shows=("baseline",) if any(result.role == "baseline" for result in results) else (),
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
            *counts(result.estimate(metric)),
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
    return (
        NOTHING if p is None or pd.isna(p) else Exact(chance(float(p)).removeprefix("p ").removeprefix("= "), float(p))
    )


def _all_metrics(results: tuple[Result, ...]) -> Table:
    rows = tuple(
        (plain(result.model), title(e.metric), shown(e), count(e.n), count(e.events), plain(method(e)))
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


def _training(report: Report) -> Iterator[Section]:
    drawings = tuple(_curve(name, frame) for name, frame in report.history.items() if len(frame))
    if drawings:
        yield Section("Training", drawings=drawings, shows=("training",))


def _several(history: pd.DataFrame) -> bool:
    """Whether a model was fitted more than once."""
    return len(history[[c for c in ("fold", "member") if c in history]].drop_duplicates()) > 1


def _curve(name: str, history: pd.DataFrame) -> Drawing:
    columns = [c for c in ("fold", "member", "epoch", "train_loss", "validation_loss") if c in history]
    losses = [c for c in columns if c.endswith("loss")]
    alt = f"Training curve of {plain(name)} over {history['epoch'].nunique()} epochs."
    return Drawing(
        plain(name),
        figures.training(history, alt),
        "Loss by epoch." + (" One line per fold and member." if _several(history) else ""),
        frame_table("Loss by epoch", history.loc[:, columns].dropna(subset=losses, how="all")),
    )
