"""Arrays in .npy and .npz files as images and volumes. Nothing is ever unpickled."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from fusiondx.data.cache import UnreadableFileError, why
from fusiondx.data.grid import Grid, whole_range
from fusiondx.data.raster import CHANNELS, Bands, Part, Raster, bands_of, kept_as, refuse_unaffordable

Array = npt.NDArray[Any]
SUFFIXES = (".npy", ".npz")


def raster(path: Path, part: Part) -> Raster:
    """The array at `path` as one picture: height x width, or height x width x channels.

    Raises `UnreadableFileError` for arrays of other shapes, and for anything that is no array of numbers.
    """
    shape, dtype = header(path, part.key)
    flat = len(shape) == 2
    if not flat and (len(shape) != 3 or shape[2] > min(CHANNELS, *shape[:2])):
        named = "x".join(map(str, shape)) or "a single number"
        raise UnreadableFileError(
            path, f"holds {named}, not height x width or height x width x channels (channels last, at most {CHANNELS})"
        )
    kept = kept_as(np.dtype(np.uint8) if dtype.kind == "b" else dtype)
    refuse_unaffordable(path, shape, max(kept.itemsize, dtype.itemsize))

    def bands() -> Bands:
        values = read(path, part.key)
        return bands_of(path, values * np.uint8(255) if dtype.kind == "b" else values)

    return Raster(1 if flat else shape[2], kept, lambda: (shape[1], shape[0]), bands)


def grid(path: Path, key: str | None) -> Grid:
    """The array at `path` as a volume: depth x height x width. It does not say where it lies."""
    shape, dtype = header(path, key)
    if len(shape) != 3:
        named = "x".join(map(str, shape)) or "a single number"
        raise UnreadableFileError(path, f"holds {named}, not depth x height x width")
    refuse_unaffordable(path, shape, max(4, dtype.itemsize), "voxels")
    return Grid((shape[0], shape[1], shape[2]), None, whole_range(dtype), lambda: read(path, key))


def header(path: Path, key: str | None) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and number type, without the numbers."""
    with opened(path, key) as (file, size):
        shape, dtype = _header(file)
        if dtype.kind not in "biuf":
            raise UnreadableFileError(path, "does not hold numbers")
        if int(np.prod(shape, dtype=object)) * dtype.itemsize + file.tell() != size:
            raise UnreadableFileError(path, "is truncated, or longer than its header says")
    return shape, dtype


def read(path: Path, key: str | None) -> Array:
    """All numbers; a .npy file is mapped to memory. `header` must have found them affordable."""
    if path.suffix.lower() == ".npy":
        return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    with opened(path, key) as (file, _):
        return np.asarray(np.lib.format.read_array(file, allow_pickle=False))


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = np.lib.format.read_magic(file)
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
    shape, _, dtype = read(file)
    if min(shape, default=1) < 0:
        raise ValueError("negative shape")
    return tuple(shape), dtype


@contextmanager
def opened(path: Path, key: str | None) -> Iterator[tuple[IO[bytes], int]]:
    """The bytes of one .npy file, perhaps within a .npz, and how many there are."""
    try:
        if path.suffix.lower() == ".npy":
            with path.open("rb") as file:
                yield file, path.stat().st_size
            return
        with zipfile.ZipFile(path) as archive:
            member = _member(path, archive, key)
            with archive.open(member) as packed:
                yield packed, member.file_size
    except UnreadableFileError:
        raise
    except OSError as error:
        raise UnreadableFileError(path, why(error)) from error
    except Exception as error:  # zipfile, zlib and NumPy raise many kinds for damaged files
        raise UnreadableFileError(path, "damaged, or not an array of numbers") from error


def _member(path: Path, archive: zipfile.ZipFile, key: str | None) -> zipfile.ZipInfo:
    members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
    if key is None and len(members) == 1:
        return next(iter(members.values()))
    if key not in members:
        raise UnreadableFileError(path, f"holds {len(members)} arrays. Say which with `key`")
    return members[key]
