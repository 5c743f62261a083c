"""Rejoining: two parts of one cohort as one again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fusiondx.core.targets import TargetValues
from fusiondx.data.cohort import Cohort
from fusiondx.data.modalities import Modality


def rejoined(one: Cohort, other: Cohort) -> Cohort | None:
    """The patients of `one`, then those of `other`; None unless both are parts of the same whole."""
    alike = one.table is other.table and one.landmarked == other.landmarked
    if not alike or one.modalities.keys() != other.modalities.keys() or one.targets.keys() != other.targets.keys():
        return None
    pairs = {name: (modality, other.modalities[name]) for name, modality in one.modalities.items()}
    if any(mine.data is not theirs.data for mine, theirs in pairs.values()):
        return None
    return replace(
        one,
        ids=np.concatenate([one.ids, other.ids]),
        modalities={name: _modality(*pair) for name, pair in pairs.items()},
        targets={name: _target(values, other.targets[name]) for name, values in one.targets.items()},
        site=None if one.site is None or other.site is None else np.concatenate([one.site, other.site]),
        position=np.concatenate([one.position, other.position]),
        held_out_by=None,
    )


def _modality(one: Modality, other: Modality) -> Modality:
    start = np.concatenate([one.start, one.start[-1] + other.start[1:] - other.start[0]])
    lost = None
    if one.unreadable is not None and other.unreadable is not None:
        lost = np.concatenate([one.unreadable, other.unreadable])
    return replace(one, rows=np.concatenate([one.rows[: one.start[-1]], other.rows]), start=start, unreadable=lost)


def _target(one: TargetValues, other: TargetValues) -> TargetValues:
    fields = {name: np.concatenate([values, other.fields[name]]) for name, values in one.fields.items()}
    return replace(one, fields=fields, known=np.concatenate([one.known, other.known]))
