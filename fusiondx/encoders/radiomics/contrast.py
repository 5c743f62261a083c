"""Contrast features: how a tumour differs from what surrounds it, and an image's middle from its border."""

from __future__ import annotations

import numpy as np

from fusiondx.encoders.radiomics.region import Bools, Floats, Region


def contrast(region: Region, ring: float) -> dict[str, float]:
    """With a mask: inside against the ring of `ring` pixels around it, and core against rim. Without: the image's
    middle against its border."""
    if not region.masked:
        radius = eccentricity(region.inside.shape)
        return between("middle_border", region, region.inside & (radius < 0.5), region.inside & (radius >= 0.9))
    beyond = (region.height > 0) & (region.height <= ring)
    core = region.depth > region.depth.max() / 2
    return {
        **between("inside_ring", region, region.inside, beyond),
        **between("core_rim", region, core, region.inside & ~core),
    }


def between(name: str, region: Region, one: Bools, other: Bools) -> dict[str, float]:
    """Per channel: difference of means, the same in standard deviations, log ratio of standard deviations."""
    found = {}
    for channel, pixels in enumerate(region.pixels):
        for measure, value in difference(pixels[one].astype(np.float64), pixels[other].astype(np.float64)).items():
            found[f"channel{channel}.{name}_{measure}"] = value
    return found


def difference(one: Floats, other: Floats) -> dict[str, float]:
    """NaN where either side has no pixel, or no spread to compare with."""
    if not one.size or not other.size:
        return dict.fromkeys(("mean", "effect", "sd_ratio"), np.nan)
    apart, spread = one.mean() - other.mean(), np.sqrt((one.var() + other.var()) / 2)
    both = min(one.std(), other.std()) > 1e-6
    return {
        "mean": float(apart),
        "effect": float(apart / spread) if spread > 1e-6 else np.nan,
        "sd_ratio": float(np.log(one.std() / other.std())) if both else np.nan,
    }


def eccentricity(size: tuple[int, ...]) -> Floats:
    """Distance from the middle, where 1 is the middle of every side; corners lie beyond."""
    grids = np.meshgrid(*(np.abs(np.arange(n) - (n - 1) / 2) / (n / 2) for n in size), indexing="ij", sparse=True)
    return np.asarray(np.sqrt(sum(grid**2 for grid in grids)))
