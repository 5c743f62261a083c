"""Lesion features: an image without a mask, parted by itself into a dark spot and what surrounds it (Otsu 1979)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage

from fusiondx.encoders.radiomics.contrast import between, eccentricity
from fusiondx.encoders.radiomics.edges import steepness
from fusiondx.encoders.radiomics.region import Bools, Floats, Region
from fusiondx.encoders.radiomics.shape import shape

SMOOTHING = 1 / 64
"""Gaussian scale before parting, as a share of the shorter side: hairs and pores are no lesions."""
OUTLINES = ("sphericity", "extent", "solidity", "elongation")


def lesion(region: Region) -> dict[str, float]:
    """The largest dark spot in the ellipse that the image frames: its share of it, outline, and contrast per channel.

    Dark is judged on the mean of all channels. Everything is NaN for a constant image.
    """
    grey = region.pixels.mean(axis=0, dtype=np.float64)
    smooth = ndimage.gaussian_filter(grey, min(grey.shape) * SMOOTHING, mode="nearest")
    framed = region.inside & (eccentricity(grey.shape) <= 1)
    dark = spot(smooth, framed) if framed.any() else np.zeros_like(framed)
    if not dark.any():
        dark = framed = region.inside  # a constant image: the names, without values
        return dict.fromkeys(described(region, dark, framed, smooth), np.nan)
    return described(region, dark, framed, smooth)


def described(region: Region, dark: Bools, framed: Bools, smooth: Floats) -> dict[str, float]:
    outlines = shape(replace(region, inside=dark, masked=True))
    middle = eccentricity(dark.shape)[dark].mean()
    edge = dark & ~ndimage.binary_erosion(dark)
    spread = smooth[framed].std()
    return {
        "lesion.share": float(dark.sum() / framed.sum()),
        "lesion.off_centre": float(middle),
        "lesion.edge": float(steepness(smooth)[edge].mean() / spread) if spread > 0 else np.nan,
        **{f"lesion.{name}": outlines[name] for name in OUTLINES},
        **between("lesion_skin", region, dark, framed & ~dark),
    }


def spot(grey: Floats, framed: Bools) -> Bools:
    """The largest connected dark part, holes filled; empty where there is no contrast."""
    values = grey[framed]
    if np.ptp(values) <= 1e-6 * max(1.0, float(np.abs(values).max())):
        return np.zeros_like(framed)
    labels, _ = ndimage.label(framed & (grey <= threshold(values)))
    largest = np.argmax(np.bincount(labels.ravel())[1:]) + 1
    return np.asarray(ndimage.binary_fill_holes(labels == largest))


def threshold(values: Floats) -> float:
    """The value that parts a histogram of 256 bins with the greatest variance between both parts."""
    counts, edges = np.histogram(values, bins=256)
    centres = (edges[1:] + edges[:-1]) / 2
    weight, total = np.cumsum(counts)[:-1], np.cumsum(counts * centres)[:-1]
    rest = counts.sum() - weight
    low, high = total / weight, ((counts * centres).sum() - total) / np.maximum(rest, 1)
    return float(edges[np.argmax(weight * rest * (low - high) ** 2) + 1])
