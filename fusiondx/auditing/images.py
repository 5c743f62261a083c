"""Images: is one picture in both training and test, under two patients?"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.fft import dctn

from fusiondx.auditing.case import Case
from fusiondx.data.images import ImageData
from fusiondx.errors import counted, listed

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
SIDE = 32
"""Pixels on a side to which images are reduced before they are compared."""
FREQUENCIES = 16
"""Lowest frequencies kept in either direction."""
ALIKE = 0.15
"""Share of bits that may differ in copies: resized, recompressed, brightened, with noise."""
BLOCK = 2048


def near_duplicates(case: Case) -> str | None:
    """FDX003. Pairs of patients parted by a fold who share a picture, by perceptual hash."""
    found: dict[tuple[int, int], str] = {}
    for name, modality in case.cohort.modalities.items():
        if isinstance(modality.data, ImageData) and modality.present.any():
            patient, rows = modality.locate(np.arange(len(case.cohort)))
            one, other = copies(hashes(modality.data, rows))
            different = patient[one] != patient[other]
            pairs = np.stack([patient[one], patient[other]], axis=1)[different]
            apart = case.parted(pairs[:, 0], pairs[:, 1])
            found |= {(int(min(p)), int(max(p))): name for p in pairs[apart]}
    if not found:
        return None
    ids = case.cohort.ids
    pairs_named = [f"{ids[a]} and {ids[b]} ('{name}')" for (a, b), name in found.items()]
    return (
        f"{counted(len(found), 'pair')} of patients parted by a fold with nearly the same image: {listed(pairs_named)}."
    )


def hashes(data: ImageData, rows: Array) -> Array:
    """A perceptual hash of each image, ``(images, bits)``: which low-frequency coefficients of the cosine transform are
    above this cohort's median, so that what all its images have in common does not count."""
    pixels = data.pixels()
    kept = np.stack([coefficients(np.asarray(pixels[row], dtype=np.float64)) for row in rows])
    return kept > np.median(kept, axis=0)


def coefficients(image: Floats) -> Floats:
    """Low frequencies, without the mean, of an image (of a volume: its middle slice) whatever its size and contrast."""
    grey = image.mean(axis=0)
    while grey.ndim > 2:
        grey = grey[len(grey) // 2]
    small = shrunk(shrunk(grey, 0), 1)
    found = dctn(small - small.mean(), norm="ortho")[:FREQUENCIES, :FREQUENCIES].ravel()[1:]
    return np.asarray(found / (np.abs(found).sum() or 1.0))


def shrunk(grey: Floats, axis: int) -> Floats:
    """Block means along one axis, `SIDE` of them; smaller images are repeated."""
    edges = np.linspace(0, grey.shape[axis], SIDE + 1)
    starts, ends = np.floor(edges[:-1]).astype(int), np.ceil(edges[1:]).astype(int)
    blocks = [
        grey.take(np.arange(a, max(b, a + 1)), axis=axis).mean(axis=axis) for a, b in zip(starts, ends, strict=True)
    ]
    return np.stack(blocks, axis=axis)


def copies(bits: Array) -> tuple[Array, Array]:
    """Pairs of images whose hashes differ in few bits."""
    signs = np.where(bits, 1, -1).astype(np.float32)
    enough = (1 - 2 * ALIKE) * bits.shape[1]
    pairs = [np.zeros((2, 0), dtype=np.int64)]
    for start in range(0, len(signs), BLOCK):
        one, other = np.nonzero(signs[start : start + BLOCK] @ signs.T > enough)
        keep = one + start < other
        pairs.append(np.stack([one[keep] + start, other[keep]]))
    together = np.concatenate(pairs, axis=1)
    return together[0], together[1]
