"""Segmentation: where a model sees the tumour, image by image."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fusiondx.core.predictions import MaskPrediction
from fusiondx.core.targets import Masks, TargetValues
from fusiondx.errors import RunError

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Segmentation:
    """What a model drew in the images of one modality, at the size the cohort is read at."""

    modality: str
    ids: Array
    """The patients, shape ``(patients,)``."""
    patient: npt.NDArray[np.int64]
    """The patient, by position in `ids`, of each image; ascending."""
    probability: npt.NDArray[np.float16]
    """Of tumour, shape ``(images, *size)``."""
    truth: npt.NDArray[np.bool_]
    """Where the masks say tumour, same shape; all False for an image without a mask."""
    masked: npt.NDArray[np.bool_]
    """Which images have a mask."""

    @property
    def mask(self) -> npt.NDArray[np.bool_]:
        """Where tumour is at least as probable as not, shape ``(images, *size)``."""
        return self.probability >= 0.5

    def judged(self) -> tuple[MaskPrediction, TargetValues]:
        """Predicted, true and shared area per patient, over all images with a mask.

        Known for patients whose masks hold tumour: without any, overlap says nothing.
        """
        inside = self.mask & self.masked.reshape(-1, *[1] * (self.truth.ndim - 1))
        drawn, true, shared = (self._pixels(found) for found in (inside, self.truth, inside & self.truth))
        return MaskPrediction(self.ids, drawn, shared), TargetValues(Masks(self.modality), {"value": true}, true > 0)

    def frame(self) -> pd.DataFrame:
        """One row per patient with images: images, tumour pixels drawn; where masks hold tumour, Dice too."""
        said, truth = self.judged()
        images = np.bincount(self.patient, minlength=len(self.ids))
        table = pd.DataFrame(
            {
                "images": images,
                "tumour_pixels": self._pixels(self.mask).astype(np.int64),
                "dice": pd.Series(said.dice(truth.fields["value"])).where(truth.known),
            }
        )
        return table.set_index(pd.Index(self.ids, name="patient_id"))[images > 0]

    def save(self, folder: str | Path) -> Path:
        """Write each mask as ``<number>_<patient>_<image>.png`` (255 in the tumour) or, of a volume, ``.nii.gz``.

        Characters of an id that a file name cannot hold become ``_``; the number keeps names apart. Raises `RunError`
        where the folder exists or cannot be written.
        """
        place = Path(folder)
        try:
            place.mkdir(parents=True)
            first = np.searchsorted(self.patient, self.patient)
            for row, (owner, mask) in enumerate(zip(self.patient, self.mask, strict=True)):
                name = f"{owner + 1}_{re.sub(r'[^A-Za-z0-9-]', '_', str(self.ids[owner]))}_{row - first[row] + 1}"
                write(mask, place / name)
        except OSError as error:
            raise RunError(f"The masks could not be written to {place}: {error.strerror or error}.") from error
        return place

    def _pixels(self, inside: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
        per_image = inside.reshape(len(inside), -1).sum(axis=1)
        return np.bincount(self.patient, weights=per_image, minlength=len(self.ids)).astype(np.float64)


def write(mask: npt.NDArray[np.bool_], path: Path) -> None:
    """A mask as PNG; a volume's as NIfTI, its first axis from inferior to superior, in voxels of no declared size."""
    if mask.ndim == 2:
        from PIL import Image

        Image.fromarray(mask.astype(np.uint8) * 255).save(path.with_name(path.name + ".png"))
        return
    import nibabel  # late: only volumes need it

    voxels = mask.transpose(2, 1, 0).astype(np.uint8)  # NIfTI counts from left to right, to anterior, to superior
    nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), path.with_name(path.name + ".nii.gz"))
