"""Genomics: a wide matrix of numbers, one row per patient."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

import numpy.typing as npt
from pydantic import Field

from fusiondx.core.spec import Spec, spec
from fusiondx.data.reading import Source, matching, refuse_duplicate_ids
from fusiondx.data.tables import TableData
from fusiondx.errors import DataError, did_you_mean

Array = npt.NDArray[Any]


@spec
class Genomics(Spec):
    """Expression, copy number, mutations or the like: `columns` of `file` (``*`` stands for anything).

    Read in pieces into float32, so that 20,000 genes of 5,000 patients fit an ordinary machine.

    What a model sees is decided on its training patients alone, in this order: columns that `log` names become
    log2(x + 1) (negative values are refused); columns whose variance is below `min_variance` are left out; of the rest
    the `top` most variable stay, the first of equals; gaps are filled with medians; tails are drawn in, and columns
    standardised. Variances are of the values after the logarithm and before that, gaps aside, so `top` compares columns
    as they are: bring them to one scale before mixing assays.

    >>> fdx.Cohort.from_frame(
    ...     pd.read_csv("patients.csv"),
    ...     modalities={"omics": fdx.Genomics("omics.csv.gz", columns=("gene_*",), top=20)},
    ... )
    <Cohort of 60 patients: omics (46); targets: none>
    """

    file: str | None = None
    columns: tuple[str, ...] = ("*",)
    log: tuple[str, ...] = ()
    """Columns to take the logarithm of, such as counts or TPM: ``("*",)`` for all, ``("*_rnaseq",)`` for some."""
    min_variance: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    top: Annotated[int, Field(ge=1)] | None = None
    id: str | None = None
    kind: Literal["genomics"] = "genomics"

    def read(self, source: Source, id: str) -> tuple[Array, TableData]:
        """The ids of the rows of `source`, and their values."""
        names = matching(source, self.columns, besides=(id,))
        ids, values = source.matrix(id, names)
        refuse_duplicate_ids(ids, source.name)
        self._refuse_idle_patterns(names, source.name)
        data = TableData(self, values, names, {})
        data.warn_of_empty_columns(source.name)
        return ids, data

    def logged(self, name: str) -> bool:
        """Whether the logarithm of this column is to be taken."""
        return any(fnmatchcase(name, pattern) for pattern in self.log)

    def _refuse_idle_patterns(self, names: tuple[str, ...], where: str) -> None:
        for pattern in self.log:
            if not any(fnmatchcase(name, pattern) for name in names):
                raise DataError(f"{where}: 'log' names '{pattern}', but no column is so.{did_you_mean(pattern, names)}")
