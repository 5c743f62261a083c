"""Grid: the voxels of one volume, of which only the header has been read, and where they lie."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

AXES = "SAR"
"""Depth runs to superior, height to anterior, width to right: the directions of RAS, slices first."""


@dataclass(frozen=True)
class Grid:
    """One volume. `values` decodes it: an array of numbers of shape `shape`."""

    shape: tuple[int, int, int]
    affine: npt.NDArray[np.float64] | None
    """From voxel indices to RAS, in mm, shape ``(4, 4)``; None where the file does not say: then the axes are depth,
    height and width as they come."""
    ends: tuple[float, float] | None
    """Between which the values lie, where all are whole numbers."""
    values: Callable[[], Array]
    window: tuple[float, float] | None = None
    """The window that the file itself asks for."""

    @property
    def oriented(self) -> tuple[tuple[int, ...], npt.NDArray[np.float64] | None]:
        """Shape and affine as they are once the axes run along `AXES`: the same for one grid however it is stored."""
        import nibabel.orientations as turning

        if self.affine is None:
            return self.shape, None
        labels = (("L", "R"), ("P", "A"), ("I", "S"))
        turn = turning.ornt_transform(turning.io_orientation(self.affine), turning.axcodes2ornt(AXES, labels))
        shape = tuple(int(self.shape[axis]) for axis in np.argsort(turn[:, 0]))
        return shape, np.asarray(self.affine @ turning.inv_ornt_aff(turn, self.shape))


def placed(spacing: tuple[float, ...]) -> npt.NDArray[np.float64]:
    """An affine for axes that already are depth, height and width, `spacing` mm apart."""
    affine = np.zeros((4, 4))
    affine[[2, 1, 0], [0, 1, 2]] = spacing
    affine[3, 3] = 1
    return affine


def whole_range(dtype: np.dtype[Any], slope: float = 1, intercept: float = 0) -> tuple[float, float] | None:
    """Between which ``slope * stored + intercept`` lies, where that is always a whole number."""
    if dtype.kind == "b":
        return 0.0, 1.0
    if dtype.kind not in "iu" or not float(slope).is_integer() or not float(intercept).is_integer():
        return None
    ends = sorted(slope * end + intercept for end in (np.iinfo(dtype).min, np.iinfo(dtype).max))
    return float(ends[0]), float(ends[1])
