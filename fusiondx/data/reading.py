"""Reading tables: CSV, TSV, either of them gzipped, and Parquet. Ids stay text; a blank is a gap, never a value."""

from __future__ import annotations

import csv
import gzip
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import IO, Any, NoReturn, Protocol, cast
from zlib import error as ZlibError

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from fusiondx.errors import DataError, counted, did_you_mean, listed

Array = npt.NDArray[Any]
LARGEST = float(np.finfo(np.float32).max)
"""The largest number in single precision."""
MISSING = ("", "NA", "NaN", "nan", "N/A", "n/a", "#N/A", "<NA>", "null", "None")
"""What stands for a gap in a column of values. In a column of ids only the blank does."""
CELLS_AT_ONCE = 4_000_000
BYTES_AT_ONCE = 64 * 2**20
"""Pieces in which Parquet and CSV files are read, so that memory stays near that of the result."""


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
        return ids, single(numbers(self.frame(columns), ids, self.name))


@dataclass(frozen=True)
class FileSource:
    """A table in a file."""

    path: Path
    name: str
    columns: tuple[str, ...]

    @classmethod
    def open(cls, folder: Path, name: str) -> FileSource:
        """The table `name` inside `folder`. Raises `DataError` where it is absent, unreadable or ambiguous."""
        path = (folder / name).resolve()
        if not path.is_relative_to(folder.resolve()):
            raise DataError(f"{name} lies outside the data folder. Put it inside, and give its path from there.")
        if not path.is_file():
            siblings = [p.name for p in sorted(path.parent.glob("*")) if p.is_file()]
            raise DataError(f"{name} does not exist in the data folder.{did_you_mean(path.name, siblings)}")
        with readable(name):
            if spreadsheet(path):
                refuse(name, "is a spreadsheet. Save its sheet as 'CSV UTF-8', and name that file.")
            columns = tuple(header(path))
        if not columns:
            refuse(name, "is empty. It needs a header and one row per patient.")
        refuse_duplicate_headers(columns, name)
        return cls(path, name, columns)

    def frame(self, columns: Sequence[str]) -> pd.DataFrame:
        wanted = list(dict.fromkeys(columns))
        with readable(self.name):
            batches = list(self._batches(wanted, dict.fromkeys(wanted, pa.string())))
        frames = [batch.to_pandas() for batch in batches]
        return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=wanted, dtype=str)

    def matrix(self, id: str, columns: Sequence[str]) -> tuple[Array, Array]:
        need_columns(self, [id])
        try:
            ids, blocks = self._blocks(id, list(columns), pa.float32())
        except NotNumbersError:  # so that the patients and columns can be named
            ids, blocks = self._blocks(id, list(columns), pa.string())
        refuse_blank_ids(ids, self.name, id)
        refuse_infinite(blocks, ids, columns, self.name)
        values = np.empty((len(ids), len(columns)), dtype=np.float32)
        done = len(ids)
        while blocks:  # from the end, each freed once it is copied: the peak stays near the size of the result
            block = blocks.pop()
            values[done - len(block) : done] = block
            done -= len(block)
        return ids, values

    def _blocks(self, id: str, columns: list[str], kind: pa.DataType) -> tuple[Array, list[Array]]:
        """Ids and numbers piece by piece. Raises `NotNumbersError` where the cells of a CSV are not all of `kind`."""
        ids: list[Array] = [np.empty(0, dtype=object)]
        blocks = []
        with readable(self.name):
            for batch in self._batches([id, *columns], {**dict.fromkeys(columns, kind), id: pa.string()}):
                ids.append(text(batch.column(0).to_pandas()))
                block = np.empty((batch.num_rows, len(columns)), dtype=np.float32, order="F")
                for j in range(len(columns)):
                    block[:, j] = arrow_numbers(batch.column(j + 1))
                blocks.append(block)
        return np.concatenate(ids), blocks

    def _batches(self, columns: list[str], kinds: Mapping[str, pa.DataType]) -> Iterator[pa.RecordBatch]:
        if is_parquet(self.path):
            rows = max(1, CELLS_AT_ONCE // max(1, len(columns)))
            yield from pq.ParquetFile(self.path).iter_batches(batch_size=rows, columns=columns)
            return
        read = pa_csv.ReadOptions(column_names=list(self.columns), skip_rows=1, block_size=BYTES_AT_ONCE)
        split = pa_csv.ParseOptions(delimiter=separator(self.path))
        cells = pa_csv.ConvertOptions(column_types=dict(kinds), include_columns=columns, null_values=list(MISSING))
        try:
            yield from pa_csv.open_csv(self.path, read, split, cells)
        except pa.ArrowInvalid as error:
            if not re.match("Empty CSV|Could not skip", str(error)):  # nothing below the header: no rows
                raise


class NotNumbersError(Exception):
    """A piece of a CSV holds something else than numbers."""


def is_parquet(path: Path) -> bool:
    return path.suffix.lower() in (".parquet", ".pq")


def spreadsheet(path: Path) -> bool:
    """Whether a file is one of Excel's or LibreOffice's, by its first bytes: its name may say something else."""
    with path.open("rb") as file:
        return file.read(4) in (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")


def separator(path: Path) -> str:
    """What stands between the cells of a CSV or TSV; semicolons where the header has them and no comma."""
    if ".tsv" in [suffix.lower() for suffix in path.suffixes]:
        return "\t"
    with lines_of(path) as lines:
        first = next(lines, "")
    return ";" if ";" in first and "," not in first else ","


def lines_of(path: Path) -> IO[str]:
    """The lines of a CSV or TSV, gzipped or not, without a byte order mark."""
    opened = gzip.open if path.suffix.lower() == ".gz" else open
    return cast(IO[str], opened(path, "rt", encoding="utf-8-sig", newline=""))


def header(path: Path) -> list[str]:
    """The column names, without outer spaces."""
    if is_parquet(path):
        return list(pq.read_schema(path).names)
    with lines_of(path) as lines:
        return [name.strip() for name in next(csv.reader(lines, delimiter=separator(path)), [])]


def arrow_numbers(column: pa.Array) -> npt.NDArray[np.float32]:
    """A column as float32: NaN for gaps, infinite for what is no finite number."""
    if pa.types.is_floating(column.type) or pa.types.is_integer(column.type):
        return np.asarray(column.cast(pa.float32(), safe=False).to_numpy(zero_copy_only=False))
    return number(column.to_pandas()).astype(np.float32)


@contextmanager
def readable(name: str) -> Iterator[None]:
    """Turn what can go wrong in a file into one sentence that names it. No cell value is repeated."""
    try:
        yield
    except UnicodeDecodeError:
        refuse(name, "is not UTF-8 text. Save it as 'CSV UTF-8'.")
    except csv.Error:
        refuse(name, "is not a readable CSV. Check its header.")
    except pa.ArrowInvalid as error:
        _refuse_arrow(name, str(error))
    except (OSError, EOFError, ZlibError) as error:
        refuse(name, f"cannot be read ({type(error).__name__}). Check that the file is whole.")


def _refuse_arrow(name: str, reason: str) -> NoReturn:
    """Arrow's reasons quote cells, so they are told apart and not repeated."""
    if "invalid UTF8" in reason:
        refuse(name, "is not UTF-8 text. Save it as 'CSV UTF-8'.")
    if "conversion error" in reason:
        raise NotNumbersError from None
    if "columns, got" in reason:
        refuse(name, "has rows with more or fewer cells than the header. Quote cells that contain the separator.")
    refuse(name, "cannot be read. Check that the file is whole.")


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
    columns = [number(frame[column]) for column in frame.columns]
    values = np.stack(columns, axis=1) if columns else np.empty((len(frame), 0))
    refuse_infinite([values], ids, list(frame.columns), name)
    return values


def single(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Numbers in single precision; an absurd one costs nobody a run, and becomes the largest there is."""
    return values.clip(-LARGEST, LARGEST).astype(np.float32)


def refuse_infinite(blocks: Sequence[Array], ids: Array, columns: Sequence[str], name: str) -> None:
    """Raise `DataError` where a number is infinite, the mark of what could not be read as a number."""
    rows = np.concatenate([np.zeros(0, dtype=bool), *(np.isinf(block).any(axis=1) for block in blocks)])
    if rows.any():
        where = np.any([np.isinf(block).any(axis=0) for block in blocks], axis=0)
        named = [column for column, bad in zip(columns, where, strict=True) if bad]
        raise DataError(
            f"{name}: {counted(int(rows.sum()), 'patient')} with something else than a finite number in "
            f"{'column' if len(named) == 1 else 'columns'} {listed(named)}: {listed(ids[rows])}. "
            "Write numbers with a decimal point and leave unknown cells blank, or read the column as categorical."
        )


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
    refuse_blank_ids(ids, source.name, id)
    return ids


def refuse_blank_ids(ids: Array, name: str, column: str) -> None:
    """Raise `DataError` where a row names no patient."""
    blank = np.flatnonzero(ids == "")
    if len(blank):
        raise DataError(
            f"{name}: {counted(len(blank), 'row')} without an id in column '{column}': row {listed(blank + 2)}, "
            "counting the header. Fill the ids in, or remove the rows."
        )


def refuse_duplicate_ids(ids: Array, name: str) -> None:
    """Raise `DataError` unless every patient has one row."""
    twice = pd.Index(ids)[pd.Index(ids).duplicated()].unique()
    if len(twice):
        raise DataError(
            f"{name}: {counted(len(twice), 'patient')} with more than one row: {listed(twice)}. "
            "Keep one row per patient."
        )
