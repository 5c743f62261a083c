"""Cropping: the part of an image or a volume that is looked at."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels."""


def central(size: tuple[int, int], fraction: float) -> Box:
    width, height = size
    across, down = max(1, round(width * fraction)), max(1, round(height * fraction))
    left, top = (width - across) // 2, (height - down) // 2
    return left, top, left + across, top + down


def around(inside: npt.NDArray[np.bool_], box: Box, margin: float) -> Box:
    """The part of `box` that holds what is inside it, with a margin; all of `box` where nothing is."""
    left, top, right, bottom = box
    seen = inside[top:bottom, left:right]
    if not seen.any():
        return box
    (first_x, last_x), (first_y, last_y) = (np.flatnonzero(seen.any(axis=axis))[[0, -1]] for axis in (0, 1))
    wide, high = margin * (last_x + 1 - first_x), margin * (last_y + 1 - first_y)
    return (
        max(left, int(np.floor(left + first_x - wide))),
        max(top, int(np.floor(top + first_y - high))),
        min(right, int(np.ceil(left + last_x + 1 + wide))),
        min(bottom, int(np.ceil(top + last_y + 1 + high))),
    )


def cut(values: Array, inside: npt.NDArray[np.bool_], margin: float) -> Array:
    """The part that holds what is inside, with a margin; all where nothing is."""
    if not inside.any():
        return values
    parts = [slice(None)]
    for axis in (1, 2, 3):
        first, last = np.flatnonzero(inside.any(axis=tuple({0, 1, 2, 3} - {axis})))[[0, -1]]
        extra = margin * (last + 1 - first)
        parts.append(slice(max(0, int(np.floor(first - extra))), int(np.ceil(last + 1 + extra))))
    return values[tuple(parts)]
