"""ImageData: the pixels of many image or volume files, lazy and decoded once."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from fusiondx.data.cache import (
    Layout,
    UnreadableFileError,
    content_hash,
    drafting,
    folder,
    key,
    load,
)
from fusiondx.data.decoding import strict
from fusiondx.data.picture import Image, fitted
from fusiondx.data.raster import Region
from fusiondx.data.volumes import Volume
from fusiondx.errors import DataError, RunError, counted, listed

Array = npt.NDArray[Any]
Item = TypeVar("Item")
Result = TypeVar("Result")
Refusal = tuple[Path, str]
"""A file that cannot be used, and why."""

THREADS = min(8, os.cpu_count() or 1)
MASK = Layout(1, np.dtype(np.uint8))


class RefusedFilesError(DataError):
    """Some of a modality's files cannot be used; `files` holds each with the reason."""

    def __init__(self, files: list[Refusal]) -> None:
        named = listed(f"{path} ({reason})" for path, reason in files)
        super().__init__(f"{counted(len(files), 'image file')} cannot be used: {named}. Mend or remove them.")
        self.files = files


class MisfitError(Exception):
    """An image does not fit into the array that was laid out for all."""


class ImageData:
    """Image or volume files in order, perhaps with one mask, or one region of a slide, each; nothing is read before it
    is asked for.

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
        regions: Sequence[Region] | None = None,
    ) -> None:
        if masks is not None and len(masks) != len(paths):
            raise DataError(f"{counted(len(paths), 'image')} with {counted(len(masks), 'mask')}. Give one mask each.")
        self.spec = spec
        self.paths = tuple(Path(path) for path in paths)
        self.masks = None if masks is None else tuple(None if mask is None else Path(mask) for mask in masks)
        self.cache = cache
        self.regions = None if regions is None else tuple(regions)
        self._resized: dict[tuple[int, ...], ImageData] = {}

    def __len__(self) -> int:
        return len(self.paths)

    def __reduce__(self) -> tuple[Any, ...]:
        return ImageData, (self.spec, *self._files)  # not the pixels opened so far

    @property
    def _files(self) -> tuple[Any, ...]:
        return self.paths, self.masks, self.cache, self.regions

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
            self._resized[size] = ImageData(self.spec.replace(size=size), *self._files)
        return self._resized[size]

    def content(self, row: int, masked: bool = True) -> str:
        """What one item holds, wherever its files lie: hashes of image and mask, and the region."""
        region = f" {self.regions[row].box}" if self.regions else ""
        mask = self.masks[row] if masked and self.masks else None
        return content_hash(self.paths[row]) + region + (content_hash(mask) if mask else "")

    def contents(self, rows: Array) -> list[str]:
        """What decides how some files come out: what they hold, and how they are read."""
        layout = (self._layout.channels, str(self._layout.dtype), self.has_masks)
        made = key({**self.spec.recipe(), "layout": layout}, [])
        masked = self.spec.mask_use != "ignore"
        return [f"{made} {content}" for content in in_order(lambda row: self.content(int(row), masked), rows)]

    def decoded(self, rows: Iterable[int]) -> Iterator[tuple[Array, Array | None]]:
        """Pixels and mask of some files, decoded anew and kept nowhere; the mask as `mask_pixels` has it.

        Raises `DataError` naming every file that cannot be used.
        """
        with strict():
            try:
                for pixels, mask in in_order(self.both, rows):
                    yield fitted(pixels, self._layout), mask
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

    def only(self, rows: Sequence[int]) -> ImageData:
        """Some of the files, in the order given."""
        masks = None if self.masks is None else [self.masks[row] for row in rows]
        regions = None if self.regions is None else [self.regions[row] for row in rows]
        return ImageData(self.spec, [self.paths[row] for row in rows], masks, self.cache, regions)

    @cached_property
    def _pixels(self) -> Array:
        return self._kept("pixels", self._decode)

    @cached_property
    def _mask_pixels(self) -> Array:
        return self._kept("masks", self._decode_mask)

    def place(self, made: str) -> Path:
        """Where the cache has the array of "pixels" or "masks"."""
        return folder(self.cache) / f"{key({**self.spec.recipe(), 'made': made}, self._contents)}.npy"

    def _kept(self, made: str, decode: Callable[[int], Array]) -> Array:
        """The array of pixels or masks: from the cache, or decoded into it."""
        with strict():
            try:
                path = self.place(made)
                found = self._found(path)
                return self._made(path, made, decode) if found is None else found
            except UnreadableFileError as error:
                # one is enough to stop, but a user wants to hear of all
                raise RefusedFilesError(self._refused() or [(error.path, error.reason)]) from error

    def _found(self, path: Path) -> Array | None:
        array = load(path)
        fits = array is not None and array.ndim == 2 + len(self.size) and len(array) == len(self)
        return array if fits else None

    def _made(self, path: Path, made: str, decode: Callable[[int], Array]) -> Array:
        if not len(self):
            return np.zeros((0, 1, *self.size), MASK.dtype)  # nothing cannot be memory-mapped
        try:  # mostly all files are alike: reading every header first would cost a tenth of the time
            self._write(path, self.header(0) if made == "pixels" else MASK, decode, alike=True)
        except MisfitError:
            self._write(path, self._layout, decode, alike=False)
        found = self._found(path)
        if found is None:
            raise RunError(f"The image cache {path} was damaged while it was written. Delete it and try again.")
        return found

    def _write(self, path: Path, layout: Layout, decode: Callable[[int], Array], alike: bool) -> None:
        with drafting(path.parent, (layout.channels, *self.size), layout.dtype, len(self)) as draft:
            for image in in_order(decode, range(len(self))):
                if alike and (len(image), image.dtype) != (layout.channels, layout.dtype):
                    raise MisfitError
                draft.add(fitted(image, layout))
            draft.keep(path)

    @cached_property
    def _contents(self) -> list[str]:
        masked = self.spec.mask_use != "ignore"
        return list(in_order(lambda row: self.content(row, masked), range(len(self))))

    @property
    def _layout(self) -> Layout:
        done = self.__dict__.get("_pixels")  # then no header needs to be read
        return self._headers if done is None else Layout(done.shape[1], done.dtype)

    @cached_property
    def _headers(self) -> Layout:
        return joined({self.paths[row]: self.header(row) for row in range(len(self))})  # too quick for threads to pay

    def header(self, row: int) -> Layout:
        """What a file will decode to. Raises `UnreadableFileError`."""
        return self._spec(row).layout(self.paths[row])

    def _decode(self, row: int) -> Array:
        return self._spec(row).decode(self.paths[row], self._mask(row))

    def both(self, row: int) -> tuple[Array, Array | None]:
        """Pixels and mask of one file, decoded anew. Raises `UnreadableFileError`."""
        return self._decode(row), self._decode_mask(row) if self.has_masks else None

    def _decode_mask(self, row: int) -> Array:
        return self._spec(row).decode_mask(self._mask(row), self.paths[row])

    def _spec(self, row: int) -> Image | Volume:
        return self.spec if self.regions is None else self.spec.replace(region=self.regions[row])

    def _mask(self, row: int) -> Path | None:
        return None if self.masks is None or self.spec.mask_use == "ignore" else self.masks[row]

    def _refused(self) -> list[Refusal]:
        """Decode everything and keep nothing but the failures."""
        jobs = [self._decode, self._decode_mask] if self.has_masks else [self._decode]
        tries = [attempted(job, row) for job in jobs for row in range(len(self))]
        failures = [
            found for found in in_order(lambda attempt: attempt(), tries) if isinstance(found, UnreadableFileError)
        ]
        return list({error.path: error.reason for error in failures}.items())


def depth(white: float | None) -> str:
    """What numbers images are made of, in words, from the largest value they can hold."""
    return {255.0: "8 bit", 65535.0: "16 bit"}.get(white or 0.0, "in physical units")


def joined(layouts: Mapping[Path, Layout]) -> Layout:
    """What all files have in common: the most channels, one number type. Raises `UnreadableFileError` for misfits."""
    if not layouts:
        return MASK
    channels = max(layout.channels for layout in layouts.values())
    dtypes = {layout.dtype for layout in layouts.values()}
    if dtypes == {np.dtype(np.int16), np.dtype(np.float32)}:
        dtypes = {np.dtype(np.float32)}  # volumes are in physical units, in whichever type
    first, leader = next(iter(layouts.items()))
    for path, layout in layouts.items():
        if len(dtypes) > 1 and layout.dtype != leader.dtype:
            reason = f"{layout.dtype} where {first} is {leader.dtype}. Set intensity to a (low, high)"
            raise UnreadableFileError(path, reason)
        if layout.channels not in (1, channels):
            raise UnreadableFileError(path, f"has {layout.channels} channels where others have {channels}")
    return Layout(channels, dtypes.pop())


def attempted(work: Callable[[Item], Result], item: Item) -> Callable[[], Result | UnreadableFileError]:
    """The same work, giving the error for a file that cannot be used instead of raising it."""

    def attempt() -> Result | UnreadableFileError:
        try:
            return work(item)
        except UnreadableFileError as error:
            return error

    return attempt


def in_order(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """`work` done on each item by several threads, in order and only a little ahead of whoever reads."""
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(THREADS) as pool:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > 4 * THREADS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
