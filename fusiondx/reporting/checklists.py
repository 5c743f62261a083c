"""Reporting checklists, filled in as far as a report holds the evidence.

TRIPOD+AI (Collins et al. 2024), CLAIM (Tejani et al. 2024), REMARK (McShane et al. 2005) and PROBAST+AI (Moons et al.
2025, by domain), in our own short words; numbers and wording to submit are those of the publications. An item is ticked
only where the page shows what it asks for; whether that suffices is for the author to say.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from importlib.resources import files

import pandas as pd

from fusiondx.reporting.html import Link, Section, Table

COLUMNS = ("checklist", "number", "item", "status", "evidence", "anchor")
TO_DO = "to be filled in"


def checklist_frame(evidence: Mapping[str, Section]) -> pd.DataFrame:
    """All items; columns: `COLUMNS`. `evidence` are the sections of a page by what they show.

    ``status`` is "shown" with the section's title as ``evidence`` and its place in the page as ``anchor``, or "to be
    filled in".
    """
    rows = [
        (item["checklist"], item["number"], item["item"], *_status(evidence.get(item["evidence"]))) for item in _items()
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def checklist_tables(evidence: Mapping[str, Section]) -> tuple[Table, ...]:
    """One table per checklist, each ticked item linked to its evidence."""
    return tuple(
        Table(
            f"{name}: {(items['status'] == 'shown').sum()} of {len(items)} items shown in this page",
            ("Item", "What it asks for", "Evidence"),
            tuple(
                (number, item, Link(f"\u2713 {found}", anchor.removeprefix("#")) if anchor else TO_DO)
                for number, item, found, anchor in items[["number", "item", "evidence", "anchor"]].to_numpy().tolist()
            ),
            words=(0, 1, 2),
        )
        for name, items in checklist_frame(evidence).groupby("checklist", sort=False)
    )


def _status(section: Section | None) -> tuple[str, str, str]:
    return (TO_DO, "", "") if section is None else ("shown", section.title, f"#{section.anchor}")


def _items() -> list[dict[str, str]]:
    text = files("fusiondx.reporting").joinpath("templates", "checklists.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))
