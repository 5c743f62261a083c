"""Modalities: which kinds there are, and which patient has which items of one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from fusiondx.data.bags import Bag, BagData
from fusiondx.data.cache import content_hash
from fusiondx.data.genomics import Genomics
from fusiondx.data.images import Image, ImageData
from fusiondx.data.reading import FileSource, Source, gaps, need_columns, read_ids, text
from fusiondx.data.tables import Table, TableData
from fusiondx.data.volumes import Volume
from fusiondx.errors import DataError, counted, listed

Array = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]

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

    @property
    def counts(self) -> Ints:
        """Items per patient."""
        return np.diff(self.start)

    @property
    def present(self) -> npt.NDArray[np.bool_]:
        """Which patients have at least one item."""
        return self.counts > 0

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
        return Modality(self.spec, self.data, rows, starts(place, len(patients)))

    def digest(self) -> str:
        """SHA-256 of what the patients have, in their order; where files lie does not count."""
        sha = hashlib.sha256(f"{self.spec.kind} {self.counts.tolist()}".encode())
        if isinstance(self.data, TableData):
            sha.update(self.data.digest(self.rows).encode())
        else:
            for p in range(len(self.start) - 1):
                sha.update("".join(sorted(_contents(self.data, self.rows[self.start[p] : self.start[p + 1]]))).encode())
        return sha.hexdigest()


def starts(place: Ints, patients: int) -> Ints:
    """Where each patient's items begin, for items sorted by patient; one longer than there are patients."""
    return np.concatenate([[0], np.cumsum(np.bincount(place, minlength=patients))]).astype(np.int64)


def _contents(data: ImageData | BagData, rows: Ints) -> Iterator[str]:
    for row in rows:
        mask = data.masks[row] if data.masks else None
        yield content_hash(data.paths[row]) + (content_hash(mask) if mask else "")


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
    if isinstance(spec, Table | Genomics):
        owners, data = spec.read(source, key)
        rows = np.flatnonzero(data.filled)
    else:
        owners, data = read_images(spec, source, key, folder)
        rows = np.arange(len(data))
    place = pd.Index(ids).get_indexer(pd.Index(owners))
    if unknown == "error":
        _refuse_strangers(owners[place < 0], name, source.name)
    rows = rows[place[rows] >= 0]
    rows = rows[np.argsort(place[rows], kind="stable")]
    return Modality(spec, data, rows.astype(np.int64), starts(place[rows], len(ids)))


def _refuse_strangers(ids: Array, name: str, file: str) -> None:
    strangers = list(dict.fromkeys(ids))
    if strangers:
        raise DataError(
            f"{counted(len(strangers), 'patient')} in '{name}' ({file}) not in the patient table: {listed(strangers)}. "
            "Remove them, or read the cohort with unknown='drop'."
        )


def read_images(spec: Image | Volume | Bag, source: Source, id: str, folder: Path) -> tuple[Array, ImageData | BagData]:
    """The patient of each image or bag, and these. A blank path is none."""
    columns = [spec.path, *([spec.mask] if spec.mask else [])]
    need_columns(source, columns)
    ids, frame = read_ids(source, id), source.frame(columns)
    written = text(frame[spec.path])
    has = ~gaps(written)
    paths = resolved(written[has], ids[has], folder, f"{source.name}, column '{spec.path}'")
    if isinstance(spec, Bag):
        return ids[has], BagData(spec, [path for path in paths if path])
    masks = None
    if spec.mask:
        masks = resolved(text(frame[spec.mask])[has], ids[has], folder, f"{source.name}, column '{spec.mask}'")
    return ids[has], ImageData(spec, [path for path in paths if path], masks)


def resolved(written: Array, ids: Array, folder: Path, where: str) -> list[Path | None]:
    """Each path inside `folder`, None for a blank. Raises `DataError` for one that is absent or leaves the folder."""
    root = folder.resolve()
    paths = [None if gap else (root / path).resolve() for path, gap in zip(written, gaps(written), strict=True)]
    outside = [id for id, path in zip(ids, paths, strict=True) if path and not path.is_relative_to(root)]
    if outside:
        raise DataError(f"{where}: {_files(outside)} outside the data folder. Give paths inside it, relative to it.")
    absent = [id for id, path in zip(ids, paths, strict=True) if path and not path.is_file()]
    if absent:
        raise DataError(f"{where}: {_files(absent)} that do not exist. Correct the paths, or blank their cells.")
    return paths


def _files(ids: list[str]) -> str:
    patients = list(dict.fromkeys(ids))
    return f"{counted(len(patients), 'patient')} ({listed(patients)}) with files"
