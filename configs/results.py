"""The results table of README.md, from the reports of finished runs: python configs/results.py runs"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from fusiondx.experiment.standings import rivals_of
from fusiondx.reporting.report import Report
from fusiondx.reporting.words import outcome, signed, spread, title

README = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- results: begin, written by results.py -->", "<!-- results: end -->"
HEAD = ("experiment", "metric", "fusion", "best single modality", "clinical regression", "fusion minus best single")


def rows(runs: Path) -> Iterator[tuple[str, ...]]:
    """One row per run with single modalities and a baseline: those of its first model and first target."""
    for file in sorted(runs.glob("*/*/report.json")):
        report = Report.from_json(file)
        found = rivals_of(report.about(report.targets[0]))
        if {"first", "modality", "baseline"} <= found.keys():
            lead, single, classical = (found[rival] for rival in ("first", "modality", "baseline"))
            gap = report.differences.query(
                "model == @lead.model and versus == @single.model and target == @lead.target"
            ).to_dict("records")
            told = f"{signed(gap[0]['difference'])} ({spread(gap[0]['low'], gap[0]['high'])})" if gap else ""
            name = f"`{file.parent.relative_to(runs)}`"
            cells = (outcome(lead.estimates[0]), f"{single.model} {outcome(single.estimates[0])}")
            yield (name, title(lead.estimates[0].metric), *cells, outcome(classical.estimates[0]), told)


def table(runs: Path) -> str:
    """The table in Markdown."""
    lines = [HEAD, ("---",) * len(HEAD), *rows(runs)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def rewritten(page: str, made: str) -> str:
    """The page with the table between its marks replaced."""
    between = re.compile(f"(?<={re.escape(BEGIN)}\n).*?(?={re.escape(END)})", re.DOTALL)
    return between.sub(lambda _: f"\n{made}\n\n", page)


if __name__ == "__main__":
    README.write_text(rewritten(README.read_text(encoding="utf-8"), table(Path(sys.argv[1]))), encoding="utf-8")
