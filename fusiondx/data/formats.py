"""Formats: which reader reads which file."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fusiondx.data import arrays, decoding, dicom, nifti, series, slides
from fusiondx.data.cache import UnreadableFileError, why
from fusiondx.data.grid import Grid
from fusiondx.data.raster import WHOLE, Part, Raster

VOLUMES = "NIfTI, DICOM (a file or a folder), TIFF, NPY and NPZ"


def raster(path: Path, part: Part = WHOLE) -> AbstractContextManager[Raster]:
    """One picture of a file, whose header has been read. Raises `UnreadableFileError`, here or on entering it."""
    suffix = path.suffix.lower()
    if part.region is not None:
        return slides.raster(path, part)
    if suffix in decoding.SUFFIXES:
        return decoding.raster(path, part)
    if suffix in arrays.SUFFIXES:
        return nullcontext(arrays.raster(path, part))
    if _is_dicom(path):
        return nullcontext(dicom.raster(path, part))
    return decoding.raster(path, part)


def grid(path: Path, key: str | None = None) -> Grid:
    """The volume in a file or, for DICOM, a folder, of which the header has been read. Raises `UnreadableFileError`."""
    if path.name.lower().endswith(nifti.SUFFIXES):
        return nifti.grid(path)
    if path.suffix.lower() in arrays.SUFFIXES:
        return arrays.grid(path, key)
    if path.suffix.lower() in decoding.SUFFIXES:
        return decoding.grid(path)
    if path.is_dir() or _is_dicom(path):
        return series.grid(path)
    raise UnreadableFileError(path, f"not a volume that can be read: {VOLUMES} are")


def _is_dicom(path: Path) -> bool:
    try:
        return dicom.is_dicom(path)
    except OSError as error:
        raise UnreadableFileError(path, why(error)) from error


def inside_mask(mask: Path, size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Where the mask says tumour, shape ``(height, width)``."""
    with raster(mask) as picture:
        bands = picture.bands()
    if bands[0].size != size:
        here, there = (f"{width} x {height}" for width, height in (bands[0].size, size))
        raise UnreadableFileError(mask, f"the mask has {here} pixels, its image {there}. Give both the same size")
    values = np.max([_brightest(np.asarray(band)) for band in bands], axis=0)
    if mask.suffix.lower() not in (".jpg", ".jpeg"):
        return np.asarray(values > 0)
    if 0 < values.max() <= 127:
        raise UnreadableFileError(
            mask, f"is a JPEG with values from 0 to {values.max()}, not black and white. Save it as PNG"
        )
    # JPEG rings around edges, so that black is not quite 0 there
    return np.asarray(values > 127)


def _brightest(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return values if values.ndim == 2 else values.max(axis=-1)
