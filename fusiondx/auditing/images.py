"""Images: is one picture in both training and test, under two patients?"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.fft import dctn

from fusiondx.auditing.case import Case, Told
from fusiondx.data.images import ImageData
from fusiondx.errors import counted, listed
from fusiondx.evaluation.ratio import ratio

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
SIDE = 32
"""Pixels on a side to which images are reduced before they are compared."""
FREQUENCIES = 16
"""Lowest frequencies kept in either direction."""
ALIKE = 0.15
"""Share of bits that may differ in copies: resized, recompressed, brightened, with noise."""
AGREE = 0.9
"""Cosine that the coefficients of copies reach, of whom copies of 60 slices of brain tumours (brighter, noisier,
smaller) had 0.95 at least; the one pair of two patients whose hashes were alike by chance had 0.81."""
BLOCK = 2048


def near_duplicates(case: Case) -> Told | None:
    """FDX003. Pairs of patients parted by a fold who share a picture, by perceptual hash."""
    found: dict[tuple[int, int], str] = {}
    for name, modality in case.cohort.modalities.items():
        if isinstance(modality.data, ImageData) and modality.present.any():
            patient, rows = modality.locate(np.arange(len(case.cohort)))
            one, other = copies(described(modality.data, rows))
            different = patient[one] != patient[other]
            pairs = np.stack([patient[one], patient[other]], axis=1)[different]
            apart = case.parted(pairs[:, 0], pairs[:, 1])
            found |= {(int(min(p)), int(max(p))): name for p in pairs[apart]}
    if not found:
        return None
    ids = case.cohort.ids
    pairs_named = [f"{ids[a]} and {ids[b]} ('{name}')" for (a, b), name in found.items()]
    message = f"{counted(len(found), 'pair')} of patients parted by a fold with nearly the same image."
    return Told(message, listed(pairs_named))


def described(data: ImageData, rows: Array) -> Floats:
    """Low-frequency coefficients of each image's cosine transform, ``(images, coefficients)``, less this cohort's
    median, so that what all its images have in common does not count."""
    pixels = data.pixels()
    kept = np.stack([coefficients(np.asarray(pixels[row], dtype=np.float64)) for row in rows])
    return np.asarray(kept - np.median(kept, axis=0))


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


def copies(kept: Floats) -> tuple[Array, Array]:
    """Pairs of images whose hashes, the signs of their coefficients, differ in few bits, and whose coefficients agree.

    Signs alone are quick, but may agree in two odd images that have nothing in common but their oddity.
    """
    signs = np.where(kept > 0, 1, -1).astype(np.float32)
    enough = (1 - 2 * ALIKE) * kept.shape[1]
    pairs = [np.zeros((2, 0), dtype=np.int64)]
    for start in range(0, len(signs), BLOCK):
        one, other = np.nonzero(signs[start : start + BLOCK] @ signs.T > enough)
        keep = one + start < other
        pairs.append(np.stack([one[keep] + start, other[keep]]))
    together = np.concatenate(pairs, axis=1)
    one, other = kept[together[0]], kept[together[1]]
    cosine = ratio((one * other).sum(axis=1), np.sqrt((one**2).sum(axis=1) * (other**2).sum(axis=1)))
    return together[0][cosine >= AGREE], together[1][cosine >= AGREE]
