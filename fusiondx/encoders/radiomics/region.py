"""The part of one image that features describe: its pixels, which of them belong, and what surrounds them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.floating[Any]]
Bools = npt.NDArray[np.bool_]

MARGIN = 16
"""Pixels kept around a mask: as far as the widest filter reaches."""


@dataclass(frozen=True)
class Region:
    """An image, cut to its mask and some margin.

    `pixels` float32 ``(channels, *size)``, finite; `inside` bool ``(*size)``, not empty; `masked` tells whether it is
    a tumour mask or the whole image; `levels` ``(channels, *size)`` counts from 0 to ``bins - 1``.
    """

    pixels: Floats
    inside: Bools
    masked: bool
    levels: npt.NDArray[np.int64]
    bins: int

    @property
    def channels(self) -> int:
        return len(self.pixels)

    @property
    def axes(self) -> int:
        """2 for an image, 3 for a volume."""
        return self.inside.ndim

    @cached_property
    def values(self) -> Floats:
        """What lies inside, ``(channels, pixels)``, in double precision."""
        return self.within(self.pixels).astype(np.float64)

    @cached_property
    def whole(self) -> bool:
        return bool(self.inside.all())

    def within(self, values: Array) -> Array:
        """Those of `values`, ``(..., *size)``, that lie inside: ``(..., pixels)``."""
        # Picking everything by a mask takes ten times as long as not picking
        kept = values.shape[: values.ndim - self.axes]
        return values.reshape(*kept, -1) if self.whole else values[..., self.inside]

    @cached_property
    def depth(self) -> Floats:
        """How far inside a pixel lies: distance to the nearest pixel outside, in pixels."""
        return np.asarray(ndimage.distance_transform_edt(self.inside))

    @cached_property
    def height(self) -> Floats:
        """How far outside a pixel lies: distance to the nearest pixel inside, in pixels."""
        return np.asarray(ndimage.distance_transform_edt(~self.inside))


def region(pixels: Floats, mask: Bools | None, bins: int, limits: tuple[float, float] | None) -> Region | None:
    """The region of one image ``(channels, *size)`` inside `mask` ``(1, *size)``; None where it is empty.

    Not-a-number and infinite pixels do not belong to it.
    """
    known = np.isfinite(pixels)
    inside: Bools = np.all(known, axis=0) & (mask[0] if mask is not None else True)
    if not inside.any():
        return None
    box = around(inside)
    inside, pixels = inside[box], np.where(known, pixels, np.float32(0))[(slice(None), *box)]
    levels = np.stack([quantised(channel, inside, bins, limits) for channel in pixels])
    return Region(pixels, inside, mask is not None, levels, bins)


def around(inside: Bools, margin: int = MARGIN) -> tuple[slice, ...]:
    """The bounding box and `margin` pixels on every side."""
    spans = [np.flatnonzero(inside.any(axis=tuple(set(range(inside.ndim)) - {axis}))) for axis in range(inside.ndim)]
    return tuple(slice(max(int(span[0]) - margin, 0), int(span[-1]) + margin + 1) for span in spans)


def quantised(channel: Floats, inside: Bools, bins: int, limits: tuple[float, float] | None) -> npt.NDArray[np.int64]:
    """Grey levels 0 to ``bins - 1`` of equal width between `limits`, or between the extremes inside where None."""
    values = channel[inside]
    low, high = limits if limits else (float(values.min()), float(values.max()))
    if not high > low:
        return np.zeros(channel.shape, dtype=np.int64)
    scaled = (channel.astype(np.float64) - low) * (bins / (high - low))
    return np.clip(scaled, 0, bins - 1).astype(np.int64)
