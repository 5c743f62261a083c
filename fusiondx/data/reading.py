"""Reading tables: CSV, TSV, either of them gzipped, and Parquet. Ids stay text; a blank is a gap, never a value."""

from __future__ import annotations

import csv
import gzip
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NoReturn, Protocol
from zlib import error as ZlibError

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.errors import EmptyDataError, ParserError, ParserWarning

from fusiondx.errors import DataError, counted, did_you_mean, listed

Array = npt.NDArray[Any]
MISSING = ("", "NA", "NaN", "nan", "N/A", "null", "None")
"""What stands for a gap in a column of values. In a column of ids only the blank does."""
CELLS_AT_ONCE = 4_000_000
"""Cells read at a time from a wide matrix, so that memory stays near that of the result."""


class Source(Protocol):
    """A table, wherever it is."""

    @property
    def name(self) -> str: ...

    @property
    def columns(self) -> tuple[str, ...]: ...

    def frame(self, columns: Sequence[str]) -> pd.DataFrame:
        """Some columns as they are written."""

    def matrix(self, id: str, columns: Sequence[str]) -> tuple[Array, Array]:
        """The ids and, as float32 of shape ``(rows, columns)`` with NaN for gaps, the numbers."""


@dataclass(frozen=True, eq=False)
class FrameSource:
    """A table in memory; `name` is what messages call it."""

    table: pd.DataFrame
    name: str = "the frame"

    def __post_init__(self) -> None:
        refuse_duplicate_headers(self.columns, self.name)

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(map(str, self.table.columns))

    def frame(self, columns: Sequence[str]) -> pd.DataFrame:
        at = pd.Index(self.columns).get_indexer(pd.Index(list(columns)))
        return self.table.iloc[:, at].set_axis(list(columns), axis=1)

    def matrix(self, id: str, columns: Sequence[str]) -> tuple[Array, Array]:
        ids = read_ids(self, id)
        return ids, numbers(self.frame(columns), ids, self.name).astype(np.float32)


@dataclass(frozen=True)
class FileSource:
    """A table in a file."""

    path: Path
    name: str
    columns: tuple[str, ...]

    @classmethod
    def open(cls, folder: Path, name: str) -> FileSource:
        """The table `name` inside `folder`. Raises `DataError` where it is absent, unreadable or ambiguous."""
        path = folder / name
        if not path.is_file():
            siblings = [p.name for p in sorted(path.parent.glob("*")) if p.is_file()]
            raise DataError(f"{name} does not exist in the data folder.{did_you_mean(path.name, siblings)}")
        with readable(name):
            columns = tuple(header(path))
        refuse_duplicate_headers(columns, name)
        return cls(path, name, columns)

    def frame(self, columns: Sequence[str]) -> pd.DataFrame:
        wanted = list(dict.fromkeys(columns))
        with readable(self.name):
            if is_parquet(self.path):
                return pd.read_parquet(self.path, columns=wanted)
            options: dict[str, Any] = dialect(self.path)
            table: pd.DataFrame = pd.read_csv(self.path, dtype=str, na_filter=False, usecols=wanted, **options)
            return table[wanted]

    def matrix(self, id: str, columns: Sequence[str]) -> tuple[Array, Array]:
        ids = read_ids(self, id)
        values = np.empty((len(ids), len(columns)), dtype=np.float32)
        rows = max(1, CELLS_AT_ONCE // max(1, len(columns)))
        blocks = parquet_blocks if is_parquet(self.path) else csv_blocks
        done = 0
        try:
            with readable(self.name):
                for block in blocks(self.path, list(columns), rows):
                    values[done : done + len(block)] = block
                    done += len(block)
        except NotNumbers:
            done = 0
        if done < len(ids) or any(np.isinf(values[i : i + rows]).any() for i in range(0, len(ids), rows)):
            numbers(self.frame(columns), ids, self.name)  # the slow way names the patients and the columns
        return ids, values


class NotNumbers(Exception):
    """A block of a matrix holds something else than numbers."""


def is_parquet(path: Path) -> bool:
    return path.suffix.lower() in (".parquet", ".pq")


def dialect(path: Path) -> dict[str, Any]:
    tabs = ".tsv" in [suffix.lower() for suffix in path.suffixes]
    return {"sep": "\t" if tabs else ",", "encoding": "utf-8-sig", "index_col": False}


def header(path: Path) -> list[str]:
    """The column names, as written."""
    if is_parquet(path):
        import pyarrow.parquet as pq  # slow to import, and few cohorts use it

        return list(pq.read_schema(path).names)
    opened = gzip.open if path.suffix.lower() == ".gz" else open
    with opened(path, "rt", encoding="utf-8-sig", newline="") as lines:
        return [name.strip() for name in next(csv.reader(lines, delimiter=dialect(path)["sep"]), [])]


def csv_blocks(path: Path, columns: list[str], rows: int) -> Iterator[Array]:
    gaps = {name: list(MISSING) for name in columns}
    kinds = dict.fromkeys(columns, np.float32)
    options: dict[str, Any] = dialect(path)
    reader = pd.read_csv(
        path, usecols=columns, dtype=kinds, na_values=gaps, keep_default_na=False, chunksize=rows, **options
    )
    with reader:
        while True:
            try:
                block = next(reader, None)
            except UnicodeDecodeError:
                raise
            except ValueError as error:
                raise NotNumbers from error
            if block is None:
                return
            yield block[columns].to_numpy(dtype=np.float32)


def parquet_blocks(path: Path, columns: list[str], rows: int) -> Iterator[Array]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    for batch in pq.ParquetFile(path).iter_batches(batch_size=rows, columns=columns):
        try:
            parts = [batch.column(name).cast(pa.float32(), safe=False).to_numpy(False) for name in columns]
        except pa.ArrowInvalid as error:
            raise NotNumbers from error
        yield np.stack(parts, axis=1) if parts else np.empty((len(batch), 0), dtype=np.float32)


@contextmanager
def readable(name: str) -> Iterator[None]:
    """Turn what can go wrong in a file into one sentence that names it. No cell value is repeated."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", ParserWarning)
            yield
    except UnicodeDecodeError:
        refuse(name, "is not UTF-8 text. Save it as 'CSV UTF-8'.")
    except EmptyDataError:
        refuse(name, "is empty. It needs a header and one row per patient.")
    except (ParserError, ParserWarning, csv.Error):
        refuse(name, "has rows with more cells than the header. Quote cells that contain the separator.")
    except (OSError, EOFError, ZlibError) as error:
        refuse(name, f"cannot be read ({type(error).__name__}). Check that the file is whole.")
    except ValueError as error:
        if type(error).__module__.startswith("pyarrow"):
            refuse(name, "is not a Parquet file. Check that the file is whole.")
        raise


def refuse(name: str, why: str) -> NoReturn:
    raise DataError(f"{name} {why}") from None


def refuse_duplicate_headers(columns: Sequence[str], name: str) -> None:
    twice = sorted({c for c in columns if columns.count(c) > 1}) if len(set(columns)) < len(columns) else []
    if twice:
        raise DataError(f"{name} has more than one column called {listed(twice)}. Rename or remove the copies.")


def need_columns(source: Source, columns: Sequence[str]) -> None:
    """Raise `DataError` with the nearest name where one of `columns` is not there."""
    for name in columns:
        if name not in source.columns:
            raise DataError(f"{source.name} has no column '{name}'.{did_you_mean(name, source.columns)}")


def matching(source: Source, patterns: Sequence[str], besides: Sequence[str] = ()) -> tuple[str, ...]:
    """Columns that any of `patterns` names (``*`` stands for anything), without `besides`, in the file's order."""
    exact = {p for p in patterns if not set("*?[") & set(p) or p in source.columns}
    need_columns(source, [p for p in patterns if p in exact])
    globs = [p for p in patterns if p not in exact]
    for pattern in globs:
        if not any(fnmatchcase(c, pattern) for c in source.columns if c not in besides):
            raise DataError(f"No column of {source.name} matches '{pattern}'.{did_you_mean(pattern, source.columns)}")
    return tuple(
        c
        for c in source.columns
        if c in exact or (c not in besides and any(fnmatchcase(c, pattern) for pattern in globs))
    )


def text(column: pd.Series[Any]) -> Array:
    """A column as text without outer spaces, blank where the cell is empty. Whole numbers have no decimals."""
    gaps = column.isna().to_numpy()
    if pd.api.types.is_float_dtype(column.dtype):
        written = [f"{v:.0f}" if float(v).is_integer() else repr(float(v)) for v in column.to_numpy(float, na_value=0)]
    else:
        written = [str(v).strip() for v in column.to_numpy(object)]
    return np.where(gaps, "", np.asarray(written, dtype=object))


def gaps(values: Array) -> npt.NDArray[np.bool_]:
    """Which cells of a text column are gaps."""
    return np.isin(values.astype(str), MISSING) if len(values) else np.zeros(0, dtype=bool)


def labels(column: pd.Series[Any]) -> Array:
    """A column of categories as text, None for gaps. In a column of whole numbers "1.0" and "1" are the same."""
    written = text(column)
    known = ~gaps(written)
    as_numbers = parsed(written[known])
    whole = np.isfinite(as_numbers).all() and (as_numbers == np.round(as_numbers)).all()
    padded = any(str(v).lstrip("+-").startswith("0") and str(v).lstrip("+-")[1:2].isdigit() for v in written[known])
    out = np.full(len(written), None, dtype=object)
    out[known] = [f"{v:.0f}" for v in as_numbers] if whole and not padded else written[known]
    return out


def numbers(frame: pd.DataFrame, ids: Array, name: str) -> npt.NDArray[np.float64]:
    """The columns as numbers, NaN for gaps; shape ``(rows, columns)``. Raises `DataError` for anything else."""
    values = [number(frame[column]) for column in frame.columns]
    wrong = [np.isinf(v) for v in values]
    columns = [column for column, where in zip(frame.columns, wrong, strict=True) if where.any()]
    if columns:
        rows = np.any(wrong, axis=0)
        raise DataError(
            f"{name}: {counted(int(rows.sum()), 'patient')} with something else than a finite number in "
            f"{'column' if len(columns) == 1 else 'columns'} {listed(columns)}: {listed(ids[rows])}. "
            "Write numbers with a decimal point and leave unknown cells blank, or read the column as categorical."
        )
    return np.stack(values, axis=1) if values else np.empty((len(frame), 0))


def number(column: pd.Series[Any]) -> npt.NDArray[np.float64]:
    """A column as numbers: NaN for gaps, infinite for what is no finite number."""
    if pd.api.types.is_numeric_dtype(column.dtype) or pd.api.types.is_bool_dtype(column.dtype):
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    written = text(column)
    blank = gaps(written)
    values = parsed(written)
    return np.where(blank, np.nan, np.where(np.isnan(values), np.inf, values))


def parsed(written: Array) -> npt.NDArray[np.float64]:
    """Text as numbers, NaN for what is none."""
    return np.asarray(pd.to_numeric(written, errors="coerce"), dtype=np.float64)


def read_ids(source: Source, id: str) -> Array:
    """The patient ids of each row, as text. Raises `DataError` where one is blank."""
    need_columns(source, [id])
    ids = text(source.frame([id])[id])
    blank = np.flatnonzero(ids == "")
    if len(blank):
        raise DataError(
            f"{source.name}: {counted(len(blank), 'row')} without an id in column '{id}': "
            f"row {listed(blank + 2)}. Fill the ids in, or remove the rows."
        )
    return ids


def refuse_duplicate_ids(ids: Array, name: str) -> None:
    """Raise `DataError` unless every patient has one row."""
    twice = pd.Index(ids)[pd.Index(ids).duplicated()].unique()
    if len(twice):
        raise DataError(
            f"{name}: {counted(len(twice), 'patient')} with more than one row: {listed(twice)}. "
            "Keep one row per patient."
        )
