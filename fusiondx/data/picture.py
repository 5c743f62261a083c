"""Image: how image files are read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import PIL.Image
from pydantic import Field, model_validator

from fusiondx.core.spec import Spec, spec
from fusiondx.data.cache import Layout, Unreadable, UnreadableFileError
from fusiondx.data.cropping import Box, around, central
from fusiondx.data.formats import inside_mask, raster
from fusiondx.data.raster import Bands, Part, Raster, Region

Array = npt.NDArray[Any]
Side = Annotated[int, Field(ge=1, le=8192)]
Window = tuple[float, float]
LUMINANCE = (0.299, 0.587, 0.114)
"""Of red, green and blue, as Pillow weighs them (ITU-R 601-2)."""


@spec
class Image(Spec):
    """Images whose paths stand in column `path` of table `file` (the patient table where left out): PNG, JPEG, TIFF,
    DICOM, or arrays (.npy, .npz) of height x width or height x width x channels.

    `size` is (height, width), or one number for both. `crop` keeps a central fraction of each side beforehand.
    `intensity` "absolute" keeps the values as they are in the file: 8 bit, 16 bit or float, for DICOM rescaled by slope
    and intercept. A window (low, high) clips to it and maps it to 0..255, "file" takes the window that a DICOM file
    itself asks for, "percentiles" that from the 1st to the 99th percentile of what is not black, image by image and
    channel by channel: for MRI, whose numbers have no unit. Orientation by EXIF is applied, alpha dropped, palettes
    expanded, MONOCHROME1 inverted.

    `page` is the page of a TIFF or the frame of a DICOM file, from 0, where these hold several; `key` the array in a
    .npz. `region` reads a part of whole-slide images (needs ``pip install fusiondx[wsi]``).

    `mask` is the column with mask paths: there, whatever is not black is tumour. `mask_use` "channel" gives the
    encoder the mask, "crop" cuts the image to the mask's bounding box plus `margin` (a fraction of the box) on every
    side, "segment" lets an encoder that can learn to draw it (new patients need none), "ignore" leaves it unread. An
    image whose mask is empty or absent is kept whole.

    `time` is the column that says when each was taken, as in `Table`. `on_unreadable` "missing" makes of a file that
    cannot be used a missing image, with a warning, instead of an error.

    >>> fdx.Cohort.from_frame(
    ...     pd.read_csv("patients.csv"),
    ...     modalities={"photo": fdx.Image("image", file="images.csv", size=32, crop=0.9)},
    ... )
    <Cohort of 60 patients: photo (49); targets: none>
    """

    path: str
    file: str | None = None
    id: str | None = None
    time: str | None = None
    mask: str | None = None
    size: Side | tuple[Side, Side] = 64
    crop: float | None = Field(default=None, gt=0, le=1)
    grey: bool = False
    intensity: Literal["absolute", "file", "percentiles"] | Window = "absolute"
    page: int | None = Field(default=None, ge=0)
    key: str | None = None
    region: Region | None = None
    mask_use: Literal["channel", "crop", "segment", "ignore"] = "channel"
    margin: float = Field(default=0.1, ge=0, le=10)
    on_unreadable: Unreadable = "error"
    kind: Literal["image"] = "image"

    @model_validator(mode="after")
    def _window_ascends(self) -> Image:
        if not isinstance(self.intensity, str) and not (
            np.isfinite(self.intensity).all() and np.diff(self.intensity) > 0
        ):
            raise ValueError("intensity is a window (low, high) with low < high, both finite")
        return self

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) after decoding."""
        return (self.size, self.size) if isinstance(self.size, int) else self.size

    def recipe(self) -> dict[str, object]:
        """The settings that decide what comes out of a file."""
        names = ("kind", "shape", "crop", "grey", "intensity", "page", "key")
        cut = {"margin": self.margin} if self.mask_use == "crop" else {}
        seen = {"region": repr(self.region)} if self.region else {}
        return {name: getattr(self, name) for name in names} | cut | seen

    def layout(self, path: Path) -> Layout:
        """What `path` will decode to, from its header alone. Raises `UnreadableFileError`."""
        with raster(path, self._part) as picture:
            return self._layout(path, picture)

    def decode(self, path: Path, mask: Path | None) -> Array:
        """Pixels of shape ``(channels, height, width)``, in the type `layout` says. Raises `UnreadableFileError`."""
        with raster(path, self._part) as picture:
            layout, window = self._layout(path, picture), self._window(path, picture)
            bands = picture.bands()
        if self.grey:
            bands = greyed(bands)
        size = bands[0].size
        box = self._box(size, inside_mask(mask, size) if mask and self.mask_use == "crop" else None)
        if self.intensity == "percentiles":
            bands = [windowed(band, between(np.asarray(band))) for one in bands for band in one.split()]
        elif window is not None:
            bands = [windowed(band, window) for one in bands for band in one.split()]
        height, width = self.shape
        resized = [np.asarray(b.resize((width, height), PIL.Image.Resampling.BILINEAR, box=box)) for b in bands]
        if len(resized) == 1:
            return fitted(np.moveaxis(resized[0], -1, 0) if resized[0].ndim == 3 else resized[0][None], layout)
        return fitted(np.stack(resized), layout)

    def decode_mask(self, mask: Path | None, path: Path) -> Array:
        """The mask of the image at `path`, shape ``(1, height, width)``, 255 where at least half tumour, else 0."""
        if mask is None:
            return np.zeros((1, *self.shape), np.uint8)
        with raster(path, self._part) as picture:
            inside = inside_mask(mask, picture.size())
        whole = PIL.Image.fromarray(inside.astype(np.uint8) * 255)
        height, width = self.shape
        share = whole.resize((width, height), PIL.Image.Resampling.BILINEAR, box=self._box(whole.size, None))
        return np.where(np.asarray(share) >= 128, 255, 0).astype(np.uint8)[None]

    @property
    def _part(self) -> Part:
        height, width = self.shape
        return Part(self.page, self.key, self.region, (width, height))

    def _layout(self, path: Path, picture: Raster) -> Layout:
        if self.grey and picture.channels not in (1, 3):
            raise UnreadableFileError(path, f"has {picture.channels} channels, which `grey` cannot make one of")
        channels = 1 if self.grey else picture.channels
        return Layout(channels, picture.dtype if self.intensity == "absolute" else np.dtype(np.uint8))

    def _window(self, path: Path, picture: Raster) -> Window | None:
        if not isinstance(self.intensity, str):
            return self.intensity
        if self.intensity in ("absolute", "percentiles") or (picture.window == (0, 255) and picture.dtype == np.uint8):
            return None
        if picture.window is None:
            raise UnreadableFileError(path, "asks for no window of its own. Set intensity to a (low, high)")
        return picture.window

    def _box(self, size: tuple[int, int], inside: Array | None) -> Box:
        box = central(size, self.crop or 1.0)
        return box if inside is None else around(inside, box, self.margin)


def between(values: Array) -> Window:
    """From the 1st to the 99th percentile of what is not zero; an image without any spread has none to show."""
    found = values[values != 0]
    low, high = np.percentile(found, (1, 99)).tolist() if found.size else (0.0, 1.0)
    return low, high if high > low else low + 1.0


def windowed(band: PIL.Image.Image, window: Window) -> PIL.Image.Image:
    """The band clipped to the window, which is mapped to 0..255."""
    low, high = window
    values = np.asarray(band, dtype=np.float32)
    return PIL.Image.fromarray((values.clip(low, high) - np.float32(low)) * np.float32(255 / (high - low)))


def greyed(bands: Bands) -> Bands:
    """One band of luminance."""
    if len(bands) == 1:
        return [bands[0].convert("L")] if bands[0].mode == "RGB" else bands
    weighed = [np.float32(w) * np.asarray(band, np.float32) for w, band in zip(LUMINANCE, bands, strict=True)]
    return [PIL.Image.fromarray(np.sum(weighed, axis=0))]


def fitted(image: Array, layout: Layout) -> Array:
    """A decoded image as the cache keeps it: rounded if integers are, one channel repeated if others have several."""
    if image.dtype == layout.dtype and len(image) == layout.channels:
        return image
    if layout.dtype.kind in "iu" and image.dtype.kind == "f":
        limits = np.iinfo(layout.dtype)
        image = np.rint(image).clip(limits.min, limits.max)
    return np.broadcast_to(image, (layout.channels, *image.shape[1:])).astype(layout.dtype, copy=False)
