"""Subgroups: how good each model is for patients of one kind."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd

from fusiondx.errors import DataError, counted, listed
from fusiondx.evaluation.estimate import Estimate, Outcome, Undefined
from fusiondx.evaluation.score import score
from fusiondx.reporting.report import SUBGROUPS, Report, Result

UNKNOWN = "unknown"
MANY = 6
"""Distinct numbers in a column beyond which it is cut at its median."""


def subgroup_frame(report: Report, groups: pd.DataFrame, *, replicates: int = 1000, seed: int = 0) -> pd.DataFrame:
    """The primary metric of every model in every group of each column of `groups`, a frame indexed by patient id.

    Columns: `SUBGROUPS`. A column of more than six distinct numbers is cut at the median of the patients judged; a gap
    is the group "unknown". Intervals are those of `fusiondx.evaluation.score`, group by group, not corrected for how
    many groups there are. Raises `DataError` where a patient is in `groups` twice or not at all.

    >>> from fusiondx.reporting.subgroups import subgroup_frame
    >>> groups = pd.read_csv("patients.csv", index_col="patient_id")[["sex"]]
    >>> found = subgroup_frame(report, groups, replicates=20)
    >>> found["group"].unique().tolist()
    ['female', 'male']
    """
    groups = groups.set_axis(groups.index.astype(str))
    _check(report, groups)
    judged = groups.loc[list(dict.fromkeys(str(i) for r in report.results for said, _ in r.parts for i in said.ids))]
    named = {str(column): group_names(judged[column]) for column in judged.columns}
    rows = [
        {"target": result.target, "model": result.model, "column": column, "group": group, **_told(found)}
        for result in report.results
        for column, names in named.items()
        for group, found in _by_group(result, names, replicates, seed)
    ]
    return pd.DataFrame(rows, columns=list(SUBGROUPS))


def group_names(column: pd.Series) -> pd.Series:
    """The group of each patient: the cell's text, or on which side of the median a number or a date is."""
    dated = pd.api.types.is_datetime64_any_dtype(column)
    numbers = column if dated else pd.to_numeric(column, errors="coerce")
    if numbers.isna().equals(column.isna()) and numbers.nunique() > MANY:
        middle = numbers.median()
        said = f"{middle:%Y-%m-%d}" if dated else f"{middle:g}"
        names = np.where(numbers <= middle, f"at most {said}", f"above {said}")
        return pd.Series(np.where(numbers.isna(), UNKNOWN, names), index=column.index)
    return column.astype(object).where(column.notna(), UNKNOWN).astype(str)


def _by_group(result: Result, names: pd.Series, replicates: int, seed: int) -> Iterator[tuple[str, Outcome]]:
    for group in sorted(names.unique(), key=lambda name: (name == UNKNOWN, name)):
        members = set(names.index[names == group])
        parts = [
            (said.take(here), truth[here]) for said, truth in result.known if (here := _among(said.ids, members)).any()
        ]
        if parts:
            yield group, score(parts, replicates=replicates, seed=seed)[0]
        else:
            yield group, Undefined(result.estimates[0].metric, "no patient whose truth is known", 0, None)


def _among(ids: npt.ArrayLike, members: set[str]) -> npt.NDArray[np.bool_]:
    return np.array([str(patient) in members for patient in np.asarray(ids)], dtype=bool)


def _told(found: Outcome) -> dict[str, object]:
    counts = {"metric": found.metric, "n": found.n, "events": found.events}
    if isinstance(found, Estimate):
        return {**counts, "estimate": found.value, "low": found.low, "high": found.high, "reason": ""}
    return {**counts, "estimate": None, "low": None, "high": None, "reason": found.reason}


def _check(report: Report, groups: pd.DataFrame) -> None:
    if twice := list(groups.index[groups.index.duplicated()].unique()):
        raise DataError(f"Patients twice in the table of groups: {listed(twice)}. Keep one row of each.")
    patients = {str(patient) for result in report.results for said, _ in result.parts for patient in said.ids}
    if strange := sorted(patients - set(groups.index)):
        raise DataError(
            f"{counted(len(strange), 'patient')} without a group: {listed(strange)}. Give a row for everyone judged."
        )
