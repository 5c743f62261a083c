"""Substitution: a modality that no longer tells patients apart, shuffled among them or the same for all."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fusiondx.data.bags import BagData
from fusiondx.data.cohort import Cohort
from fusiondx.data.images import ImageData
from fusiondx.data.modalities import Modality
from fusiondx.data.tables import TableData

Array = npt.NDArray[Any]


def shuffled(cohort: Cohort, name: str, seed: int) -> Cohort:
    """One modality handed on among the patients who have it: noise that looks like the real thing."""
    modality = cohort.modalities[name]
    owners = np.flatnonzero(modality.present)
    order = np.arange(len(cohort))
    order[owners] = np.random.default_rng(seed).permutation(owners)
    return replace(cohort, modalities={**cohort.modalities, name: modality.take(order)})


def mean_filled(cohort: Cohort, name: str) -> Cohort:
    """One modality the same for all patients who have it.

    Of a table, the mean of numeric columns and the commonest category of the others. A mean of images looks like none
    of them, so all get the one image or volume, or bag by its mean patch, that is nearest to the mean.
    """
    return replace(cohort, modalities={**cohort.modalities, name: filled(cohort.modalities[name])})


def filled(modality: Modality) -> Modality:
    """The same with one value for everybody who has it."""
    _, rows = modality.locate(np.arange(len(modality.counts)))
    if not len(rows):
        return modality
    data = modality.data
    if isinstance(data, TableData):
        return replace(modality, data=mean_table(data, rows))
    seen = np.unique(rows)
    described = bag_means(data, seen) if isinstance(data, BagData) else flat_pixels(data, seen)
    nearest = seen[np.square(described - described.mean(axis=0)).sum(axis=1).argmin()]
    return replace(modality, rows=np.full_like(modality.rows, nearest))


def mean_table(data: TableData, rows: Array) -> TableData:
    """A table whose rows are all alike; a column without any value stays without."""
    values = data.numeric[rows].astype(np.float64)
    known = ~np.isnan(values)
    total, count = np.where(known, values, 0.0).sum(axis=0), known.sum(axis=0)
    mean = np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)
    numeric = np.broadcast_to(mean.astype(np.float32), data.numeric.shape)
    groups = {name: np.full_like(column, commonest(column[rows])) for name, column in data.categorical.items()}
    return TableData(data.spec, numeric, data.names, groups)


def commonest(values: Array) -> str | None:
    """The category most patients have, the first by name among equals; None where there is none."""
    names, members = np.unique(np.array([v for v in values if v is not None], dtype=str), return_counts=True)
    return str(names[members.argmax()]) if len(names) else None


def flat_pixels(data: ImageData, rows: Array) -> Array:
    """Some images or volumes, each as one row of numbers."""
    return np.asarray(data.pixels()[rows], dtype=np.float32).reshape(len(rows), -1)


def bag_means(data: BagData, rows: Array) -> Array:
    """The mean patch of some bags."""
    return np.stack([data.patches(int(row), slice(None)).mean(axis=0) for row in rows])
