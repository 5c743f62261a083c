"""Colour at 16 bit per channel, which Pillow would narrow to 8: PNG by torchvision, TIFF by tifffile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL.Image import Transpose

from fusiondx.data.cache import UnreadableFileError
from fusiondx.data.raster import Bands
from fusiondx.errors import MissingPackageError

Array = npt.NDArray[Any]

TURNS = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}
"""How an image of each EXIF orientation is set upright."""


def png(path: Path) -> npt.NDArray[np.uint16]:
    """Pixels of shape ``(height, width, 3)``, or ``(height, width)`` for grey with alpha; alpha is dropped."""
    import torch  # torchvision's decoder has no other way in

    try:
        from torchvision.io import ImageReadMode, decode_image
    except ImportError as error:
        raise MissingPackageError(f"{path}: 16-bit colour PNG needs a torchvision with decoders, or TIFF.") from error
    content = torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.uint8)
    values = decode_image(content, mode=ImageReadMode.UNCHANGED).numpy()
    return values[0] if len(values) < 3 else np.moveaxis(values[:3], 0, -1)


def tiff(path: Path, page: int) -> npt.NDArray[np.uint16]:
    """Pixels of shape ``(height, width, 3)``; alpha is dropped.

    Raises `MissingPackageError` for a compression that needs imagecodecs, `UnreadableFileError` for other colours
    than RGB.
    """
    import tifffile

    with tifffile.TiffFile(path) as file:
        found = file.pages[page]
        if found.photometric != tifffile.PHOTOMETRIC.RGB:
            raise UnreadableFileError(path, "16-bit colour other than RGB is not supported. Save it as RGB")
        try:
            values = found.asarray()
        except ValueError as error:
            if "imagecodecs" in str(error):
                raise MissingPackageError(
                    f"{path}: 16-bit colour with {found.compression.name} compression needs: pip install imagecodecs."
                ) from error
            raise
    planes = values if found.planarconfig == tifffile.PLANARCONFIG.SEPARATE else np.moveaxis(values, -1, 0)
    return np.moveaxis(planes[:3], 0, -1)


def turned(bands: Bands, orientation: int) -> Bands:
    """The bands set upright."""
    turn = TURNS.get(orientation)
    return bands if turn is None else [band.transpose(turn) for band in bands]


def size(stored: tuple[int, int], orientation: int) -> tuple[int, int]:
    """(width, height) of the upright image."""
    return stored[::-1] if orientation >= 5 else stored
