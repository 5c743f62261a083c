"""Symmetry features: how far the region is from its mirror images."""

from __future__ import annotations

import numpy as np

from fusiondx.encoders.radiomics.region import Region, around


def symmetry(region: Region) -> dict[str, float]:
    """Mirrored along every axis of its bounding box: the least and largest difference, in standard deviations.

    `overlap`, for masks, is the share of the region that falls on its mirror image.
    """
    box = around(region.inside, margin=0)
    inside, pixels = region.inside[box], region.pixels[(slice(None), *box)].astype(np.float64)
    flips = [np.flip(inside, axis) & inside for axis in range(region.axes)]
    spread = region.values.std(axis=1)
    found = {}
    for channel in range(region.channels):
        here = pixels[channel]
        apart = [mean_apart(here, axis, both) for axis, both in enumerate(flips)]
        relative = np.array(apart) / spread[channel] if spread[channel] > 1e-6 else np.full(len(apart), np.nan)
        found[f"channel{channel}.asymmetry_least"] = float(relative.min())
        found[f"channel{channel}.asymmetry_most"] = float(relative.max())
    if region.masked:
        overlap = [both.sum() / inside.sum() for both in flips]
        found |= {"overlap_least": float(min(overlap)), "overlap_most": float(max(overlap))}
    return found


def mean_apart(pixels: np.ndarray, axis: int, both: np.ndarray) -> float:
    """Mean absolute difference between the pixels and their mirror image, where both lie inside."""
    return float(np.abs(pixels - np.flip(pixels, axis))[both].mean()) if both.any() else np.nan
