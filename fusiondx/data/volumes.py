"""Three-dimensional images: NIfTI files, read and resampled with MONAI."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from fusiondx.core.spec import Spec, spec
from fusiondx.data.cache import Layout, UnreadableFileError, why

Array = npt.NDArray[Any]
Side = Annotated[int, Field(ge=1, le=1024)]
Millimetres = Annotated[float, Field(gt=0, le=1000)]

BUDGET = 512 * 2**20
"""Bytes one volume may take as float32, judged by its header, before and after resampling."""
AXES = "SAR"
"""Depth runs to superior, height to anterior, width to right: the directions of RAS, slices first."""


@spec
class Volume(Spec):
    """Volumes whose paths (.nii, .nii.gz) stand in column `path` of table `file` (the patient table where left out).

    `size` is (depth, height, width), or one number for all three; depth runs from inferior to superior, height from
    posterior to anterior, width from left to right. `spacing` in mm, same order, is resampled to first. `window` clips
    intensities, for example Hounsfield units to (-1000, 400). Values keep their units: kept as int16 where the files
    hold integers and the window (or, without one, the files' number type) fits, as float32 otherwise.

    `mask` is the column with mask paths: there, whatever is above 0 is tumour. `mask_use` "channel" gives the encoder
    the mask, "crop" cuts the volume to the mask's bounding box plus `margin` (a fraction of the box) on every side,
    "segment" lets an encoder that can learn to draw it (new patients need none), "ignore" leaves it unread. A volume
    whose mask is empty or absent is kept whole.

    `time` is the column that says when each was taken, as in `Table`.
    """

    path: str
    file: str | None = None
    id: str | None = None
    time: str | None = None
    mask: str | None = None
    size: Side | tuple[Side, Side, Side] = 32
    spacing: Millimetres | tuple[Millimetres, Millimetres, Millimetres] | None = None
    window: tuple[float, float] | None = None
    mask_use: Literal["channel", "crop", "segment", "ignore"] = "channel"
    margin: float = Field(default=0.1, ge=0, le=10)
    kind: Literal["volume"] = "volume"

    @model_validator(mode="after")
    def _window_ascends(self) -> Volume:
        if self.window is not None and not (np.isfinite(self.window).all() and np.diff(self.window) > 0):
            raise ValueError("window is (low, high) with low < high, both finite")
        return self

    @property
    def shape(self) -> tuple[int, int, int]:
        """(depth, height, width) after decoding."""
        return (self.size, self.size, self.size) if isinstance(self.size, int) else self.size

    def recipe(self) -> dict[str, object]:
        """The settings that decide what comes out of a file."""
        cut = {"margin": self.margin} if self.mask_use == "crop" else {}
        return {name: getattr(self, name) for name in ("kind", "shape", "spacing", "window")} | cut

    def layout(self, path: Path) -> Layout:
        """What `path` will decode to, from its header alone. Raises `UnreadableFileError`."""
        return Layout(1, np.dtype(np.int16 if _whole(_opened(path), self.window) else np.float32))

    def decode(self, path: Path, mask: Path | None) -> Array:
        """Values of shape ``(1, depth, height, width)``, float32. Raises `UnreadableFileError`."""
        values = self._read(path, "bilinear")
        if self.window is not None:
            values = values.clip(*self.window)
        if mask is not None and self.mask_use == "crop":
            _refuse_elsewhere(mask, path)
            values = _cropped(values, self._read(mask, "nearest") > 0, self.margin)
        return self._resized(values)

    def decode_mask(self, mask: Path | None, path: Path) -> Array:
        """The mask of the volume at `path`, shape ``(1, depth, height, width)``, 255 in the tumour, else 0."""
        from monai.transforms import Resize

        if mask is None:
            return np.zeros((1, *self.shape), np.uint8)
        _refuse_elsewhere(mask, path)
        inside = (self._read(mask, "nearest") > 0).astype(np.float32)
        # plain "nearest" samples the corner of each cell, half a voxel away from where trilinear does
        return np.asarray(Resize(self.shape, mode="nearest-exact")(inside)).astype(np.uint8) * 255

    def _read(self, path: Path, mode: Literal["bilinear", "nearest"]) -> Array:
        """All voxels, oriented and at the wanted spacing; float32 of shape ``(1, depth, height, width)``."""
        image = _opened(path)
        spacing = (self.spacing,) * 3 if isinstance(self.spacing, float) else self.spacing
        if spacing is not None:
            _refuse_resampled(path, image, spacing)
        try:
            _verify(path, image)
            values = _loaded(path, spacing, mode)
        except UnreadableFileError:
            raise
        except Exception as error:  # MONAI and nibabel raise many kinds for damaged files
            raise UnreadableFileError(path, _reason(error)) from error
        if not np.isfinite(values).all():
            raise UnreadableFileError(path, "holds voxels that are not finite numbers")
        return values

    def _resized(self, values: Array) -> Array:
        """Trilinear, after averaging whole cells along axes that shrink to half or less, lest fine detail alias."""
        from monai.transforms import Resize

        coarse = tuple(to if have >= 2 * to else have for have, to in zip(values.shape[1:], self.shape, strict=True))
        return np.asarray(Resize(self.shape, mode="trilinear")(Resize(coarse, mode="area")(values)))


def _loaded(path: Path, spacing: tuple[float, float, float] | None, mode: str) -> Array:
    from monai import transforms  # here, because it takes seconds to import

    image = transforms.LoadImage(reader="NibabelReader", image_only=True, ensure_channel_first=True)(path)
    image = transforms.Orientation(axcodes=AXES, labels=(("L", "R"), ("P", "A"), ("I", "S")))(image)
    if spacing is not None:
        image = transforms.Spacing(pixdim=spacing, mode=mode, padding_mode="border")(image)
    return np.asarray(image, dtype=np.float32)


def _opened(path: Path) -> Any:
    """A NIfTI image of which only the header has been read, known to be sane and of affordable size."""
    import nibabel

    try:
        image = nibabel.load(path)
    except Exception as error:  # nibabel raises many kinds for damaged headers
        raise UnreadableFileError(path, _reason(error)) from error
    if not isinstance(image, nibabel.Nifti1Image):
        raise UnreadableFileError(path, "not a NIfTI file (.nii, .nii.gz)")
    refusal = _refusal(image)
    if refusal:
        raise UnreadableFileError(path, refusal)
    return image


def _refusal(image: Any) -> str | None:
    """Why this header cannot be trusted, if so."""
    shape, dtype = image.shape, image.get_data_dtype()
    if not (len(shape) == 3 or (len(shape) == 4 and shape[3] == 1)):
        return f"has shape {'x'.join(map(str, shape))}, not that of one volume. Save each as its own file"
    if dtype.kind not in "iuf":
        return f"holds {dtype}, not one number per voxel"
    if min(shape) < 1 or int(np.prod(shape, dtype=object)) * 4 > BUDGET:
        return f"claims {'x'.join(map(str, shape))} voxels, more than {BUDGET >> 20} MB or none at all"
    if not np.isfinite(image.affine).all() or abs(np.linalg.det(image.affine[:3, :3])) < 1e-12:
        return "does not say where its voxels lie (its affine is singular). Mend the header"
    return None


def _refuse_resampled(path: Path, image: Any, spacing: tuple[float, float, float]) -> None:
    """Refuse a volume that would outgrow the budget at `spacing`."""
    voxels = np.prod(image.shape) * abs(np.linalg.det(image.affine[:3, :3])) / np.prod(spacing)
    if voxels * 4 > BUDGET:
        raise UnreadableFileError(
            path, f"would take {voxels * 4 / 2**20:,.0f} MB at this spacing. Choose a coarser one"
        )


def _refuse_elsewhere(mask: Path, path: Path) -> None:
    """Refuse a mask that does not lie voxel on voxel over its volume."""
    over, under = _opened(mask), _opened(path)
    if over.shape != under.shape:
        here, there = ("x".join(map(str, image.shape)) for image in (over, under))
        raise UnreadableFileError(mask, f"the mask has {here} voxels, its volume {there}. Give both the same grid")
    if not np.allclose(over.affine, under.affine, rtol=0, atol=0.01):
        raise UnreadableFileError(
            mask, "the mask lies elsewhere in space than its volume. Resample it to the same grid"
        )


def _whole(image: Any, window: tuple[float, float] | None) -> bool:
    """Whether int16 holds every value: the file has integers, and the window or their type's range fits."""
    slope, intercept = image.dataobj.slope, image.dataobj.inter  # nibabel blanks those of the header
    dtype = image.get_data_dtype()
    if dtype.kind == "f" or not float(slope).is_integer() or not float(intercept).is_integer():
        return False
    ends = window or [slope * end + intercept for end in (np.iinfo(dtype).min, np.iinfo(dtype).max)]
    limits = np.iinfo(np.int16)
    return bool(limits.min <= min(ends) and max(ends) <= limits.max)


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


def _cropped(values: Array, inside: npt.NDArray[np.bool_], margin: float) -> Array:
    """The part that holds what is inside, with a margin; all where nothing is."""
    if not inside.any():
        return values
    parts = [slice(None)]
    for axis in (1, 2, 3):
        first, last = np.flatnonzero(inside.any(axis=tuple({0, 1, 2, 3} - {axis})))[[0, -1]]
        extra = margin * (last + 1 - first)
        parts.append(slice(max(0, int(np.floor(first - extra))), int(np.ceil(last + 1 + extra))))
    return values[tuple(parts)]
