"""Features: what an extractor found in each image, kept on disk so that no image is looked at twice."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float

from fusiondx.core.components import Extractor
from fusiondx.data.cache import folder, unwritable
from fusiondx.data.images import ImageData
from fusiondx.errors import RunError

FILE = "features.sqlite"
TOGETHER = 32
"""Images after which what was found is written down: a killed run loses no more than these."""

Array = npt.NDArray[Any]


def features(data: ImageData, rows: Array, extractor: Extractor) -> Float[np.ndarray[Any, Any], "rows features"]:
    """The features of some images of `data`, from the cache as far as they are there.

    They are kept under the contents of image and mask, how these are read, and the extractor with its weights. Raises
    `DataError` for files that cannot be used and `RunError` where the cache cannot.
    """
    seen = data.at(extractor.images.size)
    identity = identify(extractor)
    keys = [hashlib.sha256(f"{identity} {content}".encode()).digest() for content in seen.contents(rows)]
    with store(folder(data.cache)) as kept:
        found = {key: value for key in set(keys) if (value := recall(kept, key, len(extractor.names))) is not None}
        lacking = {key: row for key, row in zip(keys, rows, strict=True) if key not in found}
        for key, value in look(seen, lacking, extractor, kept):
            found[key] = value
    return np.stack([found[key] for key in keys]) if keys else np.zeros((0, len(extractor.names)), np.float32)


def identify(extractor: Extractor) -> str:
    """The extractor and its weights in one hash."""
    sha = hashlib.sha256(f"{extractor.recipe} {extractor.images!r} {extractor.names!r}".encode())
    for name, weights in sorted(extractor.state_dict().items()):
        sha.update(name.encode() + weights.detach().cpu().contiguous().numpy().tobytes())
    return sha.hexdigest()


def look(
    data: ImageData, rows: dict[bytes, Any], extractor: Extractor, kept: sqlite3.Connection
) -> Iterator[tuple[bytes, Array]]:
    """Look at each image, one at a time: what is found must not depend, in its last digit, on what lies beside it."""
    found: list[tuple[bytes, bytes]] = []
    with torch.inference_mode():
        for key, (pixels, mask) in zip(rows, data.decoded(list(rows.values())), strict=True):
            inside = None if mask is None else torch.from_numpy(mask > 0)
            value = extractor.eval()(torch.from_numpy(pixels.astype(np.float32)), inside).numpy().astype("<f4")
            found.append((key, value.tobytes()))
            if len(found) == TOGETHER:
                write(kept, found)
                found.clear()
            yield key, value
        write(kept, found)


def write(kept: sqlite3.Connection, found: list[tuple[bytes, bytes]]) -> None:
    """Write down what was found, at once: while a transaction is open no other process can write."""
    kept.executemany("insert or replace into features values (?, ?)", found)
    kept.commit()


def recall(kept: sqlite3.Connection, key: bytes, width: int) -> Array | None:
    """What was found before, if it was."""
    row = kept.execute("select vector from features where image = ?", (key,)).fetchone()
    whole = row is not None and len(row[0]) == 4 * width
    return np.frombuffer(row[0], "<f4") if whole else None


@contextmanager
def store(where: Path) -> Iterator[sqlite3.Connection]:
    """The features kept in the folder `where`; raises `RunError` where they cannot be read or written."""
    try:
        where.mkdir(parents=True, exist_ok=True)
        kept = sqlite3.connect(where / FILE, timeout=120)  # another process may be writing
    except (OSError, sqlite3.Error) as error:
        raise refusal(where, error) from error
    try:
        kept.execute("create table if not exists features (image blob primary key, vector blob) without rowid")
        yield kept
        kept.commit()
    except sqlite3.Error as error:
        raise refusal(where, error) from error
    finally:
        kept.close()


def refusal(where: Path, error: OSError | sqlite3.Error) -> RunError:
    """Why the cache cannot be used, and what to do."""
    if isinstance(error, OSError):
        return unwritable(where, error, 0)
    if isinstance(error, sqlite3.OperationalError):
        return RunError(
            f"The feature cache {where / FILE} cannot be written: {error}. "
            "Set the environment variable FUSIONDX_CACHE to a folder that can be."
        )
    return RunError(f"The feature cache {where / FILE} is damaged. Delete it: what it held is computed again.")
