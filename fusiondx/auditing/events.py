"""Events: are there enough, in every part and for every column?"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import chdtrc

from fusiondx.auditing.association import FALSE_ALARM
from fusiondx.auditing.case import Answer, Case
from fusiondx.errors import counted, listed

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.integer[Any]]

PER_COLUMN = 10
"""Events per input column below which an unpenalised regression is known to overfit (Peduzzi et al. 1995)."""


def happened(answer: Answer) -> Bools:
    """Who met the event or is of the class; nobody for a quantity."""
    if answer.event is not None:
        return np.asarray(answer.event & answer.known)
    return np.asarray((answer.values == 1) & answer.binary)


def lacking(case: Case) -> str | None:
    """FDX013. Parts of a fold that hold no event, or one class only."""
    found = []
    for answer in case.answers:
        yes = happened(answer)
        if not yes.any():
            continue
        other = answer.known & ~yes if answer.event is None else answer.known
        for number, sides in enumerate(case.folds, start=1):
            found += [
                f"{answer.name}, fold {number}, {side}"
                for side, rows in zip(("training", "test"), sides, strict=True)
                if not yes[rows].any() or not other[rows].any()
            ]
    return f"{counted(len(found), 'part')} without events, or with one class: {listed(found)}." if found else None


def unbalanced(case: Case) -> str | None:
    """FDX014. Folds whose test patients have the event at another rate than their training patients."""
    found = []
    for answer in case.answers:
        yes = happened(answer)
        for number, (train, test) in enumerate(case.folds, start=1):
            table = [[np.sum(yes[rows]), np.sum(answer.known[rows] & ~yes[rows])] for rows in (train, test)]
            p = same_rate(np.array(table, dtype=np.float64))
            if p < FALSE_ALARM / len(case.folds) / len(case.answers):
                rates = [row[0] / sum(row) for row in table]
                found.append(f"{answer.name}, fold {number} ({rates[0]:.0%} in training, {rates[1]:.0%} in test)")
    return f"{counted(len(found), 'fold')} with another outcome in test: {listed(found)}." if found else None


def same_rate(table: Floats) -> float:
    """p-value of a chi-square test of a 2 x 2 table; 1 where it has an empty margin."""
    rows, columns, total = table.sum(axis=1), table.sum(axis=0), table.sum()
    if not (rows.all() and columns.all()):
        return 1.0
    expected = np.outer(rows, columns) / total
    return float(chdtrc(1, np.sum((table - expected) ** 2 / expected)))


def few(case: Case) -> str | None:
    """FDX016. Fewer events than ten per input column in the smallest training part."""
    columns = sum(len(names) for names, _ in case.numeric.values()) + len(case.categorical)
    if not columns:
        return None
    parts = [train for train, _ in case.folds] or [np.arange(len(case.cohort))]
    found = []
    for answer in case.answers:
        yes = happened(answer)
        if yes.any():
            fewest = min(rarer(answer, yes, rows) for rows in parts)
            if fewest < PER_COLUMN * columns:
                found.append(f"{answer.name} ({fewest} for {columns} columns)")
    return f"Fewer than {PER_COLUMN} events per column in training: {listed(found)}." if found else None


def rarer(answer: Answer, yes: Bools, rows: Ints) -> int:
    """Events among some patients; of a class, patients of the rarer side."""
    events = int(yes[rows].sum())
    return events if answer.event is not None else min(events, int((answer.known & ~yes)[rows].sum()))
