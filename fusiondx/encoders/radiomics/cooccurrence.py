"""Co-occurrence features: which grey levels lie beside each other (Haralick, Shanmugam and Dinstein 1973)."""

from __future__ import annotations

from itertools import product

import numpy as np
import numpy.typing as npt

from fusiondx.encoders.radiomics.region import Array, Bools, Floats, Region


def co_occurrence(region: Region, distances: tuple[int, ...]) -> dict[str, float]:
    """Per channel and distance, the mean over directions; per channel, the range over directions at the nearest.

    4 directions in an image, 13 in a volume; pairs are counted both ways and only where both pixels lie inside.
    """
    found = {}
    for distance in distances:
        pairs = [neighbours(region.inside, step, distance) for step in directions(region.axes)]
        for channel, levels in enumerate(region.levels):
            shares = [matrix(levels, *pair, region.bins) for pair in pairs if pair[0].size] or [nothing(region.bins)]
            for name, values in measures(np.stack(shares)).items():
                found[f"channel{channel}.{name}.d{distance}"] = float(values.mean())
                if distance == distances[0]:
                    found[f"channel{channel}.{name}.range"] = float(np.ptp(values))
    return found


def nothing(bins: int) -> Floats:
    """The matrix of a region without any pair: every measure of it is undefined."""
    return np.full((bins, bins), np.nan)


def directions(axes: int) -> list[tuple[int, ...]]:
    """One of every two opposite steps to a neighbour."""
    return [step for step in product((-1, 0, 1), repeat=axes) if step > (0,) * axes]


def neighbours(inside: Bools, step: tuple[int, ...], distance: int) -> tuple[Array, Array]:
    """Flat indices of all pairs inside that lie `distance` steps apart."""
    sides = zip(step, inside.shape, strict=True)
    here = tuple(slice(max(0, -s * distance), max(0, min(n, n - s * distance))) for s, n in sides)
    sides = zip(step, inside.shape, strict=True)
    there = tuple(slice(max(0, s * distance), max(0, min(n, n + s * distance))) for s, n in sides)
    index = np.arange(inside.size).reshape(inside.shape)
    both = inside[here] & inside[there]
    return index[here][both], index[there][both]


def matrix(levels: npt.NDArray[np.int64], here: Array, there: Array, bins: int) -> Floats:
    """The symmetric matrix of pair shares, ``(bins, bins)``, summing to one."""
    flat = levels.ravel()
    counts = np.bincount(flat[here] * bins + flat[there], minlength=bins * bins).reshape(bins, bins)
    return (counts + counts.T) / (2 * here.size)


def measures(shares: Floats) -> dict[str, Floats]:
    """Haralick's measures of each matrix, ``(matrices, bins, bins)`` -> ``(matrices,)``. Levels count from zero."""
    level = np.arange(shares.shape[-1])
    apart, total = level[:, None] - level, level[:, None] + level
    margin = shares.sum(axis=2)
    mean = margin @ level
    variance = margin @ level**2 - mean**2
    varies = np.where(variance > 1e-9, variance, np.nan)

    def expected(weight: Array) -> Floats:
        return np.asarray(np.einsum("mij,ij->m", shares, weight))

    def moment(power: int) -> Floats:
        """Of the sum of both levels, about its mean, relative to the spread: free of the number of bins."""
        away = (total - 2 * mean[:, None, None]) ** power
        return np.asarray(np.einsum("mij,mij->m", shares, away) / varies ** (power / 2))

    return {
        "contrast": expected(apart**2),
        "dissimilarity": expected(np.abs(apart)),
        "homogeneity": expected(1 / (1 + apart**2)),
        "correlation": (expected(level[:, None] * level) - mean**2) / varies,
        "cluster_shade": moment(3),
        "cluster_prominence": moment(4),
        **information(shares, margin),
    }


def information(shares: Floats, margin: Floats) -> dict[str, Floats]:
    """Angular second moment, entropy in bits, and Haralick's two information measures of correlation."""
    joint, single = entropies(shares), entropies(margin)
    mutual = np.maximum(2 * single - joint, 0)
    return {
        "asm": np.sum(shares**2, axis=(1, 2)),
        "entropy": joint,
        "information1": -mutual / np.where(single > 1e-9, single, np.nan),
        "information2": np.sqrt(1 - np.exp2(-2 * mutual)),
    }


def entropies(shares: Floats) -> Floats:
    """Shannon entropy in bits of each matrix or vector."""
    logs = np.log2(np.where(shares > 0, shares, 1))
    bits: Floats = -(shares * logs).reshape(len(shares), -1).sum(axis=1)
    return bits
