"""What every command that judges leaves of its report: tables, JSON and the page."""

from __future__ import annotations

from pathlib import Path

from fusiondx.experiment import folder, tables
from fusiondx.reporting.report import Report


def write_report(report: Report, stage: Path) -> None:
    """Write metrics and checklists as CSV, the report as JSON and as a page."""
    tables.write_csv(report.frame(), stage / folder.METRICS)
    tables.write_csv(report.checklists(), stage / folder.CHECKLISTS)
    report.to_json(stage / folder.REPORT)
    report.to_html(stage / folder.PAGE)
