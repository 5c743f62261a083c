"""What stands behind a verdict: subgroups, missing modalities, audits and failures, as sections of the page."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any

import pandas as pd

from fusiondx.errors import counted
from fusiondx.evaluation.estimate import Estimate, Outcome, Undefined
from fusiondx.reporting.grids import frame_table, shown
from fusiondx.reporting.html import Section, Table
from fusiondx.reporting.report import Report
from fusiondx.reporting.words import count, plain, title


def sections(report: Report) -> Iterator[Section]:
    """Those that the report has anything to show in."""
    if len(report.subgroups):
        yield _subgroups(report.subgroups)
    if len(report.patterns):
        table = frame_table("Patients by modality pattern", report.patterns)
        yield Section("Which modalities patients have", tables=(table,), shows=("patterns",))
    if len(report.degradation):
        yield _degradation(report.degradation)
    if len(report.modality_use):
        yield _modality_use(report.modality_use)
    if len(report.failures):
        yield _failures(report.failures)
    if len(report.audit.columns):
        yield _audit(report.audit)


def _subgroups(frame: pd.DataFrame) -> Section:
    said = (
        "The metric by which models are compared, in groups of the patients judged. Groups with few events have wide "
        "intervals; nothing is corrected for how many groups there are."
    )
    tables = tuple(
        Table(
            f"{plain(target)} by {plain(column)}",
            ("Model", "Group", _heading(rows), "Patients", "Events"),
            tuple(_group(row) for row in rows.to_dict("records")),
            words=(0, 1),
        )
        for (target, column), rows in frame.groupby(["target", "column"], sort=False)
    )
    return Section("Subgroups", (said,), tables, shows=("subgroups",))


def _heading(rows: pd.DataFrame) -> str:
    return f"{title(rows['metric'].iloc[0])} (95\u00a0%\u00a0interval)"


def _group(row: dict[Hashable, Any]) -> tuple[str, ...]:
    return plain(row["model"]), plain(row["group"]), *_judged(row)


def _judged(row: dict[Hashable, Any], value: str = "estimate", low: str = "low", high: str = "high") -> tuple[str, ...]:
    n, events = (None if pd.isna(row[name]) else int(row[name]) for name in ("n", "events"))
    if pd.isna(row[value]):
        found: Outcome = Undefined(str(row["metric"]), str(row["reason"]), n or 0, events)
    else:
        middle, least, most = (float(row[name]) for name in (value, low, high))
        found = Estimate(str(row["metric"]), middle, least, most, n or 0, events, "")
    return shown(found), count(n), count(events)


def _degradation(frame: pd.DataFrame) -> Section:
    said = (
        "How good the model is for patients who have at least these modalities, judged from these alone, and how that "
        "differs from what it says of the same patients with all they have. Nothing is trained again."
    )
    tables = tuple(
        Table(
            f"{plain(target)} from each pattern of modalities",
            (
                "Modalities",
                f"{title(rows['metric'].iloc[0])} (95\u00a0%\u00a0interval)",
                "Patients",
                "Events",
                "Change",
            ),
            tuple(
                (plain(row["pattern"]), *_judged(row), _judged(row, "change", "change_low", "change_high")[0])
                for row in rows.to_dict("records")
            ),
        )
        for target, rows in frame.groupby("target", sort=False)
    )
    return Section("With fewer modalities", (said,), tables, shows=("degradation",))


def _modality_use(frame: pd.DataFrame) -> Section:
    said = (
        "How much worse the metric gets when a modality tells nothing of these patients: its values permuted, "
        "taken away from everybody, or the same for all. Harms: the interval of taking it away lies below zero. Used: "
        "that of permuting it lies above zero. Not shown to help is neither; the patients may be too few."
    )
    how = list(dict.fromkeys(frame["change"]))
    tables = tuple(
        Table(
            f"{plain(target)}, {plain(model)}: loss by {title(rows['metric'].iloc[0])} (95\u00a0%\u00a0interval)",
            ("Modality", "Verdict", *(plain(change).capitalize() for change in how), "Patients"),
            tuple(_used(name, mine) for name, mine in rows.groupby("modality", sort=False)),
            words=(0, 1),
        )
        for (target, model), rows in frame.groupby(["target", "model"], sort=False)
    )
    return Section("Which modalities the model uses", (said,), tables, shows=("modality use",))


def _used(name: Hashable, rows: pd.DataFrame) -> tuple[str, ...]:
    """A modality's verdict, and what it loses by each change."""
    each = [_judged({**row, "reason": "undefined"}, "importance") for row in rows.to_dict("records")]
    return plain(name), plain(rows["verdict"].iloc[0]), *(cells[0] for cells in each), each[0][1]


SEVERITIES = ("error", "warning", "note")


def _audit(frame: pd.DataFrame) -> Section:
    """Findings that nobody waived first, the gravest before others; all checks on request."""
    found = frame[frame["message"].notna()]
    waived = int(found["waiver"].notna().sum())
    said = (
        f"{counted(len(frame), 'check')} of cohort and split made: {counted(len(found), 'finding')}, {waived} waived."
    )
    grave = "An error means that the result cannot be trusted, a warning that it may mean something else than it seems."
    order = found.assign(
        waived=found["waiver"].notna(), grave=[_grave(severity) for severity in found["severity"]]
    ).sort_values(["waived", "grave"], kind="stable")
    names = {"code": "Code", "severity": "Severity", "message": "Finding", "waiver": "Waived because"}
    shown = order[list(names) if waived else list(names)[:-1]].rename(columns=names)
    tables = (frame_table("Findings", shown, words=(0, 1, 2, 3)),) if len(found) else ()
    every = frame.assign(found=["nothing" if gap else "see above" for gap in frame["message"].isna()])
    checks = frame_table("Every check", every[["code", "title", "severity", "found"]], words=(0, 1, 2, 3))
    return Section("Audit for leaks", (f"{said} {grave}",), tables, folded=(checks,), shows=("audit",))


def _grave(severity: object) -> int:
    return SEVERITIES.index(severity) if severity in SEVERITIES else len(SEVERITIES)


def _failures(frame: pd.DataFrame) -> Section:
    said = "The predictions furthest from what happened. This table holds patient ids: mind to whom you pass the page."
    names = {"target": "Target", "model": "Model", "patient": "Patient", "true": "True", "predicted": "Predicted"}
    table = frame_table("Worst predictions", frame.rename(columns=names), words=(0, 1, 2, 3, 4))
    return Section("Failure cases", (said,), (table,), shows=("failures",))
