"""Volume: how three-dimensional images are read, and resampled with MONAI."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from fusiondx.core.spec import Spec, spec
from fusiondx.data.cache import Layout, Unreadable, UnreadableFileError
from fusiondx.data.cropping import cut
from fusiondx.data.formats import grid
from fusiondx.data.grid import AXES, Grid, placed
from fusiondx.data.picture import Window, between, fitted
from fusiondx.data.raster import BUDGET, finite

Array = npt.NDArray[Any]
Side = Annotated[int, Field(ge=1, le=1024)]
Millimetres = Annotated[float, Field(gt=0, le=1000)]

Spacing = tuple[float, float, float]


@spec
class Volume(Spec):
    """Volumes whose paths stand in column `path` of table `file` (the patient table where left out).

    NIfTI (.nii, .nii.gz), DICOM (a folder with the slices of one series, or a file of many frames), arrays (.npy, .npz)
    of depth x height x width, or TIFFs with a slice per page.

    `size` is (depth, height, width), or one number for all three; depth runs from inferior to superior, height from
    posterior to anterior, width from left to right. `spacing` in mm, same order, is resampled to first. Arrays and
    TIFFs do not say where their voxels lie: their axes stay as they come, and `spacing` needs theirs, `file_spacing`.
    `window` clips intensities, for example Hounsfield units to (-1000, 400); "file" takes the window that DICOM files
    ask for. "percentiles" maps the 1st to the 99th percentile of what is not zero to 0..1, volume by volume: for MRI,
    whose numbers have no unit. Otherwise values keep their units: kept as int16 where the files hold integers and the
    window (or, without one, the files' number type) fits, as float32 otherwise. `key` names the array in a .npz.

    `mask` is the column with mask paths: there, whatever is above 0 is tumour. `mask_use` "channel" gives the encoder
    the mask, "crop" cuts the volume to the mask's bounding box plus `margin` (a fraction of the box) on every side,
    "segment" lets an encoder that can learn to draw it (new patients need none), "ignore" leaves it unread. A volume
    whose mask is empty or absent is kept whole.

    `time` is the column that says when each was taken, as in `Table`. `on_unreadable` "missing" makes of a file that
    cannot be used a missing volume, with a warning, instead of an error.

    >>> np.save("V1.npy", np.zeros((8, 16, 16), dtype=np.int16))
    >>> fdx.Cohort.from_frame(
    ...     pd.DataFrame({"patient_id": ["V1"], "ct": ["V1.npy"]}),
    ...     modalities={"ct": fdx.Volume("ct", size=(8, 16, 16), window=(-1000, 400))},
    ... )
    <Cohort of 1 patient: ct (1); targets: none>
    """

    path: str
    file: str | None = None
    id: str | None = None
    time: str | None = None
    mask: str | None = None
    size: Side | tuple[Side, Side, Side] = 32
    spacing: Millimetres | tuple[Millimetres, Millimetres, Millimetres] | None = None
    file_spacing: Millimetres | tuple[Millimetres, Millimetres, Millimetres] | None = None
    window: Window | Literal["file", "percentiles"] | None = None
    key: str | None = None
    mask_use: Literal["channel", "crop", "segment", "ignore"] = "channel"
    margin: float = Field(default=0.1, ge=0, le=10)
    on_unreadable: Unreadable = "error"
    kind: Literal["volume"] = "volume"

    @model_validator(mode="after")
    def _window_ascends(self) -> Volume:
        if isinstance(self.window, tuple) and not (np.isfinite(self.window).all() and np.diff(self.window) > 0):
            raise ValueError("window is (low, high) with low < high, both finite")
        return self

    @property
    def shape(self) -> tuple[int, int, int]:
        """(depth, height, width) after decoding."""
        return (self.size, self.size, self.size) if isinstance(self.size, int) else self.size

    def recipe(self) -> dict[str, object]:
        """The settings that decide what comes out of a file."""
        cut = {"margin": self.margin} if self.mask_use == "crop" else {}
        names = ("kind", "shape", "spacing", "file_spacing", "window", "key")
        return {name: getattr(self, name) for name in names} | cut

    def layout(self, path: Path) -> Layout:
        """What `path` will decode to, from its header alone. Raises `UnreadableFileError`."""
        return self._layout(path, grid(path, self.key))

    def decode(self, path: Path, mask: Path | None) -> Array:
        """Values of shape ``(1, depth, height, width)``, in the type `layout` says. Raises `UnreadableFileError`."""
        found = grid(path, self.key)
        values = self._read(path, found, "bilinear")
        window = self._window(path, found)
        if self.window == "percentiles":
            low, high = between(values)
            values = (values.clip(low, high) - np.float32(low)) / np.float32(high - low)
        elif window is not None:
            values = values.clip(*window)
        if mask is not None and self.mask_use == "crop":
            values = cut(values, self._inside(mask, found), self.margin)
        return fitted(self._resized(values), self._layout(path, found))

    def decode_mask(self, mask: Path | None, path: Path) -> Array:
        """The mask of the volume at `path`, shape ``(1, depth, height, width)``, 255 in the tumour, else 0."""
        from monai.transforms import Resize

        if mask is None:
            return np.zeros((1, *self.shape), np.uint8)
        inside = self._inside(mask, grid(path, self.key)).astype(np.float32)
        # plain "nearest" samples the corner of each cell, half a voxel away from where trilinear does
        return np.asarray(Resize(self.shape, mode="nearest-exact")(inside)).astype(np.uint8) * 255

    def _inside(self, mask: Path, under: Grid) -> npt.NDArray[np.bool_]:
        over = grid(mask)
        refuse_elsewhere(mask, over, under)
        return np.asarray(self._read(mask, over, "nearest") > 0)

    def _read(self, path: Path, found: Grid, mode: Literal["bilinear", "nearest"]) -> Array:
        """All voxels, oriented and at the wanted spacing; float32 of shape ``(1, depth, height, width)``."""
        from monai import transforms  # here, because it takes seconds to import
        from monai.data import MetaTensor

        affine, spacing = self._affine(path, found), three(self.spacing)
        if spacing is not None:
            refuse_resampled(path, found.shape, affine, spacing)
        image = MetaTensor(finite(path, found.values(), "voxels")[None], affine=affine)
        image = transforms.Orientation(axcodes=AXES, labels=(("L", "R"), ("P", "A"), ("I", "S")))(image)
        if spacing is not None:
            image = transforms.Spacing(pixdim=spacing, mode=mode, padding_mode="border")(image)
        return np.asarray(image, dtype=np.float32)

    def _affine(self, path: Path, found: Grid) -> npt.NDArray[np.float64]:
        if found.affine is not None:
            return found.affine
        if self.spacing is not None and self.file_spacing is None:
            raise UnreadableFileError(
                path, "does not say its spacing. Give it as `file_spacing`, or leave `spacing` out"
            )
        return placed(three(self.file_spacing) or (1.0, 1.0, 1.0))

    def _window(self, path: Path, found: Grid) -> Window | None:
        if self.window == "percentiles":
            return None
        if self.window != "file":
            return self.window
        if found.window is None:
            raise UnreadableFileError(path, "asks for no window of its own. Set window to a (low, high)")
        return found.window

    def _layout(self, path: Path, found: Grid) -> Layout:
        """int16 where that holds every value: the file has integers, and the window or their range fits."""
        if found.ends is None or self.window == "percentiles":
            return Layout(1, np.dtype(np.float32))
        low, high = self._window(path, found) or found.ends
        limits = np.iinfo(np.int16)
        return Layout(1, np.dtype(np.int16 if limits.min <= low and high <= limits.max else np.float32))

    def _resized(self, values: Array) -> Array:
        """Trilinear, after averaging whole cells along axes that shrink to half or less, lest fine detail alias."""
        from monai.transforms import Resize

        coarse = tuple(to if have >= 2 * to else have for have, to in zip(values.shape[1:], self.shape, strict=True))
        return np.asarray(Resize(self.shape, mode="trilinear")(Resize(coarse, mode="area")(values)))


def three(spacing: float | Spacing | None) -> Spacing | None:
    """A spacing along depth, height and width."""
    return (spacing, spacing, spacing) if isinstance(spacing, float) else spacing


def refuse_resampled(path: Path, shape: tuple[int, ...], affine: Array, spacing: Spacing) -> None:
    """Refuse a volume that would outgrow the budget at `spacing`."""
    voxels = np.prod(shape, dtype=float) * abs(np.linalg.det(affine[:3, :3])) / np.prod(spacing)
    if voxels * 4 > BUDGET:
        raise UnreadableFileError(
            path, f"would take {voxels * 4 / 2**20:,.0f} MB at this spacing. Choose a coarser one"
        )


def refuse_elsewhere(mask: Path, over: Grid, under: Grid) -> None:
    """Refuse a mask that does not lie voxel on voxel over its volume, however either is stored."""
    (mine, here), (theirs, there) = over.oriented, under.oriented
    if mine != theirs:
        sizes = ("x".join(map(str, shape)) for shape in (mine, theirs))
        raise UnreadableFileError(mask, "the mask has {} voxels, its volume {}. Give both the same grid".format(*sizes))
    if here is not None and there is not None and not np.allclose(here, there, rtol=0, atol=0.01):
        raise UnreadableFileError(
            mask, "the mask lies elsewhere in space than its volume. Resample it to the same grid"
        )
