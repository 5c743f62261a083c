"""Missing: does a gap tell the answer?"""

from __future__ import annotations

import numpy as np

from fusiondx.auditing.association import threshold, z_scores
from fusiondx.auditing.case import Case, Floats
from fusiondx.errors import listed

RARE = 5
"""Fewer patients with, or without, a gap are too few for a normal law."""


def tells_the_outcome(case: Case) -> str | None:
    """FDX015. Gaps, in a column or of a modality, that go with an answer."""
    gaps = {name: gap for name, gap in gaps_of(case).items() if rarer(gap) >= RARE}
    if not gaps or not case.answers:
        return None
    columns = np.stack(list(gaps.values()), axis=1)
    limit = threshold(columns.shape[1] * len(case.answers))
    found = [
        f"{name} and {answer.name} (z = {z:.1f})"
        for answer in case.answers
        for name, z in zip(gaps, z_scores(columns, answer.values), strict=True)
        if abs(z) > limit
    ]
    return f"Missing values go with the answer: {listed(found)}." if found else None


def gaps_of(case: Case) -> dict[str, Floats]:
    """Who lacks what, 1 or 0: each modality, and each column of the tables they have; NaN where they have none."""
    gaps = {f"{name} (all of it)": (~m.present).astype(np.float64) for name, m in case.cohort.modalities.items()}
    for name, (names, values) in case.numeric.items():
        here = case.cohort.modalities[name].present
        absent = np.where(here[:, None], np.isnan(values), np.nan)
        gaps |= {f"{name}.{column}": absent[:, j] for j, column in enumerate(names)}
    for (name, column), values in case.categorical.items():
        here = case.cohort.modalities[name].present
        gaps[f"{name}.{column}"] = np.where(here, [value is None for value in values], np.nan)
    return gaps


def rarer(gap: Floats) -> float:
    """Patients with a gap, or without, whichever are fewer."""
    return float(min(np.nansum(gap), np.nansum(1 - gap)))
