"""Whole-slide images (SVS, pyramidal TIFF): a region, or the whole at low resolution. Knows tiffslide."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

from fusiondx.data.cache import UnreadableFileError, why
from fusiondx.data.raster import Bands, Part, Raster, Region, bands_of, kept_as, refuse_unaffordable
from fusiondx.errors import MissingPackageError

Size = tuple[int, int]


@contextmanager
def raster(path: Path, part: Part) -> Iterator[Raster]:
    """The region that `part` means. Raises `UnreadableFileError`, and `MissingPackageError` without tiffslide."""
    region = part.region or Region()
    with _opened(path) as slide:
        level = _level(path, slide, region, part.least)
        corner, stored, wanted = _extent(path, slide, region, level)
        channels, dtype = _kind(path, slide, level)
        refuse_unaffordable(path, (*stored, channels), dtype.itemsize)

        def bands() -> Bands:
            values = np.asarray(slide.read_region(corner, level, stored, as_array=True, padding=False))
            read = bands_of(path, values[..., 0] if channels == 1 else values[..., :3])
            return read if wanted == stored else [band.resize(wanted, PIL.Image.Resampling.BILINEAR) for band in read]

        yield Raster(channels, kept_as(dtype), lambda: wanted, bands)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        from tiffslide import TiffSlide
    except ImportError as error:
        raise MissingPackageError("Regions of whole-slide images need tiffslide: pip install fusiondx[wsi].") from error

    try:
        with TiffSlide(path) as slide:
            yield slide
    except UnreadableFileError:
        raise
    except OSError as error:
        raise UnreadableFileError(path, why(error) if error.errno else "damaged or truncated") from None
    except Exception:  # tifffile and zarr raise many kinds for damaged files, and quote their descriptions
        raise UnreadableFileError(path, "not a whole-slide TIFF that can be read, or damaged") from None


def _level(path: Path, slide: Any, region: Region, least: Size) -> int:
    """The pyramid level to read from: the one asked for, else the coarsest that is fine enough."""
    count = len(slide.level_dimensions)
    if region.level is not None:
        if region.level >= count:
            raise UnreadableFileError(path, f"has no level {region.level}: it holds {count}, counted from 0")
        return region.level
    if region.mpp is not None:
        coarsest = max(1.0, region.mpp / max(_mpp(path, slide)))
        return max(n for n in range(count) if slide.level_downsamples[n] <= 1.01 * coarsest)
    if region.box[0] is not None:
        return 0
    fine = [n for n, size in enumerate(slide.level_dimensions) if size[0] >= least[0] and size[1] >= least[1]]
    return max(fine, default=0)


def _mpp(path: Path, slide: Any) -> tuple[float, float]:
    """Micrometres per pixel of the finest level, across and down."""
    found = [slide.properties.get(f"tiffslide.mpp-{axis}") for axis in "xy"]
    across, down = (float(value or 0) for value in found)
    if not (across > 0 and down > 0):
        raise UnreadableFileError(path, "does not say its micrometres per pixel. Choose by `level` instead of `mpp`")
    return across, down


def _extent(path: Path, slide: Any, region: Region, level: int) -> tuple[Size, Size, Size]:
    """The corner in pixels of the finest level, the size to read in pixels of `level`, and the size that is wanted."""
    whole, here = slide.level_dimensions[0], slide.level_dimensions[level]
    scale = (1.0, 1.0)
    if region.mpp is not None:
        scale = tuple(region.mpp / mpp * n / w for mpp, n, w in zip(_mpp(path, slide), here, whole, strict=True))
    if region.box[0] is None:
        return (0, 0), here, tuple(max(1, round(n / factor)) for n, factor in zip(here, scale, strict=True))
    x, y, *wanted = (int(value or 0) for value in region.box)
    stored = tuple(max(1, round(n * factor)) for n, factor in zip(wanted, scale, strict=True))
    ends = (int(start * n / w) + size for start, n, w, size in zip((x, y), here, whole, stored, strict=True))
    if any(end > n for end, n in zip(ends, here, strict=True)):
        raise UnreadableFileError(
            path, "the region reaches beyond the slide. x and y are in pixels of the finest level"
        )
    return (x, y), (stored[0], stored[1]), (wanted[0], wanted[1])


def _kind(path: Path, slide: Any, level: int) -> tuple[int, np.dtype[Any]]:
    """Channels that are kept, 1 or 3, and the number type."""
    group, axes = slide.zarr_group, slide.properties["tiffslide.series-axes"]
    array = group if hasattr(group, "dtype") else group[str(level)]
    if axes not in ("YX", "YXS", "CYX"):
        raise UnreadableFileError(path, "is no plain slide: it has more than colour, height and width")
    stored = dict(zip(axes, array.shape, strict=True))
    return 3 if max(stored.get("S", 1), stored.get("C", 1)) >= 3 else 1, np.dtype(array.dtype)
