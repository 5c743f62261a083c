"""First-order features: how the values inside are distributed, wherever they lie (Zwanenburg et al. 2020)."""

from __future__ import annotations

import numpy as np

from fusiondx.encoders.radiomics.region import Floats, Region

PERCENTILES = (5, 25, 50, 75, 95)


def first_order(region: Region) -> dict[str, float]:
    """Per channel: moments, percentiles, robust range, energy per pixel, histogram entropy and uniformity."""
    found = {}
    for channel, values in enumerate(region.values):
        share = np.bincount(region.within(region.levels[channel]), minlength=region.bins) / values.size
        measured = {**moments(values), **spread(values), **histogram(share)}
        found.update({f"channel{channel}.{name}": value for name, value in measured.items()})
    return found


def moments(values: Floats) -> dict[str, float]:
    """Mean, standard deviation, skewness, excess kurtosis, and energy: the mean square."""
    mean = values.mean()
    away = values - mean
    squares = away * away
    variance = squares.mean()
    # Rounding leaves a constant channel a variance that is not quite zero
    varies = variance > (1e-6 * max(1.0, abs(mean))) ** 2
    return {
        "mean": mean,
        "sd": np.sqrt(variance) if varies else 0.0,
        "skewness": (squares @ away) / values.size / variance**1.5 if varies else np.nan,
        "kurtosis": (squares @ squares) / values.size / variance**2 - 3 if varies else np.nan,
        "energy": variance + mean * mean,
    }


def spread(values: Floats) -> dict[str, float]:
    """Percentiles, the interquartile range, and the mean absolute deviation within the 10th to 90th percentile."""
    *marks, low, high = np.percentile(values, (*PERCENTILES, 10, 90))
    robust = values[(values >= low) & (values <= high)]
    return {
        **{f"p{percent}": mark for percent, mark in zip(PERCENTILES, marks, strict=True)},
        "iqr": marks[3] - marks[1],
        "robust_range": marks[4] - marks[0],
        "robust_deviation": np.abs(robust - robust.mean()).mean() if robust.size else np.nan,
    }


def histogram(share: Floats) -> dict[str, float]:
    """Entropy in bits and uniformity of shares that sum to one."""
    return {"entropy": entropy(share), "uniformity": float(np.sum(share**2))}


def entropy(share: Floats) -> float:
    """Shannon entropy in bits; empty cells count nothing."""
    some = share[share > 0]
    return float(-np.sum(some * np.log2(some)))
