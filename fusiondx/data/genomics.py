"""Genomics: a wide matrix of numbers, one row per patient."""

from __future__ import annotations

from typing import Any, Literal

import numpy.typing as npt

from fusiondx.core.spec import Spec, spec
from fusiondx.data.reading import Source, matching, refuse_duplicate_ids
from fusiondx.data.tables import TableData

Array = npt.NDArray[Any]


@spec
class Genomics(Spec):
    """Expression, copy number, mutations or the like: `columns` of `file` (``*`` stands for anything).

    Read in pieces into float32, so that 20,000 genes of 5,000 patients fit an ordinary machine.
    """

    file: str | None = None
    columns: tuple[str, ...] = ("*",)
    id: str | None = None
    kind: Literal["genomics"] = "genomics"

    def read(self, source: Source, id: str) -> tuple[Array, TableData]:
        """The ids of the rows of `source`, and their values."""
        names = matching(source, self.columns, besides=(id,))
        ids, values = source.matrix(id, names)
        refuse_duplicate_ids(ids, source.name)
        data = TableData(self, values, names, {})
        data.warn_of_empty_columns(source.name)
        return ids, data
