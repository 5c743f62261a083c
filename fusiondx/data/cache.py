"""The image cache: arrays decoded once, kept on disk under the hash of what they were made from."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import platformdirs
import torch
from jaxtyping import Float
from torch import Tensor

from fusiondx.errors import DataError, RunError

Array = npt.NDArray[Any]

VARIABLE = "FUSIONDX_CACHE"
FORMAT = 1
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
    """SHA-256 of a file's bytes; a file whose size and modification time are unchanged is not read again."""
    try:
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


def store(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any], arrays: Iterable[Array]) -> None:
    """Write `arrays`, which laid end to end make one of `shape`, to `path`: all or nothing.

    Each is written as it comes, so memory holds one. Plain writes and not a writable memory map, which would kill
    the process instead of raising on a full disk. Raises `RunError` where the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", suffix=".part", delete=False) as file:
            try:
                _write(file, shape, dtype, arrays)
                os.replace(file.name, path)
            except BaseException:
                os.unlink(file.name)
                raise
    except OSError as error:
        raise unwritable(path.parent, error, int(np.prod(shape)) * dtype.itemsize) from error


def _write(file: IO[bytes], shape: tuple[int, ...], dtype: np.dtype[Any], arrays: Iterable[Array]) -> None:
    head = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, head)
    for array in arrays:
        file.write(np.ascontiguousarray(array, dtype=dtype).data)
    file.flush()
    os.fsync(file.fileno())


def unwritable(where: Path, error: OSError, size: int) -> RunError:
    """The error for a cache folder that cannot take an array of `size` bytes."""
    remedy = f"Set the environment variable {VARIABLE} to a folder that can be written."
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return RunError(f"No space for {size / 1e6:,.0f} MB of decoded images in the cache {where}. {remedy}")
    return RunError(f"The image cache {where} cannot be written: {why(error)}. {remedy}")


def gather(pixels: Array, rows: npt.NDArray[np.integer[Any]]) -> Float[Tensor, "rows channels *size"]:
    """Some rows of a cached array as a float tensor, values unchanged."""
    return torch.from_numpy(pixels[rows]).float()
