"""All families together: one image in, named numbers out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Literal, get_args

import numpy as np

from fusiondx.encoders.radiomics.colour import colour, correlations
from fusiondx.encoders.radiomics.contrast import contrast
from fusiondx.encoders.radiomics.cooccurrence import co_occurrence
from fusiondx.encoders.radiomics.edges import edges
from fusiondx.encoders.radiomics.firstorder import first_order
from fusiondx.encoders.radiomics.lesion import lesion
from fusiondx.encoders.radiomics.patterns import patterns
from fusiondx.encoders.radiomics.region import Bools, Floats, Region, region
from fusiondx.encoders.radiomics.shape import shape
from fusiondx.encoders.radiomics.symmetry import symmetry

Family = Literal["first_order", "shape", "texture", "patterns", "edges", "colour", "symmetry", "contrast", "lesion"]
FAMILIES: tuple[Family, ...] = get_args(Family)


def features(
    pixels: Floats,
    mask: Bools | None = None,
    families: tuple[Family, ...] = FAMILIES,
    bins: int = 32,
    limits: tuple[float, float] | None = None,
    distances: tuple[int, ...] = (1, 3),
    scales: tuple[float, ...] = (1.0, 2.0, 4.0),
    ring: float = 4.0,
) -> dict[str, float]:
    """Features of one image ``(channels, *size)`` inside `mask` ``(1, *size)``, or of the whole image without one.

    Grey levels for histogram and texture are `bins` of equal width between `limits`, or between the extremes of the
    region where None. `distances` and the width of the `ring` around a mask are in pixels, as are Gaussian `scales`.
    Which names there are depends on channels, dimensions, and whether there is a mask, never on values; a feature that
    an image does not define is NaN, so all of them are where the mask is empty.
    """
    settings = (families, bins, limits, distances, scales, ring)
    found = region(pixels, mask, bins, limits)
    if found is None:
        return dict.fromkeys(names(len(pixels), pixels.ndim - 1, mask is not None, *settings), np.nan)
    return {
        name: float(value)
        for part in measured(found, families, distances, scales, ring)
        for name, value in part.items()
    }


def measured(
    region: Region,
    families: tuple[Family, ...],
    distances: tuple[int, ...],
    scales: tuple[float, ...],
    ring: float,
) -> Iterator[Mapping[str, float]]:
    """Each family's features; those that a region cannot have, such as the outline of a whole image, are left out."""
    photograph = region.axes == 2 and not region.masked
    each = {
        "first_order": lambda: first_order(region),
        "shape": lambda: shape(region) if region.masked else {},
        "texture": lambda: co_occurrence(region, distances),
        "patterns": lambda: patterns(region, distances),
        "edges": lambda: edges(region, scales),
        "colour": lambda: correlations(region) | (colour(region) if region.channels == 3 else {}),
        "symmetry": lambda: symmetry(region),
        "contrast": lambda: contrast(region, ring),
        "lesion": lambda: lesion(region) if photograph else {},
    }
    return (each[family]() for family in families)


@lru_cache
def names(channels: int, axes: int, masked: bool, *settings: Any) -> tuple[str, ...]:
    """What `features` finds, learnt from a blank image."""
    blank = np.zeros((channels, *(4,) * axes), dtype=np.float32)
    return tuple(features(blank, np.ones_like(blank[:1], dtype=bool) if masked else None, *settings))
