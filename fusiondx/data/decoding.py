"""One image file, PNG, JPEG or TIFF: its header, and all its pixels or a reason why not. Knows Pillow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL.Image
import PIL.ImageFile
import PIL.ImageOps

from fusiondx.data.cache import UnreadableFileError, why

FORMATS = ("PNG", "JPEG", "TIFF")
BUDGET = 512 * 2**20
"""Bytes one decoded file may take, judged by its header."""
GREY = frozenset({"1", "L", "LA"})
COLOUR = frozenset({"P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"})
ORIENTATION = 0x0112

Array = npt.NDArray[Any]
Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels."""


@contextmanager
def strict() -> Iterator[None]:
    """Truncated images are errors in here, also where another library told Pillow to fill them with grey."""
    before = PIL.ImageFile.LOAD_TRUNCATED_IMAGES
    PIL.ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        yield
    finally:
        PIL.ImageFile.LOAD_TRUNCATED_IMAGES = before


@contextmanager
def opened(path: Path) -> Iterator[PIL.Image.Image]:
    """An image of which only the header has been read; whatever goes wrong with it becomes one error."""
    try:
        # a file and not its path: given a path, Pillow maps uncompressed TIFFs to memory and shears turned ones
        with path.open("rb") as file, PIL.Image.open(file, formats=FORMATS) as image:
            _refuse(path, image)
            yield image
    except UnreadableFileError:
        raise
    except PIL.UnidentifiedImageError as error:
        raise UnreadableFileError(path, "not a PNG, JPEG or TIFF image, or its header is damaged") from error
    except Exception as error:  # Pillow raises SyntaxError, struct.error, TypeError and more for damaged files
        reason = why(error) if isinstance(error, OSError) else f"damaged ({error})"
        raise UnreadableFileError(path, reason) from error


def _refuse(path: Path, image: PIL.Image.Image) -> None:
    width, height = image.size
    size = width * height * len(image.getbands()) * depth(image).itemsize
    if size > BUDGET:
        raise UnreadableFileError(path, f"{width} x {height} pixels take {size >> 20} MB, more than {BUDGET >> 20} MB")
    if image.mode not in GREY | COLOUR and depth(image) == np.uint8:
        raise UnreadableFileError(path, f"colour mode {image.mode} is not supported. Save it as RGB or greyscale")
    if image.format in ("PNG", "TIFF") and getattr(image, "n_frames", 1) > 1:
        raise UnreadableFileError(path, "holds several pages. Save one image per file, or a volume as NIfTI")


def depth(image: PIL.Image.Image) -> np.dtype[Any]:
    """The number type of one channel. Pillow calls a 16-bit PNG "I;16" or, before version 11, "I"."""
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG"):
        return np.dtype(np.uint16)
    return np.dtype(np.float32 if image.mode in ("I", "F") else np.uint8)


def read(path: Path, absolute: bool = True) -> PIL.Image.Image:
    """All pixels, upright, in mode L, RGB or (16 bit and more) F."""
    with opened(path) as image:
        if image.format == "PNG":
            _verify(path)
        if not absolute and _narrowed(image):
            raise UnreadableFileError(path, "16-bit colour is read at 8 bit, which a window cannot be applied to")
        if depth(image) != np.uint8:
            return _float(path, _upright(image))
        if image.mode in ("P", "PA"):
            image = image.convert("RGBA")  # or Pillow warns of transparency that is dropped on purpose
        mode = "RGB" if image.mode in COLOUR else "L"
        image.load()
        return _upright(image if image.mode == mode else image.convert(mode))


def _verify(path: Path) -> None:
    """Compare the checksums of a PNG, since decoding alone lets a flipped bit pass; needs the file to itself."""
    with opened(path) as image:
        image.verify()


def _upright(image: PIL.Image.Image) -> PIL.Image.Image:
    turned = image.getexif().get(ORIENTATION, 1) != 1
    return PIL.ImageOps.exif_transpose(image) if turned else image


def _narrowed(image: PIL.Image.Image) -> bool:
    """Whether Pillow will drop the low byte of 16-bit channels."""
    return depth(image) == np.uint8 and any(";16" in str(tile[3]) for tile in getattr(image, "tile", ()))


def _float(path: Path, image: PIL.Image.Image) -> PIL.Image.Image:
    values = np.asarray(image, dtype=np.float32)
    if not np.isfinite(values).all():
        raise UnreadableFileError(path, "holds pixels that are not finite numbers")
    return PIL.Image.fromarray(values)


def upright_size(path: Path) -> tuple[int, int]:
    """(width, height); decoded only where the header says that the image is turned."""
    with opened(path) as image:
        return _upright(image).size


def inside_mask(mask: Path, size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Where the mask says tumour, shape ``(height, width)``."""
    image = read(mask)
    if image.size != size:
        here, there = (f"{width} x {height}" for width, height in (image.size, size))
        raise UnreadableFileError(mask, f"the mask has {here} pixels, its image {there}. Give both the same size")
    values = np.asarray(image)
    # JPEG rings around edges, so that black is not quite 0 there
    threshold = 127 if mask.suffix.lower() in (".jpg", ".jpeg") else 0
    return np.asarray((values if values.ndim == 2 else values.max(axis=-1)) > threshold)


def windowed(band: PIL.Image.Image, window: tuple[float, float]) -> PIL.Image.Image:
    low, high = window
    values = np.asarray(band, dtype=np.float32)
    return PIL.Image.fromarray((values.clip(low, high) - low) * np.float32(255 / (high - low)))


def central(size: tuple[int, int], fraction: float) -> Box:
    width, height = size
    across, down = max(1, round(width * fraction)), max(1, round(height * fraction))
    left, top = (width - across) // 2, (height - down) // 2
    return left, top, left + across, top + down


def around(inside: npt.NDArray[np.bool_], box: Box, margin: float) -> Box:
    """The part of `box` that holds what is inside it, with a margin; all of `box` where nothing is."""
    left, top, right, bottom = box
    seen = inside[top:bottom, left:right]
    if not seen.any():
        return box
    (first_x, last_x), (first_y, last_y) = (np.flatnonzero(seen.any(axis=axis))[[0, -1]] for axis in (0, 1))
    wide, high = margin * (last_x + 1 - first_x), margin * (last_y + 1 - first_y)
    return (
        max(left, int(np.floor(left + first_x - wide))),
        max(top, int(np.floor(top + first_y - high))),
        min(right, int(np.ceil(left + last_x + 1 + wide))),
        min(bottom, int(np.ceil(top + last_y + 1 + high))),
    )
