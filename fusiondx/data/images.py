"""Images: how they are read (`Image`), and the pixels themselves (`ImageData`), lazy and decoded once."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt
import PIL.Image
from pydantic import Field, model_validator

from fusiondx.core.spec import Spec, spec
from fusiondx.data.cache import Layout, UnreadableFileError, content_hash, folder, key, load, store
from fusiondx.data.decoding import (
    COLOUR,
    Box,
    around,
    central,
    depth,
    inside_mask,
    opened,
    read,
    strict,
    upright_size,
    windowed,
)
from fusiondx.data.volumes import Volume
from fusiondx.errors import DataError, RunError, counted, listed

Array = npt.NDArray[Any]
Item = TypeVar("Item")
Result = TypeVar("Result")

THREADS = min(8, os.cpu_count() or 1)
Side = Annotated[int, Field(ge=1, le=8192)]
MASK = Layout(1, np.dtype(np.uint8))


@spec
class Image(Spec):
    """Images whose paths stand in column `path` of table `file` (the patient table where left out).

    `size` is (height, width), or one number for both. `crop` keeps a central fraction of each side beforehand.
    `intensity` "absolute" keeps the values as they are in the file, 8 bit, 16 bit or float; a window (low, high) clips
    to it and maps it to 0..255. Orientation by EXIF is applied, alpha dropped, palettes expanded. Colour at 16 bit
    per channel is read at 8.

    `mask` is the column with mask paths: there, whatever is not black is tumour. `mask_use` "channel" gives the
    encoder the mask, "crop" cuts the image to the mask's bounding box plus `margin` (a fraction of the box) on every
    side, "segment" lets an encoder that can learn to draw it (new patients need none), "ignore" leaves it unread. An
    image whose mask is empty or absent is kept whole.

    `time` is the column that says when each was taken, as in `Table`.
    """

    path: str
    file: str | None = None
    id: str | None = None
    time: str | None = None
    mask: str | None = None
    size: Side | tuple[Side, Side] = 64
    crop: float | None = Field(default=None, gt=0, le=1)
    grey: bool = False
    intensity: Literal["absolute"] | tuple[float, float] = "absolute"
    mask_use: Literal["channel", "crop", "segment", "ignore"] = "channel"
    margin: float = Field(default=0.1, ge=0, le=10)
    kind: Literal["image"] = "image"

    @model_validator(mode="after")
    def _window_ascends(self) -> Image:
        if self.intensity != "absolute" and not (np.isfinite(self.intensity).all() and np.diff(self.intensity) > 0):
            raise ValueError("intensity is a window (low, high) with low < high, both finite")
        return self

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) after decoding."""
        return (self.size, self.size) if isinstance(self.size, int) else self.size

    def recipe(self) -> dict[str, object]:
        """The settings that decide what comes out of a file."""
        names = ("kind", "shape", "crop", "grey", "intensity")
        cut = {"margin": self.margin} if self.mask_use == "crop" else {}
        return {name: getattr(self, name) for name in names} | cut

    def layout(self, path: Path) -> Layout:
        """What `path` will decode to, from its header alone. Raises `UnreadableFileError`."""
        with opened(path) as image:
            channels = 3 if image.mode in COLOUR and not self.grey else 1
            return Layout(channels, depth(image) if self.intensity == "absolute" else np.dtype(np.uint8))

    def decode(self, path: Path, mask: Path | None) -> Array:
        """Pixels of shape ``(channels, height, width)``, uint8 or float32. Raises `UnreadableFileError`."""
        image = read(path, self.intensity == "absolute")
        if self.grey and image.mode == "RGB":
            image = image.convert("L")
        box = self._box(image.size, inside_mask(mask, image.size) if mask and self.mask_use == "crop" else None)
        bands = [image] if self.intensity == "absolute" else [windowed(b, self.intensity) for b in image.split()]
        height, width = self.shape
        resized = [np.asarray(b.resize((width, height), PIL.Image.Resampling.BILINEAR, box=box)) for b in bands]
        return np.moveaxis(resized[0], -1, 0) if resized[0].ndim == 3 else np.stack(resized)

    def decode_mask(self, mask: Path | None, path: Path) -> Array:
        """The mask of the image at `path`, shape ``(1, height, width)``, 255 where at least half tumour, else 0."""
        if mask is None:
            return np.zeros((1, *self.shape), np.uint8)
        inside = inside_mask(mask, upright_size(path))
        whole = PIL.Image.fromarray(inside.astype(np.uint8) * 255)
        height, width = self.shape
        share = whole.resize((width, height), PIL.Image.Resampling.BILINEAR, box=self._box(whole.size, None))
        return np.where(np.asarray(share) >= 128, 255, 0).astype(np.uint8)[None]

    def _box(self, size: tuple[int, int], inside: Array | None) -> Box:
        box = central(size, self.crop or 1.0)
        return box if inside is None else around(inside, box, self.margin)


class RefusedFilesError(DataError):
    """Some of a modality's files cannot be used; `files` holds each with the reason."""

    def __init__(self, files: list[tuple[Path, str]]) -> None:
        named = listed(f"{path} ({reason})" for path, reason in files)
        super().__init__(f"{counted(len(files), 'image file')} cannot be used: {named}. Mend or remove them.")
        self.files = files


class ImageData:
    """Image or volume files in order, perhaps with one mask each; nothing is read before it is asked for.

    Decoded arrays live in a cache folder (`cache`, else the environment variable FUSIONDX_CACHE, else the user's
    cache folder), named by the contents of the files and the settings: moving or touching a file costs nothing,
    changing one makes a new array.
    """

    def __init__(
        self,
        spec: Image | Volume,
        paths: Sequence[Path],
        masks: Sequence[Path | None] | None = None,
        cache: Path | None = None,
    ) -> None:
        if masks is not None and len(masks) != len(paths):
            raise DataError(f"{counted(len(paths), 'image')} with {counted(len(masks), 'mask')}. Give one mask each.")
        self.spec = spec
        self.paths = tuple(Path(path) for path in paths)
        self.masks = None if masks is None else tuple(None if mask is None else Path(mask) for mask in masks)
        self.cache = cache
        self._resized: dict[tuple[int, ...], ImageData] = {}

    def __len__(self) -> int:
        return len(self.paths)

    def __reduce__(self) -> tuple[Any, ...]:
        return ImageData, (self.spec, *self._files, self.cache)  # not the pixels opened so far

    @property
    def _files(self) -> tuple[tuple[Path, ...], tuple[Path | None, ...] | None]:
        return self.paths, self.masks

    @property
    def size(self) -> tuple[int, ...]:
        """(height, width), or (depth, height, width)."""
        return self.spec.shape

    @property
    def channels(self) -> int:
        """Channels of every image: 3 if any file is in colour, 1 without files. Reads headers only."""
        return self._layout.channels

    @property
    def has_masks(self) -> bool:
        """Whether masks go to the encoder, as input or to be learnt; `mask_pixels` is None otherwise."""
        return self.masks is not None and self.spec.mask_use in ("channel", "segment")

    def pixels(self) -> Array:
        """Memory-mapped, read-only, shape ``(files, channels, *size)``; uint8, uint16, int16 or float32.

        Decodes all files on first use. Raises `DataError` naming every file that cannot be used, `RunError` where the
        cache cannot be written.
        """
        return self._pixels

    def mask_pixels(self) -> Array | None:
        """Memory-mapped, read-only, uint8 of shape ``(files, 1, *size)``: 255 in the tumour, else 0.

        All 0 for a file without a mask; None where masks are not given to the encoder. Raises as `pixels` does.
        """
        return self._mask_pixels if self.has_masks else None

    @property
    def white(self) -> float | None:
        """The largest value the files can hold, 255 or 65,535; None for physical units. Reads headers only."""
        dtype = self._layout.dtype
        return float(np.iinfo(dtype).max) if dtype.kind == "u" else None

    def at(self, size: tuple[int, ...]) -> ImageData:
        """The same files looked at in another size; their headers are read once for each size."""
        if size == tuple(self.size):
            return self
        if size not in self._resized:
            self._resized[size] = ImageData(self.spec.replace(size=size), *self._files, self.cache)
        return self._resized[size]

    def contents(self, rows: Array) -> list[str]:
        """What decides how some files come out: their contents, those of their masks, and how they are read."""
        layout = (self._layout.channels, str(self._layout.dtype), self.has_masks)
        made = key({**self.spec.recipe(), "layout": layout}, [])
        masks = self._used_masks or (None,) * len(self)
        files = _in_order(_content, [file for row in rows for file in (self.paths[row], masks[row])])
        return [f"{made} {image} {mask}" for image, mask in zip(files, files, strict=True)]

    def decoded(self, rows: Iterable[int]) -> Iterator[tuple[Array, Array | None]]:
        """Pixels and mask of some files, decoded anew and kept nowhere; the mask as `mask_pixels` has it.

        Raises `DataError` naming every file that cannot be used.
        """
        with strict():
            try:
                for pixels, mask in _in_order(self._both, rows):
                    yield _fitted(pixels, self._layout), mask
            except UnreadableFileError as error:
                raise RefusedFilesError(self._refused() or [(error.path, error.reason)]) from error

    def check(self) -> list[tuple[Path, str]]:
        """Every file that cannot be used, with the reason. Decodes each once, filling the cache if all are sound."""
        try:
            self.pixels()
            self.mask_pixels()
        except RefusedFilesError as error:
            return error.files
        return []

    def digest(self) -> str:
        """SHA-256 over the contents of all files, masks included, in order."""
        return hashlib.sha256(" ".join(self._contents).encode()).hexdigest()

    @cached_property
    def _pixels(self) -> Array:
        return self._kept("pixels", self._decode)

    @cached_property
    def _mask_pixels(self) -> Array:
        return self._kept("masks", self._decode_mask)

    def _kept(self, made: str, decode: Callable[[int], Array]) -> Array:
        """The array of pixels or masks: from the cache, or decoded into it."""
        with strict():
            try:
                path = folder(self.cache) / f"{key({**self.spec.recipe(), 'made': made}, self._contents)}.npy"
                found = self._found(path)
                return self._made(path, self._layout if made == "pixels" else MASK, decode) if found is None else found
            except UnreadableFileError as error:
                # one is enough to stop, but a user wants to hear of all
                raise RefusedFilesError(self._refused() or [(error.path, error.reason)]) from error

    def _found(self, path: Path) -> Array | None:
        array = load(path)
        fits = array is not None and array.ndim == 2 + len(self.size) and len(array) == len(self)
        return array if fits else None

    def _made(self, path: Path, layout: Layout, decode: Callable[[int], Array]) -> Array:
        shape = (len(self), layout.channels, *self.size)
        if not len(self):
            return np.zeros(shape, layout.dtype)  # nothing cannot be memory-mapped
        store(path, shape, layout.dtype, (_fitted(image, layout) for image in _in_order(decode, range(len(self)))))
        found = self._found(path)
        if found is None:
            raise RunError(f"The image cache {path} was damaged while it was written. Delete it and try again.")
        return found

    @cached_property
    def _contents(self) -> list[str]:
        return list(_in_order(_content, [*self.paths, *(self._used_masks or ())]))

    @property
    def _used_masks(self) -> tuple[Path | None, ...] | None:
        return None if self.spec.mask_use == "ignore" else self.masks

    @cached_property
    def _layout(self) -> Layout:
        """What all files have in common: the most channels, one number type."""
        layouts = [self.spec.layout(path) for path in self.paths]  # too quick for threads to pay
        dtypes = {layout.dtype for layout in layouts}
        if dtypes <= {np.dtype(np.int16), np.dtype(np.float32)} and len(dtypes) > 1:
            dtypes = {np.dtype(np.float32)}  # volumes are in physical units, in whichever type
        for path, layout in zip(self.paths, layouts, strict=True):
            if len(dtypes) > 1 and layout.dtype != layouts[0].dtype:
                reason = f"{layout.dtype} where {self.paths[0]} is {layouts[0].dtype}. Set intensity to a (low, high)"
                raise UnreadableFileError(path, reason)
        return Layout(max((layout.channels for layout in layouts), default=1), dtypes.pop() if dtypes else MASK.dtype)

    def _decode(self, row: int) -> Array:
        return self.spec.decode(self.paths[row], self._mask(row))

    def _both(self, row: int) -> tuple[Array, Array | None]:
        return self._decode(row), self._decode_mask(row) if self.has_masks else None

    def _decode_mask(self, row: int) -> Array:
        return self.spec.decode_mask(self._mask(row), self.paths[row])

    def _mask(self, row: int) -> Path | None:
        return None if self._used_masks is None else self._used_masks[row]

    def _refused(self) -> list[tuple[Path, str]]:
        """Decode everything and keep nothing but the failures."""
        jobs = [self._decode, self._decode_mask] if self.has_masks else [self._decode]
        tries = [(job, row) for job in jobs for row in range(len(self))]
        failures = [failure for failure in _in_order(_failure, tries) if failure]
        return list(dict(failures).items())


def _content(path: Path | None) -> str:
    return "none" if path is None else content_hash(path)


def _failure(attempt: tuple[Callable[[int], Array], int]) -> tuple[Path, str] | None:
    decode, row = attempt
    try:
        decode(row)
    except UnreadableFileError as error:
        return error.path, error.reason
    return None


def _fitted(image: Array, layout: Layout) -> Array:
    """A decoded image as the cache keeps it: rounded if integers are, grey repeated if others are in colour."""
    if layout.dtype.kind in "iu" and image.dtype.kind == "f":
        limits = np.iinfo(layout.dtype)
        image = np.rint(image).clip(limits.min, limits.max)
    return np.broadcast_to(image, (layout.channels, *image.shape[1:])).astype(layout.dtype)


def _in_order(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """`work` done on each item by several threads, in order and only a little ahead of whoever reads."""
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(THREADS) as pool:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > 4 * THREADS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
