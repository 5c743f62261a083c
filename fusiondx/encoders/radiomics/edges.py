"""Edge features: how steep and how curved the image is at several scales."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from fusiondx.encoders.radiomics.region import Floats, Region


def edges(region: Region, scales: tuple[float, ...]) -> dict[str, float]:
    """Per channel and Gaussian scale in pixels: how the gradient's length and the Laplacian are distributed."""
    found = {}
    for channel, pixels in enumerate(region.pixels):
        for scale in scales:
            smooth = ndimage.gaussian_filter(pixels, scale, mode="nearest", truncate=3.0)
            slope = region.within(steepness(smooth)).astype(np.float64)
            bend = region.within(ndimage.laplace(smooth, mode="nearest")).astype(np.float64)
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
    """Length of the gradient by central differences, with the last row continued beyond the border."""
    squares = np.zeros_like(pixels)
    for axis in range(pixels.ndim):
        squares += ndimage.correlate1d(pixels, (-0.5, 0.0, 0.5), axis=axis, mode="nearest") ** 2
    return np.sqrt(squares)
