"""NIfTI files as volumes. Knows nibabel."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fusiondx.data.cache import UnreadableFileError, why
from fusiondx.data.grid import Grid, whole_range
from fusiondx.data.raster import refuse_unaffordable

Array = npt.NDArray[Any]
SUFFIXES = (".nii", ".nii.gz")


def grid(path: Path) -> Grid:
    """The volume at `path`, its header known to be sane. Raises `UnreadableFileError`."""
    import nibabel

    try:
        image = nibabel.load(path)
    except Exception as error:  # nibabel raises many kinds for damaged headers
        raise UnreadableFileError(path, _reason(error)) from error
    if not isinstance(image, nibabel.Nifti1Image):
        raise UnreadableFileError(path, "not a NIfTI file (.nii, .nii.gz)")
    _refuse(path, image)
    slope, intercept = float(image.dataobj.slope), float(image.dataobj.inter)  # nibabel blanks those of the header
    ends = whole_range(image.get_data_dtype(), slope, intercept)
    return Grid(image.shape[:3], np.asarray(image.affine, float), ends, lambda: _values(path, image))


def _refuse(path: Path, image: Any) -> None:
    shape, dtype = image.shape, image.get_data_dtype()
    if not (len(shape) == 3 or (len(shape) == 4 and shape[3] == 1)):
        reason = f"has shape {'x'.join(map(str, shape))}, not that of one volume. Save each as its own file"
        raise UnreadableFileError(path, reason)
    if dtype.kind not in "iuf":
        raise UnreadableFileError(path, f"holds {dtype}, not one number per voxel")
    refuse_unaffordable(path, shape, max(4, dtype.itemsize), "voxels")
    if not np.isfinite(image.affine).all() or abs(np.linalg.det(image.affine[:3, :3])) < 1e-12:
        raise UnreadableFileError(path, "does not say where its voxels lie (its affine is singular). Mend the header")


def _values(path: Path, image: Any) -> Array:
    try:
        _verify(path, image)
        return np.asarray(image.dataobj, dtype=np.float32).reshape(image.shape[:3])
    except UnreadableFileError:
        raise
    except Exception as error:  # nibabel and zlib raise many kinds for damaged files
        raise UnreadableFileError(path, _reason(error)) from error


def _verify(path: Path, image: Any) -> None:
    """Read a compressed file to its checksum, which loading stops short of; no further than the header allows."""
    if path.suffix != ".gz":
        return
    left = int(np.prod(image.shape)) * image.get_data_dtype().itemsize + 2**20 + int(image.header["vox_offset"])
    with gzip.open(path) as file:
        while block := file.read(2**20):
            left -= len(block)
            if left < 0:
                raise UnreadableFileError(path, "unpacks to more than its header says")


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and (error.errno or isinstance(error, FileNotFoundError)):
        return why(error)
    return "damaged or truncated"
