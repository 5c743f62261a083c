"""Edge features: how steep and how curved the image is at several scales."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from fusiondx.encoders.radiomics.region import Floats, Region


def edges(region: Region, scales: tuple[float, ...]) -> dict[str, float]:
    """Per channel and Gaussian scale in pixels: the gradient's and the Laplacian's distribution, in values per pixel."""
    found = {}
    for channel, pixels in enumerate(region.pixels):
        for scale in scales:
            smooth = ndimage.gaussian_filter(pixels, scale, mode="nearest", truncate=3.0)
            slope = steepness(smooth)[region.inside].astype(np.float64)
            bend = ndimage.laplace(smooth, mode="nearest")[region.inside].astype(np.float64)
            measured = {
                "gradient_mean": slope.mean(),
                "gradient_sd": slope.std(),
                "gradient_p95": np.percentile(slope, 95),
                "laplacian_mean": bend.mean(),
                "laplacian_sd": bend.std(),
            }
            found.update({f"channel{channel}.{name}.s{scale:g}": value for name, value in measured.items()})
    return found


def steepness(pixels: Floats) -> Floats:
    """Length of the gradient by central differences; zero along an axis of one pixel."""
    squares = [np.gradient(pixels, axis=axis) ** 2 for axis in range(pixels.ndim) if pixels.shape[axis] > 1]
    return np.sqrt(np.sum(squares, axis=0)) if squares else np.zeros_like(pixels)
