"""From numbers to the cells of a page: what a reader sees, and all digits beside it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from fusiondx.evaluation.estimate import Estimate, Outcome
from fusiondx.reporting.html import Exact, Table
from fusiondx.reporting.words import NOTHING, count, number, outcome, plain


def exact(value: float | None) -> str:
    """A number, or a dash."""
    return Exact(number(value), value)


def shown(found: Outcome | None) -> str:
    """``0.842 (0.801 to 0.879)``, that it is undefined, or a dash where it was not asked for."""
    if not isinstance(found, Estimate):
        return NOTHING if found is None else outcome(found)
    return Exact(outcome(found), found.value, low=found.low, high=found.high)


def frame_table(caption: str, frame: pd.DataFrame, words: tuple[int, ...] = (0,)) -> Table:
    """A frame as it is, its columns named for readers; `words` are the columns that hold no numbers."""
    columns = tuple(plain(column).replace("_", " ").capitalize() for column in frame.columns)
    rows = tuple(tuple(map(cell, row)) for row in frame.astype(object).itertuples(index=False))
    return Table(caption, columns, rows, words=words)


def cell(value: object) -> str:
    """Whatever a frame holds: numbers as readers want them, a dash for gaps."""
    if isinstance(value, float | np.floating):
        return Exact(f"{value:,.0f}" if float(value).is_integer() else number(float(value)), float(value))
    if isinstance(value, int | np.integer):
        return Exact(f"{value:,}", float(value))
    return NOTHING if value is None or value is pd.NA else plain(value)


def counts(found: Outcome | None) -> tuple[str, str]:
    """Patients and events, as cells."""
    return (NOTHING, NOTHING) if found is None else (count(found.n), count(found.events))


def method(found: Outcome) -> str:
    """How an estimate came about, or why there is none."""
    return found.method if isinstance(found, Estimate) else found.reason


def chance(p: float) -> str:
    """A p-value in words."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def listing(rows: Iterable[tuple[str, str, Outcome | None]]) -> str:
    """Names and estimates in one line."""
    return "; ".join(f"{plain(name)} {shown(found)}" for name, _, found in rows) + "."
