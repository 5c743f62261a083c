"""Shape features: what the outline of a tumour is like, wherever and however bright it is (Zwanenburg et al. 2020)."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.spatial import ConvexHull

from fusiondx.encoders.radiomics.region import Bools, Floats, Region


def shape(region: Region) -> dict[str, float]:
    """Of a mask. In an image `size` is the area and `surface` the perimeter; in a volume, volume and surface area.

    In pixels or voxels, so that images must share one scale to be compared. `sphericity` is 1 for a disc or a ball
    and falls as the outline grows; axis lengths are those of the ellipse or ellipsoid with the same second moments.
    """
    inside = np.pad(region.inside, 1)
    points = np.argwhere(inside).astype(np.float64)
    size, surface = float(len(points)), outline(inside)
    return {
        "size": size,
        "surface": surface,
        "surface_to_size": surface / size,
        "sphericity": roundness(size, surface, region.axes),
        "extent": size / float(np.prod(np.ptp(points, axis=0) + 1)),
        "solidity": size / hull(inside),
        "depth": float(ndimage.distance_transform_edt(inside).max()),
        **axes(points),
    }


def outline(inside: Bools) -> float:
    """Perimeter by Crofton's formula, or the area of the mesh that marching cubes lay around a volume."""
    # Imported late: only masks need it
    from skimage import measure

    if inside.ndim == 2:
        return float(measure.perimeter_crofton(inside, directions=4))
    corners, faces, *_ = measure.marching_cubes(inside.astype(np.float32), level=0.5)
    return float(measure.mesh_surface_area(corners, faces))


def roundness(size: float, surface: float, axes: int) -> float:
    """The outline of a disc or ball of the same size over the outline there is."""
    ideal = 2 * np.sqrt(np.pi * size) if axes == 2 else (36 * np.pi * size**2) ** (1 / 3)
    return float(ideal / surface) if surface > 0 else np.nan


def hull(inside: Bools) -> float:
    """Area or volume of the convex hull of pixels, corners included."""
    # Corners of the hull belong to pixels that lie at an end along some axis: a small share of a volume
    ends = np.argwhere(inside & ~ndimage.binary_erosion(inside))
    corners = np.concatenate([ends + step for step in np.ndindex(*(2,) * inside.ndim)])
    return float(ConvexHull(corners).volume)


def axes(points: Floats) -> dict[str, float]:
    """Axis lengths, elongation (second over first) and flatness (third over first): 1 is round, 0 is a line."""
    centred = points - points.mean(axis=0)
    # A pixel is a square, not a point: it adds a twelfth to the variance along each axis
    spread = np.linalg.eigvalsh(centred.T @ centred / len(points) + np.eye(points.shape[1]) / 12)[::-1]
    factor = 4.0 if len(spread) == 2 else 2 * np.sqrt(5)
    lengths = factor * np.sqrt(spread)
    names = ("major", "minor") if len(lengths) == 2 else ("major", "minor", "least")
    found = {f"axis_{name}": float(length) for name, length in zip(names, lengths, strict=True)}
    found["elongation"] = float(lengths[1] / lengths[0])
    return found if len(lengths) == 2 else {**found, "flatness": float(lengths[2] / lengths[0])}
