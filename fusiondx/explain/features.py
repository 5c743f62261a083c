"""Features: what each column of each table, and each gene set, did to the number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor

from fusiondx.core.batch import Items
from fusiondx.data.cohort import Cohort
from fusiondx.data.tables import TableData
from fusiondx.explain.case import Case
from fusiondx.explain.columns import ColumnLayer, Label, column_layer, labels
from fusiondx.explain.integrated import Attributed, average, by_column, integrated
from fusiondx.explain.probe import Probe

Array = npt.NDArray[Any]

COLUMNS = ("patient_id", "modality", "column", "value", "attribution")
SETS = ("patient_id", "modality", "pathway", "attribution")
GAPS = ("patient_id", "encoder", "difference", "gap")


@dataclass(frozen=True)
class TableEncoder:
    """An encoder of tables, and what it takes to attribute its columns."""

    name: str
    layer: ColumnLayer
    baselines: Sequence[Tensor]
    """The average training patient's columns, by member."""
    labels: Sequence[Label]
    values: dict[Label, Array]
    """What each patient has in each column, as text or number; blank where that is nothing, or more than one row."""


def table_encoders(case: Case, seen: Cohort, reference: Cohort | None) -> list[TableEncoder]:
    """The encoders of a case that read tables; `seen` is its cohort with features in the place of images."""
    found = []
    prepared = None if reference is None else case.read(reference).prepared
    for name, read in case.reads.items():
        layer = column_layer(case.model.networks_[0].encoders[name])
        if layer is None or prepared is None:
            continue
        baselines = average(case.model.networks_, name, prepared.items)
        if baselines is not None:
            columns = labels(read, case.model.preparations_)
            found.append(TableEncoder(name, layer, baselines, columns, values_of(seen, read)))
    return found


def values_of(cohort: Cohort, read: Sequence[str]) -> dict[Label, Array]:
    """The cells of these tables, patient by patient."""
    found: dict[Label, Array] = {}
    for name in read:
        modality = cohort.modalities.get(name)
        if modality is None or not isinstance(modality.data, TableData):
            continue
        data = modality.data
        place, row = modality.locate(np.flatnonzero(modality.counts == 1))
        owner = np.flatnonzero(modality.counts == 1)[place]
        numeric = {column: data.numeric[:, k] for k, column in enumerate(data.names)}
        for column, cells in {**numeric, **data.categorical}.items():
            held = np.full(len(cohort), "", dtype=object)
            held[owner] = [shown(cell) for cell in cells[row]]
            found[name, column] = held
    return found


def shown(cell: Any) -> Any:
    """A cell as it stands in the file: of a float32, the shortest number that is the same; blank for a gap."""
    if cell is None or cell != cell:
        return ""
    return float(str(cell)) if isinstance(cell, np.floating) else cell


def attributions(encoder: TableEncoder, probe: Probe, at: Array, ids: Array) -> dict[str, pd.DataFrame]:
    """What the columns and the gene sets of one encoder did for the patients `at`; and how exactly they add up."""
    items = probe.items(encoder.name)
    found = integrated(probe, encoder.name, encoder.baselines)
    has = np.flatnonzero(items.present.numpy())
    columns = per_patient(by_column(found.inputs, encoder.layer, len(encoder.labels)), items)[has]
    whose = ids[at[has]]
    exact = (whose, [encoder.name] * len(has), found.difference.numpy()[has], found.gap.numpy()[has])
    return {
        "features": column_frame(encoder, columns, at[has], whose),
        "pathways": set_frame(encoder, found, items, has, whose),
        "completeness": pd.DataFrame(dict(zip(GAPS, exact, strict=True))),
    }


def per_patient(values: Tensor, items: Items) -> Array:
    """Items summed over each patient, in float64."""
    total = torch.zeros(items.patients, values.shape[1], dtype=torch.float64)
    return np.asarray(total.index_add(0, items.patient, values.double()).numpy())


def column_frame(encoder: TableEncoder, attributed: Array, at: Array, ids: Array) -> pd.DataFrame:
    """One row per patient and column; inputs that tell of one column together."""
    names = list(dict.fromkeys(encoder.labels))
    place = {label: k for k, label in enumerate(names)}
    total = np.zeros((len(names), len(at)))
    np.add.at(total, [place[label] for label in encoder.labels], attributed.T)
    cells = [encoder.values[label][at] if label in encoder.values else np.full(len(at), "", object) for label in names]
    long = (
        np.repeat(ids, len(names)),
        np.tile(np.array([modality for modality, _ in names], object), len(at)),
        np.tile(np.array([column for _, column in names], object), len(at)),
        np.stack(cells, axis=1).ravel(),
        total.T.ravel(),
    )
    return pd.DataFrame(dict(zip(COLUMNS, long, strict=True)))


def set_frame(encoder: TableEncoder, found: Attributed, items: Items, has: Array, ids: Array) -> pd.DataFrame:
    """One row per patient and gene set: its columns' share of the attribution, no gene counted twice."""
    if not encoder.layer.sets:
        return pd.DataFrame(columns=list(SETS))
    names = np.array([name for name, _ in encoder.layer.sets], dtype=object)
    parts = torch.split(found.inputs, [size for _, size in encoder.layer.sets], dim=1)
    sums = per_patient(torch.stack([part.sum(dim=1) for part in parts], dim=1), items)[has]
    modality = np.full(sums.size, encoder.labels[0][0], dtype=object)
    long = (np.repeat(ids, len(names)), modality, np.tile(names, len(ids)), sums.ravel())
    return pd.DataFrame(dict(zip(SETS, long, strict=True)))
