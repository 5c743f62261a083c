"""Pages of a TIFF, counted along the chain that links them: Pillow stops without a word where a file is cut short."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

from fusiondx.data.cache import UnreadableFileError

CLASSIC, BIG = ("H", "I", 12), ("Q", "Q", 20)
"""Number types of a page's entry count and of offsets, and bytes per entry (TIFF 6.0; BigTIFF)."""
MOST = 100_000


def count(path: Path) -> int:
    """How many pages there are. Raises `UnreadableFileError` where the chain leads out of the file or in a circle."""
    with path.open("rb") as file:
        order = {b"II": "<", b"MM": ">"}[file.read(2)]
        (version,) = _numbers(file, order + "H")
        counts, offsets, size = BIG if version == 43 else CLASSIC
        if version == 43:
            file.seek(8)
        (offset,) = _numbers(file, order + offsets)
        seen: set[int] = set()
        while offset:
            if offset in seen or len(seen) == MOST:
                raise UnreadableFileError(path, "damaged: its pages follow each other in a circle")
            seen.add(offset)
            file.seek(offset)
            (entries,) = _numbers(file, order + counts)
            file.seek(entries * size, 1)
            (offset,) = _numbers(file, order + offsets)
    return len(seen)


def _numbers(file: BinaryIO, form: str) -> tuple[int, ...]:
    return struct.unpack(form, file.read(struct.calcsize(form)))
