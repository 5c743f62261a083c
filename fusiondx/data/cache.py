"""The image cache: arrays decoded once, kept on disk under the hash of what they were made from."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import numpy.typing as npt
import platformdirs
import torch
from jaxtyping import Float
from torch import Tensor

from fusiondx.errors import DataError, RunError

Array = npt.NDArray[Any]
Unreadable = Literal["error", "missing"]
"""What becomes of a file that cannot be used."""

VARIABLE = "FUSIONDX_CACHE"
FORMAT = 2
"""Raised whenever decoding changes, so that arrays made by an older release are not found."""

_hashes: dict[tuple[str, int, int], str] = {}


class UnreadableFileError(DataError):
    """One image file cannot be used; `reason` says why, without repeating the path."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


@dataclass(frozen=True)
class Layout:
    """What the header of one file promises: channels, and the number type its pixels are kept in."""

    channels: int
    dtype: np.dtype[Any]


def content_hash(path: Path) -> str:
    """SHA-256 of a file's bytes, or of those of all files in a folder, whatever their names.

    A file whose size and modification time are unchanged is not read again. Raises `UnreadableFileError`.
    """
    try:
        if path.is_dir():
            inside = sorted(content_hash(file) for file in path.iterdir() if file.is_file())
            return hashlib.sha256(" ".join(inside).encode()).hexdigest()
        state = path.stat()
        known = (str(path), state.st_size, state.st_mtime_ns)
        if known not in _hashes:
            with path.open("rb") as file:
                _hashes[known] = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UnreadableFileError(path, why(error)) from error
    return _hashes[known]


def why(error: OSError) -> str:
    """The system's reason for refusing a file, without the path."""
    return "there is no such file" if isinstance(error, FileNotFoundError) else (error.strerror or str(error))


def key(recipe: Mapping[str, object], hashes: Sequence[str]) -> str:
    """Name of the array that decoding files with these contents by `recipe` gives."""
    made_from = {"format": FORMAT, "recipe": recipe, "contents": list(hashes)}
    return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()


def folder(chosen: Path | None = None) -> Path:
    """`chosen`, else the folder named by FUSIONDX_CACHE, else the user's cache folder."""
    return Path(chosen or os.environ.get(VARIABLE) or platformdirs.user_cache_dir("fusiondx"))


def load(path: Path) -> Array | None:
    """The array at `path`, memory-mapped and read-only; None where there is none or it is damaged."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        whole = array.offset + array.nbytes == path.stat().st_size
    except (OSError, ValueError, EOFError, AttributeError):
        return None
    return array if whole else None


class Draft:
    """An array being written row by row, to be named at the end."""

    HEAD = 128
    """Bytes kept free for what a .npy file begins with."""

    def __init__(self, file: IO[bytes], row: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.file, self.row, self.dtype, self.rows = file, row, dtype, 0
        file.write(bytes(self.HEAD))

    def add(self, array: Array) -> None:
        """The next row."""
        self.file.write(np.ascontiguousarray(array, dtype=self.dtype).data)
        self.rows += 1

    def keep(self, path: Path) -> None:
        """Name what was written so far, in one step."""
        shape = (self.rows, *self.row)
        text = f"{{'descr': {np.lib.format.dtype_to_descr(self.dtype)!r}, 'fortran_order': False, 'shape': {shape}, }}"
        self.file.seek(0)
        # the .npy format, version 1.0, padded with spaces as it allows
        self.file.write(b"\x93NUMPY\x01\x00" + (self.HEAD - 10).to_bytes(2, "little"))
        self.file.write(text.encode("ascii").ljust(self.HEAD - 11) + b"\n")
        self.file.flush()
        os.fsync(self.file.fileno())
        os.replace(self.file.name, path)


@contextmanager
def drafting(where: Path, row: tuple[int, ...], dtype: np.dtype[Any], rows: int) -> Iterator[Draft]:
    """A file in the folder `where` for about `rows` rows; gone afterwards unless it was kept.

    Plain writes and not a writable memory map, which would kill the process instead of raising on a full disk. Raises
    `RunError` where the folder cannot be written.
    """
    try:
        where.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=where, prefix=".", suffix=".part", delete=False) as file:
            try:
                yield Draft(file, row, dtype)
            finally:
                Path(file.name).unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(where, error, rows * int(np.prod(row)) * dtype.itemsize) from error


def unwritable(where: Path, error: OSError, size: int) -> RunError:
    """The error for a cache folder that cannot take an array of `size` bytes."""
    remedy = f"Set the environment variable {VARIABLE} to a folder that can be written."
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return RunError(f"No space for {size / 1e6:,.0f} MB of decoded images in the cache {where}. {remedy}")
    return RunError(f"The image cache {where} cannot be written: {why(error)}. {remedy}")


def remembered(path: Path) -> Any:
    """What `remember` wrote to `path`; None where that is nothing, or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def remember(path: Path, found: object) -> None:
    """Write something small beside the arrays: all or nothing. Raises `RunError` where that cannot be."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".", suffix=".part", delete=False) as file:
            file.write(json.dumps(found))
        os.replace(file.name, path)
    except OSError as error:
        raise unwritable(path.parent, error, 0) from error


def gather(pixels: Array, rows: npt.NDArray[np.integer[Any]]) -> Float[Tensor, "rows channels *size"]:
    """Some rows of a cached array as a float tensor, values unchanged."""
    return torch.from_numpy(pixels[rows]).float()
