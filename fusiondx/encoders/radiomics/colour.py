"""Colour features: how three or more channels go together."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from fusiondx.encoders.radiomics.firstorder import entropy
from fusiondx.encoders.radiomics.region import Floats, Region

SECTORS = 8
"""Equal parts of the circle of hues."""


def correlations(region: Region) -> dict[str, float]:
    """Pearson's correlation between every two channels; NaN where one is constant."""
    away = region.values - region.values.mean(axis=1, keepdims=True)
    spread = np.sqrt(np.mean(away**2, axis=1))
    found = {}
    for one, other in combinations(range(region.channels), 2):
        varies = min(spread[one], spread[other]) > 1e-6
        shared = np.mean(away[one] * away[other])
        found[f"channel{one}.channel{other}.correlation"] = (
            float(shared / (spread[one] * spread[other])) if varies else np.nan
        )
    return found


def colour(region: Region) -> dict[str, float]:
    """Of three channels read as red, green and blue: opponent colours, saturation, hues, and how many colours.

    Red-green is red - green, yellow-blue (red + green) / 2 - blue; saturation is that of hue-saturation-value; a
    pixel counts for its hue as much as it is coloured (largest less smallest channel).
    """
    red, green, blue = region.values
    high, low = region.values.max(axis=0), region.values.min(axis=0)
    chroma = high - low
    saturation = np.divide(chroma, high, out=np.zeros_like(high), where=high > 0)
    axes = {"red_green": red - green, "yellow_blue": (red + green) / 2 - blue, "saturation": saturation}
    found = {f"{name}_{m}": value for name, values in axes.items() for m, value in distribution(values).items()}
    return {**found, **hues(red, green, blue, chroma), **palette(region)}


def distribution(values: Floats) -> dict[str, float]:
    low, high = np.percentile(values, (5, 95))
    return {"mean": float(values.mean()), "sd": float(values.std()), "p5": float(low), "p95": float(high)}


def hues(red: Floats, green: Floats, blue: Floats, chroma: Floats) -> dict[str, float]:
    """Share of colour in each sector of the circle (red is in the middle of the first), and how it concentrates."""
    across, along = np.sqrt(3) * (green - blue), 2 * red - green - blue
    angle = np.arctan2(across, along)
    sector = np.round(angle / (2 * np.pi) * SECTORS).astype(np.int64) % SECTORS
    weight = np.bincount(sector, weights=chroma, minlength=SECTORS)
    total = weight.sum()
    share = weight / total if total > 0 else np.full(SECTORS, np.nan)
    reach = chroma / np.maximum(np.hypot(across, along), 1e-12)
    pull = np.hypot(reach @ across, reach @ along)
    concentration = pull / total if total > 0 else np.nan
    return {**{f"hue{i}": float(s) for i, s in enumerate(share)}, "hue_concentration": float(concentration)}


def palette(region: Region) -> dict[str, float]:
    """Entropy in bits of the joint histogram with four levels per channel, and the number of colours above 1 %."""
    red, green, blue = region.within(region.levels) * 4 // region.bins
    share = np.bincount(red * 16 + green * 4 + blue, minlength=64) / red.size
    return {"palette_entropy": entropy(share), "palette_colours": float(np.sum(share > 0.01))}
