"""The checks there are, in the order of their codes. The list is closed: a code keeps its meaning for good."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from fusiondx.auditing import columns, events, fitting, images, missing, patients, sites
from fusiondx.auditing.case import Case, Told

Severity = Literal["error", "warning", "note"]
"""An error: the result cannot be trusted. A warning: it may mean something else than it seems. A note: say so."""


@dataclass(frozen=True)
class Check:
    """One thing that can be wrong.

    >>> from fusiondx.auditing import CHECKS
    >>> CHECKS[0].code, CHECKS[0].title
    ('FDX001', 'Patients on both sides of a fold')
    """

    code: str
    title: str
    severity: Severity
    find: Callable[[Case], str | Told | None]
    """What is wrong, in words with counts; None where nothing is."""


CHECKS: tuple[Check, ...] = (
    Check("FDX001", "Patients on both sides of a fold", "error", patients.on_both_sides),
    Check("FDX002", "One patient under two ids", "error", patients.duplicates),
    Check("FDX003", "One image under two patients, parted by a fold", "error", images.near_duplicates),
    Check("FDX004", "Model fitted on test patients", "error", fitting.on_test_patients),
    Check("FDX005", "Sites on both sides of a fold", "warning", sites.shared),
    Check("FDX006", "Sites tell the outcome", "warning", sites.tell_the_outcome),
    Check("FDX007", "Columns scaled over all patients", "warning", fitting.scaled_on_all),
    Check("FDX008", "Columns selected by the answer on all patients", "error", fitting.selected_on_all),
    Check("FDX009", "A column that is the answer", "error", columns.proxies),
    Check("FDX010", "Inputs observed after the index time", "error", columns.later_than_index),
    Check("FDX011", "Columns that name patients", "warning", columns.identifiers),
    Check("FDX012", "Constant or empty columns", "note", columns.idle),
    Check("FDX013", "Folds without events or with one class", "warning", events.lacking),
    Check("FDX014", "Folds with another outcome in test", "warning", events.unbalanced),
    Check("FDX015", "Missing values tell the outcome", "warning", missing.tells_the_outcome),
    Check("FDX016", "Few events for so many columns", "note", events.few),
)
