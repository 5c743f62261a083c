"""Description: what a cohort holds, as tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fusiondx.core.targets import Classes, CompetingRisks, Labels, Survival, TargetValues
from fusiondx.data.modalities import Modality
from fusiondx.data.tables import TableData


@dataclass(frozen=True)
class Description:
    """What a cohort holds; `str` makes it readable."""

    title: str
    patients: int
    sites: int
    modalities: pd.DataFrame
    """Per modality: kind, patients, items, columns, and files that count as missing because they cannot be used."""
    patterns: pd.DataFrame
    """Patients per combination of modalities."""
    targets: pd.DataFrame
    """Per target and class: known patients, events, median of time or value."""
    missing: pd.DataFrame
    """Gaps per column, among patients who have the modality; columns without gaps are left out."""

    def __str__(self) -> str:
        sites = f", {self.sites} sites" if self.sites else ""
        head = f"{self.title or 'Cohort'}: {self.patients} patients{sites}"
        gaps = self.missing.sort_values("missing", ascending=False).head(20)
        tables = {"Modalities": self.modalities, "Patients per combination": self.patterns, "Targets": self.targets}
        if len(gaps):
            more = f" ({len(gaps)} of {len(self.missing)} columns)" if len(gaps) < len(self.missing) else ""
            tables[f"Missing values{more}"] = gaps
        return "\n\n".join([head, *(f"{name}\n{table.to_string(index=False)}" for name, table in tables.items())])


def describe_modalities(modalities: Mapping[str, Modality]) -> pd.DataFrame:
    rows = [
        (name, m.spec.kind, int(m.present.sum()), len(m.rows), _columns(m), m.lost) for name, m in modalities.items()
    ]
    found = pd.DataFrame(rows, columns=["modality", "kind", "patients", "items", "columns", "unreadable"])
    return found if found["unreadable"].any() else found.drop(columns="unreadable")


def _columns(modality: Modality) -> int:
    data = modality.data
    return len(data.names) + len(data.categorical) if isinstance(data, TableData) else 0


def describe_targets(targets: Mapping[str, TargetValues]) -> pd.DataFrame:
    rows = [row for name, values in targets.items() for row in _target_rows(name, values)]
    return pd.DataFrame(rows, columns=["target", "kind", "class", "known", "events", "median"])


def _target_rows(name: str, values: TargetValues) -> list[tuple[str, str, str, int, int | None, float]]:
    known = values.known
    if isinstance(values.spec, Classes):
        members = np.bincount(values.fields["label"][known], minlength=len(values.classes))
        return [(name, "classes", c, int(n), None, np.nan) for c, n in zip(values.classes, members, strict=True)]
    if isinstance(values.spec, Labels):
        told, yes = values.fields["told"], values.fields["label"] == 1
        counts = zip(values.classes, told.sum(axis=0), (told & yes).sum(axis=0), strict=True)
        return [(name, "labels", label, int(n), int(positive), np.nan) for label, n, positive in counts]
    if isinstance(values.spec, CompetingRisks):
        time, event = values.fields["time"][known], values.fields["event"][known]
        met = [int((event == code).sum()) for code in range(1, 1 + len(values.classes))]
        at = _median(time)
        return [(name, "competing", c, int(known.sum()), n, at) for c, n in zip(values.classes, met, strict=True)]
    if isinstance(values.spec, Survival):
        time, event = values.fields["time"][known], values.fields["event"][known]
        return [(name, "survival", "", int(known.sum()), int(event.sum()), _median(time))]
    return [(name, "number", "", int(known.sum()), None, _median(values.fields["value"][known]))]


def _median(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
    return float(np.median(values)) if len(values) else np.nan


def describe_missing(modalities: Mapping[str, Modality]) -> pd.DataFrame:
    found = []
    for name, modality in modalities.items():
        if isinstance(modality.data, TableData):
            gaps = modality.data.missing(modality.rows)
            gaps = gaps[gaps > 0]
            share = gaps / max(1, len(modality.rows))
            found.append(pd.DataFrame({"modality": name, "column": gaps.index, "missing": gaps.values, "share": share}))
    columns = ["modality", "column", "missing", "share"]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=columns)
