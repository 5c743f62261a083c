"""Modalities: which kinds there are, and which patient has which items of one."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from fusiondx.data.bags import Bag, BagData
from fusiondx.data.genomics import Genomics
from fusiondx.data.images import ImageData
from fusiondx.data.picture import Image
from fusiondx.data.raster import Region
from fusiondx.data.reading import LARGEST, FileSource, Source, gaps, need_columns, number, read_ids, text
from fusiondx.data.sifting import Refused, sift
from fusiondx.data.tables import Table, TableData
from fusiondx.data.volumes import Volume
from fusiondx.errors import DataError, FusionDxWarning, counted, listed

Array = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.floating[Any]]

ModalitySpec = Annotated[Table | Genomics | Image | Volume | Bag, Field(discriminator="kind")]
Unknown = Literal["error", "drop"]
"""What to do with patients of a modality that the patient table does not have."""


@dataclass(frozen=True, eq=False)
class Modality:
    """One modality of an ordered set of patients: patient p has the items ``rows[start[p]:start[p + 1]]`` of `data`.

    `data` is shared by all subsets of a cohort.
    """

    spec: Table | Genomics | Image | Volume | Bag
    data: TableData | ImageData | BagData
    rows: Ints
    start: Ints
    time: Floats | None = None
    """When each row of `data` was observed; None where that is not told. A patient's items are in that order."""
    unreadable: Ints | None = None
    """Files of each patient that could not be used and count as missing; None where such files are errors."""

    @property
    def counts(self) -> Ints:
        """Items per patient."""
        return np.diff(self.start)

    @property
    def present(self) -> npt.NDArray[np.bool_]:
        """Which patients have at least one item."""
        return self.counts > 0

    @property
    def lost(self) -> int:
        """Files of these patients that could not be used and count as missing."""
        return 0 if self.unreadable is None else int(self.unreadable.sum())

    def locate(self, patients: Ints) -> tuple[Ints, Ints]:
        """The items of `patients`, given by position, in any order: each item's place in `patients`, ascending, and
        its row in `data`."""
        asked = np.asarray(patients, dtype=np.int64)
        counts = self.counts[asked]
        place = np.repeat(np.arange(len(asked)), counts)
        nth = np.arange(len(place)) - np.repeat(np.cumsum(counts) - counts, counts)
        return place, self.rows[self.start[asked][place] + nth]

    def take(self, patients: Ints) -> Modality:
        """The same for some patients, by position."""
        place, rows = self.locate(patients)
        lost = None if self.unreadable is None else self.unreadable[np.asarray(patients, dtype=np.int64)]
        return replace(self, rows=rows, start=starts(place, len(patients)), unreadable=lost)

    def keep(self, patients: npt.NDArray[np.bool_]) -> Modality:
        """The same with the modality taken away from every other patient."""
        place, rows = self.locate(np.arange(len(self.counts)))
        kept = patients[place]
        return replace(self, rows=rows[kept], start=starts(place[kept], len(self.counts)))

    def later(self, limit: float) -> npt.NDArray[np.bool_]:
        """Which patients have an item observed later than `limit`."""
        if self.time is None:
            return np.zeros(len(self.counts), dtype=bool)
        place, rows = self.locate(np.arange(len(self.counts)))
        return np.bincount(place, self.time[rows] > limit, minlength=len(self.counts)) > 0

    def until(self, limit: float) -> Modality:
        """The same without what was observed later than `limit`."""
        if self.time is None:
            return self
        place, rows = self.locate(np.arange(len(self.counts)))
        kept = self.time[rows] <= limit
        return replace(self, rows=rows[kept], start=starts(place[kept], len(self.counts)))

    def digest(self) -> str:
        """SHA-256 of what the patients have, in their order; where files lie does not count."""
        sha = hashlib.sha256(f"{self.spec.kind} {self.counts.tolist()}".encode())
        if self.time is not None:
            sha.update(self.time[self.locate(np.arange(len(self.counts)))[1]].astype("<f8").tobytes())
        if isinstance(self.data, TableData):
            sha.update(self.data.digest(self.rows).encode())
        else:
            for p in range(len(self.start) - 1):
                mine = self.rows[self.start[p] : self.start[p + 1]]
                sha.update("".join(sorted(self.data.content(int(row)) for row in mine)).encode())
        return sha.hexdigest()


def starts(place: Ints, patients: int) -> Ints:
    """Where each patient's items begin, for items sorted by patient; one longer than there are patients."""
    return np.concatenate([[0], np.cumsum(np.bincount(place, minlength=patients))]).astype(np.int64)


def read_modality(
    name: str,
    spec: Table | Genomics | Image | Volume | Bag,
    patients: Source,
    ids: Array,
    id: str,
    folder: Path,
    unknown: Unknown = "error",
) -> Modality:
    """Read one modality and join it to the patients `ids` by id.

    Raises `DataError` for anything in its file that cannot be used.
    """
    source = FileSource.open(folder, spec.file) if spec.file else patients
    key = spec.id or id
    data: TableData | ImageData | BagData
    lost = None
    if isinstance(spec, Table | Genomics):
        owners, data = spec.read(source, key)
        rows = np.flatnonzero(data.filled)
    else:
        owners, data = read_images(spec, source, key, folder)
        rows = np.arange(len(data))
    place = pd.Index(ids).get_indexer(pd.Index(owners))
    if unknown == "error":
        _refuse_strangers(owners[place < 0], ids, name, source.name)
    time = times(spec, source, key)
    if not isinstance(data, TableData) and not isinstance(spec, Table | Genomics) and spec.on_unreadable == "missing":
        data, refused = sift(data)
        lost = _lost(name, refused, place, len(ids))
        kept = np.isin(rows, list(refused), invert=True)
        owners, place, time, rows = (
            owners[kept],
            place[kept],
            None if time is None else time[kept],
            np.arange(len(data)),
        )
    rows = rows[place[rows] >= 0]
    if time is not None:
        refuse_untimed(spec, source.name, owners[rows], time[rows])
    # lexsort is stable: items of one time stay in the order of the file
    rows = rows[np.lexsort((np.zeros(len(rows)) if time is None else time[rows], place[rows]))]
    return Modality(spec, data, rows.astype(np.int64), starts(place[rows], len(ids)), time, lost)


def _lost(name: str, refused: Refused, place: Ints, patients: int) -> Ints:
    """How many files of each patient count as missing; says so once."""
    mine = {row: refusal for row, refusal in refused.items() if place[row] >= 0}
    if mine:
        named = listed(f"{path} ({reason})" for path, reason in mine.values())
        warnings.warn(
            f"{name}: {counted(len(mine), 'file')} of {len(place)} cannot be used and count as missing: {named}.",
            FusionDxWarning,
            stacklevel=5,
        )
    return np.bincount(place[list(mine)].astype(np.int64), minlength=patients)


def times(spec: Table | Genomics | Image | Volume | Bag, source: Source, id: str) -> Floats | None:
    """When each table row, or each image that there is, was observed; None where no column says so."""
    column = None if isinstance(spec, Genomics | Bag) else spec.time
    if column is None or isinstance(spec, Genomics | Bag):
        return None
    need_columns(source, [column])
    time = number(source.frame([column])[column])
    return time if isinstance(spec, Table) else time[~gaps(text(source.frame([spec.path])[spec.path]))]


def refuse_untimed(spec: Table | Genomics | Image | Volume | Bag, name: str, ids: Array, time: Floats) -> None:
    """Raise `DataError` where an item has no time, or where a table has two rows of one patient at one time."""
    untimed = sorted(set(ids[~(np.abs(time) <= LARGEST)]))  # beyond, their spread is infinite
    if untimed:
        raise DataError(
            f"{name}: {counted(len(untimed), 'patient')} with something else than a finite number as time: "
            f"{listed(untimed)}. Write when each was observed, counted from baseline, or remove the row."
        )
    pairs = pd.MultiIndex.from_arrays([ids, time])
    twice = sorted(set(ids[pairs.duplicated()])) if isinstance(spec, Table) else []
    if twice:
        raise DataError(
            f"{name}: {counted(len(twice), 'patient')} with more than one row at the same time: {listed(twice)}. "
            "Keep one row per patient and time."
        )


def _refuse_strangers(ids: Array, known: Array, name: str, file: str) -> None:
    strangers = list(dict.fromkeys(ids))
    if not strangers:
        return
    if zeros_apart(strangers, known).all():
        what = "The ids differ by zeros in front, which spreadsheets drop: write them alike in both tables."
    else:
        what = "Remove them, or leave them out: `unknown: drop` under patients in the YAML, unknown='drop' in Python."
    raise DataError(
        f"{counted(len(strangers), 'patient')} in '{name}' ({file}) not in the patient table: {listed(strangers)}. "
        + what
    )


def read_images(spec: Image | Volume | Bag, source: Source, id: str, folder: Path) -> tuple[Array, ImageData | BagData]:
    """The patient of each image or bag, and these. A blank path is none."""
    columns = [spec.path, *([spec.mask] if spec.mask else [])]
    need_columns(source, columns)
    ids, frame = read_ids(source, id), source.frame(columns)
    written = text(frame[spec.path])
    has = ~gaps(written)

    def found(column: str) -> list[Path | None]:
        where = f"{source.name}, column '{column}'"
        return resolved(text(frame[column])[has], ids[has], folder, where, spec)

    paths = [path for path in found(spec.path) if path]
    if isinstance(spec, Bag):
        return ids[has], BagData(spec, paths)
    regions = placed_regions(spec.region, source, ids, has) if isinstance(spec, Image) and spec.region else None
    return ids[has], ImageData(spec, paths, found(spec.mask) if spec.mask else None, regions=regions)


def placed_regions(region: Region, source: Source, ids: Array, has: Array) -> list[Region]:
    """The region of each row that has an image, its columns read. Raises `DataError` for what is no whole number."""
    need_columns(source, region.columns)
    frame = source.frame(region.columns)
    read = {column: number(frame[column])[has] for column in region.columns}
    for column, values in read.items():
        least = 1 if column in (region.width, region.height) else 0
        bad = sorted(set(ids[has][~(np.isfinite(values) & (values >= least) & (values == np.rint(values)))]))
        if bad:
            raise DataError(
                f"{source.name}, column '{column}': {counted(len(bad), 'patient')} ({listed(bad)}) without a whole "
                f"number of at least {least}. Give every image its region in pixels."
            )
    names = {name: getattr(region, name) for name in ("x", "y", "width", "height")}
    asked = {name: read[column] for name, column in names.items() if isinstance(column, str)}
    return [region.replace(**{n: int(values[row]) for n, values in asked.items()}) for row in range(int(has.sum()))]


def resolved(written: Array, ids: Array, folder: Path, where: str, spec: Image | Volume | Bag) -> list[Path | None]:
    """Each path inside `folder`, None for a blank.

    Raises `DataError` for one that leaves the folder, is neither a file nor, for volumes, a folder, or is absent,
    unless what is absent counts as missing.
    """
    root = folder.resolve()
    # no file system takes a NUL: such a path is sent outside, and so refused
    whole = [".." if "\0" in path else path for path in written]
    paths = [None if gap else (root / path).resolve() for path, gap in zip(whole, gaps(written), strict=True)]
    outside = [id for id, path in zip(ids, paths, strict=True) if path and not path.is_relative_to(root)]
    if outside:
        raise DataError(f"{where}: {_files(outside)} outside the data folder. Give paths inside it, relative to it.")
    absent = np.array([path is not None and not _admitted(path, spec) for path in paths], dtype=bool)
    there = absent & np.array([path is not None and path.exists() for path in paths], dtype=bool)
    if there.any():
        wanted = "a file, or of a folder with one series" if isinstance(spec, Volume) else "a file"
        raise DataError(
            f"{where}: {_files(list(ids[there]))} that cannot be opened, being folders or devices: "
            f"{listed(written[there], 3)}. Give the path of {wanted}."
        )
    if absent.any():
        mend = "Write / for \\ in them" if any("\\" in path for path in written) else "Correct the paths"
        raise DataError(
            f"{where}: {_files(list(ids[absent]))} that do not exist in the data folder: {listed(written[absent], 3)}. "
            f"{mend}, blank their cells, or set `on_unreadable: missing` to take them for missing."
        )
    return paths


def _admitted(path: Path, spec: Image | Volume | Bag) -> bool:
    """Whether there is something that may be opened: pipes and devices may not."""
    if path.is_file() or (path.is_dir() and isinstance(spec, Volume)):
        return True
    return spec.on_unreadable == "missing" and not path.exists()


def _files(ids: list[str]) -> str:
    patients = list(dict.fromkeys(ids))
    return f"{counted(len(patients), 'patient')} ({listed(patients)}) with files"


def zeros_apart(strangers: Iterable[object], known: Array) -> npt.NDArray[np.bool_]:
    """Which of these ids would be known but for zeros in front, which spreadsheets drop."""
    bare = {str(id).lstrip("0") for id in known}
    return np.array([str(id).lstrip("0") in bare for id in strangers], dtype=bool)
