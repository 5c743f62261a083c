"""Local binary patterns: which of its neighbours outshine a pixel (Ojala, Pietikäinen and Mäenpää 2002)."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from fusiondx.encoders.radiomics.region import Array, Region

CIRCLE = ((-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1))
"""The eight neighbours in order around a pixel."""
PATTERNS = (*(f"bright{count}" for count in range(9)), "irregular")
CHANGES = np.array([bin(code ^ ((code >> 1) | ((code & 1) << 7))).count("1") for code in range(256)])
BRIGHT = np.array([code.bit_count() for code in range(256)])
PATTERN = np.where(CHANGES <= 2, BRIGHT, 9)
"""Rotation-invariant uniform pattern of each code: how many neighbours are brighter if in one arc, otherwise 9."""


def patterns(region: Region, radii: tuple[int, ...]) -> dict[str, float]:
    """Per channel and radius, the share of pixels with each rotation-invariant uniform pattern.

    Neighbours lie on a square of that radius, so that turns by 90 degrees are exact; in a volume, patterns are those
    of its three planes together (Zhao and Pietikäinen 2007). A neighbour counts as brighter if its grey level is at
    least that of the pixel; at the border, the image continues with its last row.
    """
    found = {}
    for channel, levels in enumerate(region.levels):
        for radius in radii:
            padded = np.pad(levels, radius, mode="edge")
            seen = [
                PATTERN[region.within(codes(padded, levels, plane, radius))]
                for plane in combinations(range(region.axes), 2)
            ]
            share = np.bincount(np.concatenate(seen), minlength=len(PATTERNS)) / sum(map(len, seen))
            found.update({f"channel{channel}.{name}.r{radius}": s for name, s in zip(PATTERNS, share, strict=True)})
    return found


def codes(padded: Array, levels: Array, plane: tuple[int, int], radius: int) -> Array:
    """One bit per neighbour within `plane`, for every pixel."""
    code = np.zeros(levels.shape, dtype=np.uint8)
    for bit, steps in enumerate(CIRCLE):
        start = [radius] * levels.ndim
        for axis, step in zip(plane, steps, strict=True):
            start[axis] += step * radius
        window = tuple(slice(first, first + length) for first, length in zip(start, levels.shape, strict=True))
        code |= (padded[window] >= levels).astype(np.uint8) << np.uint8(bit)
    return code
