"""Series: the slices of a DICOM folder, or the frames of a DICOM file, as one volume in the order of where they lie."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fusiondx.data import dicom
from fusiondx.data.cache import UnreadableFileError
from fusiondx.data.dicom import Header, Plane
from fusiondx.data.grid import Grid
from fusiondx.data.raster import refuse_unaffordable
from fusiondx.errors import counted

Array = npt.NDArray[Any]
Vector = npt.NDArray[np.float64]

IGNORED = frozenset({"DICOMDIR"})
APART = 0.01
"""Millimetres below which two slices lie at one place."""
UNEVEN = 0.05
"""Share of the spacing by which a slice may lie off its place."""
TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def files(folder: Path) -> list[Path]:
    """The DICOM files of a folder. Raises `UnreadableFileError` where there are none, or others beside them."""
    found = [path for path in sorted(folder.iterdir()) if path.name not in IGNORED and path.name[0] != "."]
    if not found:
        raise UnreadableFileError(folder, "the folder is empty")
    strangers = [path for path in found if not path.is_file() or not _inside(path, folder) or not dicom.is_dicom(path)]
    if strangers:
        raise UnreadableFileError(
            folder,
            f"holds {counted(len(strangers), 'entry', 'entries')} other than DICOM files. Give the series a folder",
        )
    return found


def _inside(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())


def grid(path: Path) -> Grid:
    """A folder's slices, or a file's frames, as a volume.

    Slices are ordered by ImagePositionPatient along their normal. Raises `UnreadableFileError` where they are of
    several series, differ in size or direction, lie at one place, leave gaps or are unevenly spaced.
    """
    paths = files(path) if path.is_dir() else [path]
    headers = [_grey(path, dicom.header(file)) for file in paths]
    _refuse_mixed(path, headers)
    planes = [plane for header in headers for plane in header.planes]
    shape = (len(planes), headers[0].rows, headers[0].columns)
    refuse_unaffordable(path, shape, 4, "voxels")
    order, affine = _arranged(path, planes)
    ends = [dicom.whole_range(header) for header in headers]
    whole = None if None in ends else (min(e[0] for e in ends if e), max(e[1] for e in ends if e))
    return Grid(shape, affine, whole, lambda: _values(path, paths, headers, order), _window(headers))


def _grey(path: Path, header: Header) -> Header:
    if header.colour:
        raise UnreadableFileError(path, "holds colour, not one number per voxel")
    return header


def _values(path: Path, paths: Sequence[Path], headers: Sequence[Header], order: Array) -> Array:
    decoded = [dicom.frames(file, header) for file, header in zip(paths, headers, strict=True)]
    slices = [slice for values in decoded for slice in values.reshape(-1, *values.shape[-2:])]
    return np.stack([slices[n] for n in order])


def _refuse_mixed(path: Path, headers: Sequence[Header]) -> None:
    series = {header.series for header in headers}
    if len(series) > 1:
        raise UnreadableFileError(path, f"holds {len(series)} series. Give each a folder of its own")
    if len({(header.rows, header.columns) for header in headers}) > 1:
        raise UnreadableFileError(path, "holds slices of different sizes. Take localisers out of it")


def _arranged(path: Path, planes: Sequence[Plane]) -> tuple[Array, npt.NDArray[np.float64] | None]:
    """The order of the slices, and where the volume lies; None where a single file does not say."""
    placed = [plane for plane in planes if plane.position and plane.orientation and plane.spacing]
    if len(placed) < len(planes):
        if placed or path.is_dir():
            raise UnreadableFileError(
                path, f"has {counted(len(planes) - len(placed), 'slice')} that do not say where they lie"
            )
        return np.arange(len(planes)), None
    along_row, down_column = _directions(path, placed)
    positions = np.array([plane.position for plane in placed])
    order, step = _steps(path, positions, np.cross(along_row, down_column), placed[0].thickness)
    between_rows, between_columns = placed[0].spacing or (1.0, 1.0)
    affine = np.eye(4)
    affine[:3] = np.stack([step, down_column * between_rows, along_row * between_columns, positions[order[0]]], axis=1)
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine)) < 1e-12:
        raise UnreadableFileError(path, "does not say where its voxels lie (a spacing or direction is 0)")
    return order, TO_RAS @ affine


def _directions(path: Path, planes: Sequence[Plane]) -> tuple[Vector, Vector]:
    """Unit vectors along a row and down a column, the same for all slices."""
    directions = np.array([plane.orientation for plane in planes])
    spacings = np.array([plane.spacing for plane in planes])
    if np.ptp(directions, axis=0).max() > 1e-3 or np.ptp(spacings, axis=0).max() > 1e-3 * spacings.max():
        raise UnreadableFileError(path, "holds slices of different directions or pixel spacings. Take localisers out")
    along_row, down_column = directions[0, :3], directions[0, 3:]
    lengths = np.linalg.norm(along_row), np.linalg.norm(down_column)
    if not np.allclose(lengths, 1, atol=0.01) or abs(along_row @ down_column) > 0.01:
        raise UnreadableFileError(path, "has rows and columns that are not at right angles")
    return along_row, down_column


def _steps(path: Path, positions: Vector, normal: Vector, thickness: float | None) -> tuple[Array, Vector]:
    """The order along the normal, and the vector from one slice to the next."""
    depth = positions @ normal
    order = np.argsort(depth, kind="stable")
    gaps = np.diff(depth[order])
    if not len(gaps):
        if thickness is None:
            raise UnreadableFileError(path, "is one slice that does not say how thick it is. Read it as an image")
        return order, normal * thickness
    _refuse_gaps(path, gaps)
    step = (positions[order[-1]] - positions[order[0]]) / len(gaps)
    if np.linalg.norm(step - (step @ normal) * normal) > UNEVEN * (step @ normal):
        raise UnreadableFileError(path, "has slices shifted against each other (a tilted gantry). Resample it first")
    return order, step


def _refuse_gaps(path: Path, gaps: Vector) -> None:
    together = int((gaps < APART).sum())
    if together:
        raise UnreadableFileError(
            path,
            f"has {counted(together, 'slice')} where another one lies: copies, time points or echoes. "
            "Keep one slice per place, and give each time point a folder of its own",
        )
    usual = float(np.median(gaps))
    missing = int((np.rint(gaps / usual) - 1).clip(0).sum())
    off = np.abs(gaps / usual - np.rint(gaps / usual).clip(1)).max()
    if off > UNEVEN:
        raise UnreadableFileError(path, "has slices that are not evenly spaced. Resample it to even spacing first")
    if missing:
        raise UnreadableFileError(path, f"lacks {counted(missing, 'slice')} between others. Complete the folder")


def _window(headers: Sequence[Header]) -> tuple[float, float] | None:
    """The widest of the windows that slices ask for."""
    windows = [dicom.window_of(header, plane) for header in headers for plane in header.planes]
    asked = [window for window in windows if window]
    return (min(low for low, _ in asked), max(high for _, high in asked)) if asked else None
