"""What stands behind a verdict: subgroups, missing modalities, audits and failures, as sections of the page."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any

import pandas as pd

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
    if len(report.audit):
        yield _audit(report.audit)
    if len(report.failures):
        yield _failures(report.failures)


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


def _audit(frame: pd.DataFrame) -> Section:
    names = {"code": "Code", "severity": "Severity", "message": "Finding", "waiver": "Waived because"}
    found = frame.loc[:, list(names)].rename(columns=names)
    table = frame_table("Findings of the audit for leaks and confounding", found, words=(0, 1, 2, 3))
    return Section("Audit for leaks", tables=(table,), shows=("audit",))


def _failures(frame: pd.DataFrame) -> Section:
    said = "The predictions furthest from what happened. This table holds patient ids: mind to whom you pass the page."
    names = {"target": "Target", "model": "Model", "patient": "Patient", "true": "True", "predicted": "Predicted"}
    table = frame_table("Worst predictions", frame.rename(columns=names), words=(0, 1, 2, 3, 4))
    return Section("Failure cases", (said,), (table,), shows=("failures",))
