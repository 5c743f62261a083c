"""Tables: a few numeric and categorical columns, one row per patient, or one per patient and time."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from jaxtyping import Float
from pydantic import Field

from fusiondx.core.spec import Spec, spec
from fusiondx.data.reading import Source, labels, matching, numbers, read_ids, refuse_duplicate_ids, single
from fusiondx.errors import ConfigError, FusionDxWarning, listed

Array = npt.NDArray[Any]


@spec
class Table(Spec):
    """Clinical or other tabular data: `numeric` and `categorical` columns of `file`, or of the patient table.

    `time` is the column that says when each row was observed, in the unit of the prognosis and from the same start, its
    baseline; a patient may then have several rows, a token each.
    Before an encoder, gaps are filled with medians and marked, long tails are drawn in, and numbers are standardised.
    Column names may hold ``*``. `recode` unites spellings: ``{"histology": {"Adenocarcinoma": "adenocarcinoma"}}``.

    >>> clinical = fdx.Table(numeric=("age_*",), categorical=("sex",), recode={"sex": {"f": "female"}})
    >>> fdx.Cohort.from_frame(pd.read_csv("patients.csv"), modalities={"clinical": clinical})
    <Cohort of 60 patients: clinical (60); targets: none>
    """

    file: str | None = None
    numeric: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    recode: Mapping[str, Mapping[str, str]] = Field(default_factory=dict)
    time: str | None = None
    id: str | None = None
    kind: Literal["table"] = "table"

    def read(self, source: Source, id: str) -> tuple[Array, TableData]:
        """The ids of the rows of `source`, and their values."""
        ids = read_ids(source, id)
        if self.time is None:
            refuse_duplicate_ids(ids, source.name)
        keys = (id,) if self.time is None else (id, self.time)
        numeric = matching(source, self.numeric, besides=keys) if self.numeric else ()
        categorical = matching(source, self.categorical, besides=(*keys, *numeric)) if self.categorical else ()
        self._check(numeric, categorical)
        frame = source.frame([*numeric, *categorical])
        values = single(numbers(frame[list(numeric)], ids, source.name))
        groups = {name: recoded(labels(frame[name]), self.recode.get(name, {})) for name in categorical}
        data = TableData(self, values, numeric, groups)
        data.warn_of_empty_columns(source.name)
        return ids, data

    def _check(self, numeric: tuple[str, ...], categorical: tuple[str, ...]) -> None:
        if not numeric and not categorical:
            raise ConfigError("A table without columns. Name some under 'numeric' or 'categorical'.")
        both = set(numeric) & set(categorical)
        if both:
            raise ConfigError(f"Both numeric and categorical: {listed(sorted(both))}. Name each column once.")
        strange = [name for name in self.recode if name not in categorical]
        if strange:
            raise ConfigError(f"'recode' names what is no categorical column: {listed(strange)}.")


@dataclass(frozen=True, eq=False)
class TableData:
    """The values of a table or of a genomic matrix; NaN and None stand for gaps."""

    spec: Spec
    numeric: Float[np.ndarray[Any, Any], "rows numbers"]
    names: tuple[str, ...]
    """Of the numeric columns."""
    categorical: Mapping[str, Array]
    """Each an object array of shape ``(rows,)``."""

    def __len__(self) -> int:
        return len(self.numeric)

    @property
    def filled(self) -> npt.NDArray[np.bool_]:
        """Which rows hold any value at all."""
        known = ~np.isnan(self.numeric).all(axis=1) if self.names else np.zeros(len(self), dtype=bool)
        for values in self.categorical.values():
            known |= values != np.array(None)
        return known

    def warn_of_empty_columns(self, where: str) -> None:
        """Name the columns that say nothing. They stay: the training patients decide what a model uses."""
        low, high = (np.asarray(f.reduce(self.numeric, axis=0, initial=np.nan)) for f in (np.fmin, np.fmax))
        still = np.flatnonzero(~(low < high))
        gaps = np.isnan(self.numeric[:, still])
        numeric = [self.names[j] for j in still[~gaps.any(axis=0) | gaps.all(axis=0)]]  # else the gaps say something
        groups = [n for n, v in self.categorical.items() if len({x for x in v if x is not None}) < 2]
        if (numeric or groups) and len(self) > 1:
            message = f"{where}: empty or always the same: {listed(numeric + groups)}. A model makes no use of them."
            warnings.warn(message, FusionDxWarning, stacklevel=2)

    def missing(self, rows: Array) -> pd.Series[Any]:
        """Gaps per column among `rows`."""
        numeric = {n: int(np.isnan(self.numeric[rows, j]).sum()) for j, n in enumerate(self.names)}
        groups = {n: sum(x is None for x in v[rows]) for n, v in self.categorical.items()}
        return pd.Series({**numeric, **groups}, dtype=int)

    def digest(self, rows: Array) -> str:
        """SHA-256 of names and values of `rows`, in their order; the order of columns does not count."""
        order = np.argsort(np.array(self.names, dtype=object))
        sha = hashlib.sha256(repr([self.names[j] for j in order]).encode())
        for row in rows:
            values = self.numeric[row, order] + np.float32(0)  # which makes -0 the same as 0
            sha.update(np.where(np.isnan(values), np.float32(np.nan), values).astype("<f4").tobytes())
        for name in sorted(self.categorical):
            sha.update(f"categorical {name!r} {list(self.categorical[name][rows])!r}".encode())
        return sha.hexdigest()


def recoded(values: Array, spellings: Mapping[str, str]) -> Array:
    """The same categories with spellings united."""
    return np.array([spellings.get(v, v) if v is not None else None for v in values], dtype=object)
