"""Patients: are those tested on really others than those trained on?"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fusiondx.auditing.case import Case, Told
from fusiondx.data.outcomes import flat
from fusiondx.errors import counted, listed

Array = npt.NDArray[Any]
RARE = 10
"""A value that more patients share is no sign that two of them are the same."""
SAME = 0.95
"""Share of the cells known of two patients that must be the same: one may have been corrected since."""
CERTAIN = 10.0
"""Bits by which the coincidence must be less likely than one among all pairs of patients."""


def on_both_sides(case: Case) -> Told | None:
    """FDX001. Positions that a fold both trains and tests on."""
    shared = [np.intersect1d(train, test) for train, test in case.folds]
    everyone = np.unique(np.concatenate(shared)) if shared else np.zeros(0, dtype=np.int64)
    if not len(everyone):
        return None
    folds = sum(len(both) > 0 for both in shared)
    message = f"{counted(len(everyone), 'patient')} both trained and tested on, in {counted(folds, 'fold')}."
    return Told(message, listed(case.cohort.ids[everyone]))


def duplicates(case: Case) -> Told | None:
    """FDX002. Pairs of ids whose values agree more than coincidence allows, each value counting by its rarity."""
    codes = value_codes(case)
    one, other = candidates(codes)
    if not len(one):
        return None
    both = (codes[one] >= 0) & (codes[other] >= 0)
    equal = both & (codes[one] == codes[other])
    bits = (equal * surprise(codes)[None, :]).sum(axis=1)
    patients = len(codes)
    enough = bits >= np.log2(patients * (patients - 1) / 2) + CERTAIN
    found = np.flatnonzero(enough & (equal.sum(axis=1) >= SAME * both.sum(axis=1)))
    if not len(found):
        return None
    apart = int(case.parted(one[found], other[found]).sum())
    pairs = [f"{case.cohort.ids[one[i]]} = {case.cohort.ids[other[i]]}" for i in found]
    message = f"{counted(len(found), 'pair')} of patients with the same values, {apart} parted by a fold."
    return Told(message, listed(pairs))


def value_codes(case: Case) -> Array:
    """Every known value as a number per column, -1 for gaps: inputs in tables and answers; ``(patients, columns)``."""
    columns: list[Array] = [values for _, table in case.numeric.values() for values in table.T]
    columns += list(case.categorical.values())
    for values in case.cohort.targets.values():
        answer = flat(values)
        columns += (
            [answer[name] for name in answer.dtype.names] if answer.dtype.names else list(np.atleast_2d(answer.T))
        )
    return np.stack([coded(column) for column in columns], axis=1) if columns else np.zeros((len(case.cohort), 0), int)


def coded(column: Array) -> Array:
    """A column as numbers from 0, -1 for gaps."""
    gap = np.array([v is None or v == "" or v != v for v in column], dtype=bool)
    codes = np.full(len(column), -1)
    if not gap.all():
        known = column[~gap]
        codes[~gap] = np.unique(known.astype(str) if known.dtype == object else known, return_inverse=True)[1]
    return codes


def candidates(codes: Array) -> tuple[Array, Array]:
    """Pairs of patients who share a rare value, the first one's position below the other's."""
    pairs: set[tuple[int, int]] = set()
    for column in codes.T:
        values, members = np.unique(column[column >= 0], return_counts=True)
        for value in values[(members > 1) & (members <= RARE)]:
            who = np.flatnonzero(column == value)
            pairs |= {(int(a), int(b)) for i, a in enumerate(who) for b in who[i + 1 :]}
    ordered = np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2)
    return ordered[:, 0], ordered[:, 1]


def surprise(codes: Array) -> Array:
    """Per column: bits that an agreement is worth, from the chance that two patients agree in it."""
    worth = []
    for column in codes.T:
        known = column[column >= 0]
        share = np.bincount(known) / max(len(known), 1)
        agree = float(share @ share)
        worth.append(-np.log2(agree) if agree > 0 else 0.0)
    return np.array(worth)
