"""PNG, JPEG and TIFF files: the header, and all pixels or a reason why not. Knows Pillow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL.Image
import PIL.ImageFile
import PIL.ImageOps

from fusiondx.data import deep, pages
from fusiondx.data.cache import UnreadableFileError, why
from fusiondx.data.grid import Grid
from fusiondx.data.raster import WHOLE, Bands, Part, Raster, bands_of, refuse_unaffordable
from fusiondx.errors import MissingPackageError

FORMATS = ("PNG", "JPEG", "TIFF")
SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
GREY = frozenset({"1", "L", "LA"})
COLOUR = frozenset({"P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"})
WIDTH, HEIGHT, BITS, ORIENTATION = 256, 257, 258, 274
"""Tags of TIFF and EXIF."""
EXIF = frozenset({"exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp"})
"""Where a JPEG or PNG holds the latter."""

Array = npt.NDArray[Any]


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
            yield image
    except (UnreadableFileError, MissingPackageError):
        raise
    except PIL.UnidentifiedImageError as error:
        raise UnreadableFileError(path, "not a PNG, JPEG or TIFF image, or its header is damaged") from error
    except Exception as error:  # Pillow raises SyntaxError, struct.error, TypeError and more for damaged files
        raise UnreadableFileError(path, why(error) if isinstance(error, OSError) else "damaged") from error


@contextmanager
def raster(path: Path, part: Part = WHOLE) -> Iterator[Raster]:
    """One picture, or one page of a TIFF. Raises `UnreadableFileError`, here and while it is decoded."""
    with opened(path) as image:
        _turn_to(path, image, part.page)
        _refuse(path, image)
        if _narrowed(image):
            channels = 1 if "LA;16" in _packing(image) else 3
            orientation = image.getexif().get(ORIENTATION, 1)
            decode = partial(_deep, path, image, part.page or 0, orientation)
            yield Raster(channels, np.dtype(np.uint16), lambda: deep.size(_stored(image), orientation), decode)
        else:
            channels = 3 if image.mode in COLOUR else 1
            yield Raster(channels, depth(image), lambda: _upright(image).size, partial(_bands, path, image))


def grid(path: Path) -> Grid:
    """The pages of a TIFF as a volume, a page being a slice. It does not say where it lies."""
    with opened(path) as image:
        if image.format != "TIFF" or image.mode in COLOUR or _narrowed(image):
            raise UnreadableFileError(path, "not a volume: of images, TIFFs with one grey slice per page are")
        _refuse(path, image)
        shape = (pages.count(path), image.height, image.width)
        refuse_unaffordable(path, shape, 4, "voxels")
        ends = None if depth(image) == np.float32 else (0.0, float(np.iinfo(depth(image)).max))
    return Grid(shape, None, ends, lambda: _pages(path, shape))


def _pages(path: Path, shape: tuple[int, int, int]) -> Array:
    values = np.empty(shape, np.float32)
    with opened(path) as image:
        for page, slice in enumerate(values):
            image.seek(page)
            if image.size != shape[:0:-1] or image.mode in COLOUR:
                raise UnreadableFileError(path, "has pages of different sizes or kinds")
            slice[:] = np.asarray(image.convert("L") if image.mode == "LA" else image)
    return values * np.float32(255) if image.mode == "1" else values


def _turn_to(path: Path, image: PIL.Image.Image, page: int | None) -> None:
    if image.format == "JPEG" and not page:
        return
    count = pages.count(path) if image.format == "TIFF" else getattr(image, "n_frames", 1)
    if page is None and count > 1:
        raise UnreadableFileError(
            path,
            f"holds {count} pages. Say which with `page` (`region` for a whole slide), or read them as a volume",
        )
    if page is not None and page >= count:
        raise UnreadableFileError(path, f"has no page {page}: it holds {count}, counted from 0")
    if page:
        image.seek(page)


def _refuse(path: Path, image: PIL.Image.Image) -> None:
    channels = len(image.getbands())
    refuse_unaffordable(path, (*image.size, channels), 2 if _narrowed(image) else depth(image).itemsize)
    if image.mode not in GREY | COLOUR and depth(image) == np.uint8:
        raise UnreadableFileError(path, f"colour mode {image.mode} is not supported. Save it as RGB or greyscale")


def depth(image: PIL.Image.Image) -> np.dtype[Any]:
    """The number type of one channel. Pillow calls a 16-bit PNG "I;16" or, before version 11, "I"."""
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG"):
        return np.dtype(np.uint16)
    return np.dtype(np.float32 if image.mode in ("I", "F") else np.uint8)


def _bands(path: Path, image: PIL.Image.Image) -> Bands:
    """All pixels, upright, in mode L, RGB or (16 bit and more) F."""
    if image.format == "PNG":
        _verify(path)
    if depth(image) != np.uint8:
        return bands_of(path, np.asarray(_upright(image)))
    if image.mode in ("P", "PA"):
        image = image.convert("RGBA")  # or Pillow warns of transparency that is dropped on purpose
    mode = "RGB" if image.mode in COLOUR else "L"
    image.load()
    return [_upright(image if image.mode == mode else image.convert(mode))]


def _verify(path: Path) -> None:
    """Compare the checksums of a PNG, since decoding alone lets a flipped bit pass; needs the file to itself."""
    with opened(path) as image:
        image.verify()


def _upright(image: PIL.Image.Image) -> PIL.Image.Image:
    # most files have none, and asking costs as much as decoding a small picture
    told = image.format == "TIFF" or not EXIF.isdisjoint(image.info)
    turned = told and image.getexif().get(ORIENTATION, 1) != 1
    return PIL.ImageOps.exif_transpose(image) if turned else image


def _packing(image: PIL.Image.Image) -> str:
    return " ".join(str(tile[3]) for tile in getattr(image, "tile", ()))


def _narrowed(image: PIL.Image.Image) -> bool:
    """Whether Pillow would drop a byte of 16-bit channels: the low one or, where they lie in planes, any."""
    if depth(image) != np.uint8:
        return False
    if image.format == "TIFF":
        return bool(max(_tags(image).get(BITS, (8,))) > 8)
    return ";16" in _packing(image)


def _stored(image: PIL.Image.Image) -> tuple[int, int]:
    """(width, height) in the file; some releases of Pillow give that of the upright image."""
    tags = _tags(image)
    return int(tags.get(WIDTH, image.width)), int(tags.get(HEIGHT, image.height))


def _tags(image: Any) -> Mapping[int, Any]:
    tags: Mapping[int, Any] = getattr(image, "tag_v2", {})
    return tags


def _deep(path: Path, image: PIL.Image.Image, page: int, orientation: int) -> Bands:
    if image.format == "PNG":
        _verify(path)
        values = deep.png(path)
    else:
        values = deep.tiff(path, page)
    return deep.turned(bands_of(path, values), orientation)
