"""DICOM files: what is needed of the header and nothing else, and the pixels. Knows pydicom.

No value of a header ever enters a message, a log or a file: only the elements in `WANTED` are read, and what pydicom
says about any of them is not repeated.
"""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fusiondx.data.cache import UnreadableFileError, why
from fusiondx.data.raster import Part, Raster, bands_of, kept_as, refuse_unaffordable
from fusiondx.errors import MissingPackageError

Array = npt.NDArray[Any]

PIXELS = (
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "Rows",
    "Columns",
    "SamplesPerPixel",
    "NumberOfFrames",
    "PixelRepresentation",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "RedPaletteColorLookupTableDescriptor",
    "GreenPaletteColorLookupTableDescriptor",
    "BluePaletteColorLookupTableDescriptor",
    "RedPaletteColorLookupTableData",
    "GreenPaletteColorLookupTableData",
    "BluePaletteColorLookupTableData",
    "SegmentedRedPaletteColorLookupTableData",
    "SegmentedGreenPaletteColorLookupTableData",
    "SegmentedBluePaletteColorLookupTableData",
)
"""Elements that say how pixels are stored."""
VALUES = (
    "RescaleSlope",
    "RescaleIntercept",
    "ModalityLUTSequence",
    "WindowCenter",
    "WindowWidth",
    "VOILUTFunction",
)
"""Elements that say what stored numbers mean."""
PLACE = (
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "SliceThickness",
    "SpacingBetweenSlices",
    "SeriesInstanceUID",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
)
"""Elements that say where pixels lie, and of which series they are."""
WANTED = [*PIXELS, *VALUES, *PLACE]
STORED = ("PixelData", "ExtendedOffsetTable", "ExtendedOffsetTableLengths")
COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT", "PALETTE COLOR")
GREYS = ("MONOCHROME1", "MONOCHROME2")
DEFLATED = "1.2.840.10008.1.2.1.99"

QUIET = threading.RLock()
"""Held while pydicom is silenced, since that setting is the process's and not a thread's."""


@dataclass(frozen=True)
class Plane:
    """One frame: what its stored numbers mean, and where it lies (in LPS, mm), as far as the header says so."""

    slope: float
    intercept: float
    window: tuple[float, float] | None
    position: tuple[float, ...] | None
    orientation: tuple[float, ...] | None
    """Direction along a row, then down a column."""
    spacing: tuple[float, ...] | None
    """Between rows, between columns."""
    thickness: float | None


@dataclass(frozen=True)
class Header:
    """What is needed of a file's header."""

    rows: int
    columns: int
    stored: np.dtype[Any]
    """The number type of the pixels, before rescaling."""
    ends: tuple[float, float]
    """Smallest and largest number that can be stored."""
    photometric: str
    series: str
    planes: tuple[Plane, ...]
    """One per frame."""

    @property
    def colour(self) -> bool:
        return self.photometric in COLOURS


def is_dicom(path: Path) -> bool:
    """Whether the file begins as DICOM files do."""
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


@contextmanager
def mended(path: Path) -> Iterator[None]:
    """Whatever goes wrong in here becomes one error, without a value and without a cause that holds one."""
    try:
        yield
    except (UnreadableFileError, MissingPackageError):
        raise
    except OSError as error:
        reason = why(error) if error.errno else "damaged or truncated"
        raise UnreadableFileError(path, reason) from None
    except Exception:  # pydicom and its decoders raise many kinds for damaged files, with values in their messages
        raise UnreadableFileError(path, "not a DICOM image, damaged or truncated") from None


@contextmanager
def silenced() -> Iterator[None]:
    """Whatever pydicom warns of or logs in here, which may quote values, is not heard."""
    from pydicom.config import disable_value_validation

    log = logging.getLogger("pydicom")
    with QUIET, warnings.catch_warnings(), disable_value_validation():
        warnings.simplefilter("ignore")
        before, log.disabled = log.disabled, True
        try:
            yield
        finally:
            log.disabled = before


def dataset(path: Path, names: Sequence[str]) -> Any:
    """Some elements of a file, converted; nothing that pydicom says of them gets out."""
    import pydicom

    with silenced():
        found = pydicom.dcmread(path, stop_before_pixels="PixelData" not in names, specific_tags=list(names))
        for element in found:
            _ = element.value  # converted while silenced
    return found


def header(path: Path) -> Header:
    """Raises `UnreadableFileError` for what is no image, is damaged, not supported or beyond the budget, and
    `MissingPackageError` where its compression needs a decoder that is not installed."""
    with mended(path):
        _refuse_deflated(path)
        found = dataset(path, WANTED)
        _refuse_undecodable(path, str(found.file_meta.TransferSyntaxUID))
        return _header(path, found)


def _refuse_deflated(path: Path) -> None:
    """Such a file is unpacked before its header can be read, and nothing says how large it will be."""
    from pydicom.filereader import read_file_meta_info

    with silenced():
        if read_file_meta_info(path).get("TransferSyntaxUID") == DEFLATED:
            raise UnreadableFileError(path, "is compressed as a whole (deflated). Save it without that")


def _refuse_undecodable(path: Path, syntax: str) -> None:
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import UID, AllTransferSyntaxes

    if syntax not in AllTransferSyntaxes:
        raise UnreadableFileError(path, "has a transfer syntax that is not of the standard. Convert it")
    if not UID(syntax).is_compressed:
        return
    try:
        decoder = get_decoder(UID(syntax))
    except NotImplementedError:  # what pydicom raises for a compression it has no decoder for
        raise UnreadableFileError(path, f"is compressed as {UID(syntax).name}, which is not supported") from None
    if not decoder.is_available:
        needs = " or ".join(text.partition(" - requires ")[2] for text in decoder.missing_dependencies)
        raise MissingPackageError(
            f"{path} is compressed as {UID(syntax).name}, for which no decoder is installed. Install {needs}."
        )


def _header(path: Path, found: Any) -> Header:
    photometric = str(found.PhotometricInterpretation)
    if photometric not in COLOURS + GREYS:
        raise UnreadableFileError(path, "has colours that are not supported. Save it as RGB or grey")
    if "ModalityLUTSequence" in found and len(found.ModalityLUTSequence):
        raise UnreadableFileError(path, "gives its values by a table (Modality LUT), which is not supported")
    stored, ends = _numbers(path, found)
    frames, rows, columns = int(found.get("NumberOfFrames") or 1), int(found.Rows), int(found.Columns)
    # four bytes: grey values may become float32 on the way
    refuse_unaffordable(path, (frames, rows, columns, 3 if photometric in COLOURS else 1), max(4, stored.itemsize))
    planes = tuple(_plane(_layers(found, n)) for n in range(frames))
    return Header(rows, columns, stored, ends, photometric, str(found.get("SeriesInstanceUID", "")), planes)


def _numbers(path: Path, found: Any) -> tuple[np.dtype[Any], tuple[float, float]]:
    """The number type of the pixels, and the smallest and largest that can be stored."""
    if found.PhotometricInterpretation == "PALETTE COLOR":
        bits = 16 if int(found.RedPaletteColorLookupTableDescriptor[2]) > 8 else 8
        return np.dtype(f"u{bits // 8}"), (0.0, 2.0**bits - 1)
    signed, allocated, bits = int(found.PixelRepresentation), int(found.BitsAllocated), int(found.BitsStored)
    if allocated not in (1, 8, 16, 32) or not 1 <= bits <= allocated:
        raise UnreadableFileError(path, "claims a number of bits that cannot be")
    stored = np.dtype(f"{'i' if signed else 'u'}{max(1, allocated // 8)}")
    return stored, (-(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1) if signed else (0.0, 2.0**bits - 1)


def _layers(found: Any, frame: int) -> list[Any]:
    """Where to look for what holds of a frame: at its own functional groups, those of all frames, the file itself."""
    groups = list(found.get("PerFrameFunctionalGroupsSequence") or [])[frame : frame + 1]
    groups += list(found.get("SharedFunctionalGroupsSequence") or [])
    inner = [
        item
        for group in groups
        for name in (
            "PlanePositionSequence",
            "PlaneOrientationSequence",
            "PixelMeasuresSequence",
            "PixelValueTransformationSequence",
            "FrameVOILUTSequence",
        )
        for item in (group.get(name) or [])[:1]
    ]
    return [*inner, found]


def _plane(layers: Sequence[Any]) -> Plane:
    def first(name: str, count: int) -> tuple[float, ...] | None:
        for layer in layers:
            value = layer.get(name)
            if value is not None and value != "":
                numbers = tuple(float(v) for v in np.atleast_1d(np.asarray(value, dtype=float)))
                if len(numbers) < count or not np.isfinite(numbers).all():
                    raise ValueError(name)
                return numbers[:count]
        return None

    slope, intercept = first("RescaleSlope", 1) or (1.0,), first("RescaleIntercept", 1) or (0.0,)
    thickness = first("SpacingBetweenSlices", 1) or first("SliceThickness", 1)
    centre, width = first("WindowCenter", 1), first("WindowWidth", 1)
    functions = [str(layer.get("VOILUTFunction") or "") for layer in layers]
    return Plane(
        slope=slope[0],
        intercept=intercept[0],
        window=_window(centre[0], width[0], "LINEAR_EXACT" in functions) if centre and width else None,
        position=first("ImagePositionPatient", 3),
        orientation=first("ImageOrientationPatient", 6),
        spacing=first("PixelSpacing", 2),
        thickness=abs(thickness[0]) or None if thickness else None,
    )


def _window(centre: float, width: float, exact: bool) -> tuple[float, float] | None:
    """From black to white (DICOM PS3.3 C.11.2.1.2); the sigmoid function is read as its linear one."""
    low, high = (centre - width / 2, centre + width / 2) if exact else (centre - width / 2, centre + width / 2 - 1)
    return (low, high) if high > low else None


def frames(path: Path, header: Header, which: int | None = None) -> Array:
    """The frames' values, or one frame's: rescaled, MONOCHROME1 turned round within the range of what can be stored.

    Shape ``(frames, rows, columns)``, without ``frames`` for one, with ``3`` at the end for colour. Stored numbers keep
    their type where nothing is rescaled.
    """
    from pydicom.pixels.processing import apply_color_lut
    from pydicom.pixels.utils import pixel_array

    with mended(path):
        found = dataset(path, [*PIXELS, *STORED])
        values = pixel_array(found, index=which)
        if header.photometric == "PALETTE COLOR":
            values = apply_color_lut(values, found)
    planes = header.planes if which is None else header.planes[which : which + 1]
    if header.colour or not (_turned(header) or any(map(_rescaled, planes))):
        return values
    stack = values.reshape(len(planes), header.rows, header.columns)
    return np.stack([_meant(*both, header) for both in zip(stack, planes, strict=True)]).reshape(values.shape)


def _turned(header: Header) -> bool:
    return header.photometric == "MONOCHROME1"


def _rescaled(plane: Plane) -> bool:
    return (plane.slope, plane.intercept) != (1, 0)


def _meant(stored: Array, plane: Plane, header: Header) -> Array:
    values = stored.astype(np.float64)
    if _turned(header):
        values = sum(header.ends) - values
    kept = np.float32 if _rescaled(plane) else stored.dtype
    return (values * plane.slope + plane.intercept).astype(kept)


def window_of(header: Header, plane: Plane) -> tuple[float, float] | None:
    """The window a file asks for, in the values as `frames` gives them; everything for colour, which needs none."""
    if header.colour:
        return header.ends
    if plane.window is None or not _turned(header):
        return plane.window
    low, high = plane.window
    ends = plane.slope * sum(header.ends) + 2 * plane.intercept
    return ends - high, ends - low


def whole_range(header: Header) -> tuple[float, float] | None:
    """Between which the values of a grey file lie, where all are whole numbers."""
    scales = {(plane.slope, plane.intercept) for plane in header.planes}
    if not all(number.is_integer() for scale in scales for number in scale):
        return None
    ends = [slope * end + intercept for slope, intercept in scales for end in header.ends]
    return min(ends), max(ends)


def raster(path: Path, part: Part) -> Raster:
    """One frame as a picture."""
    found = header(path)
    count = len(found.planes)
    if part.page is None and count > 1:
        raise UnreadableFileError(path, f"holds {count} frames. Say which with `page`, or read them as a volume")
    page = part.page or 0
    if page >= count:
        raise UnreadableFileError(path, f"has no frame {page}: it holds {count}, counted from 0")
    kept = np.dtype(np.float32) if _rescaled(found.planes[page]) and not found.colour else kept_as(found.stored)
    return Raster(
        channels=3 if found.colour else 1,
        dtype=kept,
        size=lambda: (found.columns, found.rows),
        bands=lambda: bands_of(path, frames(path, found, page)),
        window=window_of(found, found.planes[page]),
    )
