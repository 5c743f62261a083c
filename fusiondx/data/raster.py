"""Raster: one picture of a file, of which only the header has been read; and which picture of a file is meant."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import PIL.Image
from pydantic import Field, model_validator

from fusiondx.core.spec import Spec, spec
from fusiondx.data.cache import UnreadableFileError

Array = npt.NDArray[Any]
Bands = list[PIL.Image.Image]
"""One image in mode L or RGB, or one in mode L or F per channel."""

BUDGET = 512 * 2**20
"""Bytes one decoded file may take, judged by its header."""
CHANNELS = 64

Pixels = Annotated[int, Field(ge=0)]
Extent = Annotated[int, Field(ge=1, le=100_000)]
Column = Annotated[str, Field(min_length=1)]


@spec
class Region(Spec):
    """A part of a whole-slide image, as OpenSlide means it.

    The left upper corner `x`, `y` is in pixels of the finest level, `width` and `height` are in pixels of what is read:
    pyramid level `level` (0 is the finest) or, resampled, `mpp` micrometres per pixel. Each of the four is a number, or
    the name of the column that holds it. Without them the whole slide is read, from the coarsest level that suffices.

    >>> corner = fdx.Region(x=0, y=0, width=512, height=512, mpp=0.5)
    >>> fdx.Image("slide", region=corner).region.mpp
    0.5
    """

    x: Pixels | Column | None = None
    y: Pixels | Column | None = None
    width: Extent | Column | None = None
    height: Extent | Column | None = None
    level: int | None = Field(default=None, ge=0)
    mpp: float | None = Field(default=None, gt=0, le=1000)

    @model_validator(mode="after")
    def _is_one_region(self) -> Region:
        if len({value is None for value in self.box}) > 1:
            raise ValueError("a region needs x, y, width and height, or none of them for the whole slide")
        if self.level is not None and self.mpp is not None:
            raise ValueError("give level or mpp, not both")
        return self

    @property
    def box(self) -> tuple[int | str | None, ...]:
        return self.x, self.y, self.width, self.height

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that say where each region lies."""
        return tuple(value for value in self.box if isinstance(value, str))


@dataclass(frozen=True)
class Part:
    """Which of the pictures in a file is meant."""

    page: int | None = None
    """Page of a TIFF, frame of a DICOM file, from 0."""
    key: str | None = None
    """Name of an array."""
    region: Region | None = None
    least: tuple[int, int] = (1, 1)
    """(width, height) that a whole slide is read at least in."""


WHOLE = Part()


@dataclass(frozen=True)
class Raster:
    """One picture. `bands` decodes it, upright; `size` is (width, height) of that, decoded only where it must be."""

    channels: int
    dtype: np.dtype[Any]
    size: Callable[[], tuple[int, int]]
    bands: Callable[[], Bands]
    window: tuple[float, float] | None = None
    """The window that the file itself asks for."""


def refuse_unaffordable(path: Path, shape: tuple[int, ...], itemsize: int, what: str = "pixels") -> None:
    """Raise `UnreadableFileError` where decoding would take more than the budget, or nothing is there to decode."""
    size = math.prod(shape) * itemsize
    if 0 < size <= BUDGET and min(shape) > 0:
        return
    named = " x ".join(map(str, shape))
    if min(shape) < 1:
        raise UnreadableFileError(path, f"claims {named} {what}, which is nothing")
    if size > BUDGET:
        raise UnreadableFileError(path, f"{named} {what} take {size >> 20} MB, more than {BUDGET >> 20} MB")


def kept_as(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The number type an array's pixels are kept in: 8 and 16 bit unsigned as they are, all else as float32."""
    return np.dtype(dtype.newbyteorder("=")) if dtype.kind == "u" and dtype.itemsize <= 2 else np.dtype(np.float32)


def bands_of(path: Path, values: Array) -> Bands:
    """Pixels of shape ``(height, width)`` or ``(height, width, channels)`` as Pillow resamples them.

    Raises `UnreadableFileError` where they are not finite.
    """
    if values.dtype == np.uint8 and (values.ndim == 2 or values.shape[2] == 3):
        return [PIL.Image.fromarray(np.ascontiguousarray(values))]
    if values.dtype != np.uint8:
        values = finite(path, values, "pixels")
    channels = values[..., None] if values.ndim == 2 else values
    return [PIL.Image.fromarray(np.ascontiguousarray(channels[..., n])) for n in range(channels.shape[2])]


def finite(path: Path, values: Array, what: str) -> npt.NDArray[np.float32]:
    """A copy as float32, for torch warns of files mapped to memory.

    Raises `UnreadableFileError` where some are not finite, or too large to be kept.
    """
    with np.errstate(over="ignore"):
        kept = np.array(values, dtype=np.float32)
    if values.dtype.kind not in "iub" and not np.isfinite(kept).all():
        raise UnreadableFileError(path, f"holds {what} that are not finite numbers")
    return kept
