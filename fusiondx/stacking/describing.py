"""Describing: every modality as one or several tables, which classical models can read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fusiondx.core.components import EncoderSpec, Extractor
from fusiondx.data.bags import PIECE, BagData
from fusiondx.data.cohort import Cohort
from fusiondx.data.images import ImageData
from fusiondx.data.modalities import Modality
from fusiondx.data.picture import Image
from fusiondx.data.tables import Table, TableData
from fusiondx.data.volumes import Volume
from fusiondx.encoders import PRETRAINED, Radiomics, packaged
from fusiondx.extraction import described, extractor_of, raw_images

Floats = npt.NDArray[np.floating[Any]]

CUT = "network of the tumour"
MARGIN = 0.2
"""Of a cut, in sides of the tumour's box."""
FOUND = Table(numeric=("*",))
"""What a table of features found in images or patches is."""


@dataclass(frozen=True, eq=False)
class Description:
    """A table made of one modality."""

    name: str
    modality: str
    encoder: EncoderSpec | None = None
    """Settings of what looks at its images; None where it is a table, or a bag, already."""
    extractor: Extractor | None = None
    cropped: bool = False
    """Whether its images are cut to their tumour masks first."""

    def of(self, cohort: Cohort) -> Modality:
        """The table, as a modality of the same patients."""
        modality = cohort.modalities[self.modality]
        if self.extractor is not None:
            seen = cropped(modality) if self.cropped else modality
            modality = described(self.modality, seen, self.extractor)
        elif isinstance(modality.data, BagData):
            modality = averaged(modality, modality.data)
        return replace(modality, spec=FOUND) if self.extractor is not None else modality


def descriptions(cohort: Cohort) -> tuple[Description, ...]:
    """How each modality is described: tables as they are, bags by mean and spread of their patches, images by radiomics
    and, where one is installed, by a pretrained network that does not train."""
    found: list[Description] = []
    for name, modality in cohort.modalities.items():
        if not modality.present.any():
            continue
        if not isinstance(modality.data, ImageData):
            # a bag keeps its name, under which models of the user's own read it
            found.append(Description(f"{name}: patches" if isinstance(modality.data, BagData) else name, name))
            continue
        found += [looked_at(name, modality, label, spec) for label, spec in describers(modality.data).items()]
    return tuple(found)


def looked_at(name: str, modality: Modality, label: str, encoder: EncoderSpec) -> Description:
    """A description of images by what `encoder` looks at them with."""
    cut = label == CUT
    data = (cropped(modality) if cut else modality).data
    assert isinstance(data, ImageData)
    return Description(f"{name}: {label}", name, encoder, extractor_of(encoder, raw_images(data)), cut)


def describers(data: ImageData) -> dict[str, EncoderSpec]:
    """What looks at these images, by name."""
    pretrained: dict[str, EncoderSpec] = {}
    if len(data.size) == 2 and data.white is not None and packaged():
        pretrained = {"network": PRETRAINED, **({CUT: PRETRAINED} if data.masks is not None else {})}
    return {**pretrained, "radiomics": Radiomics()}


def cropped(modality: Modality) -> Modality:
    """The same images, cut to their tumour masks with a margin; whole where there is none."""
    data, spec = modality.data, modality.spec
    assert isinstance(data, ImageData)
    assert isinstance(spec, Image | Volume)
    cut = spec.replace(mask_use="crop", margin=MARGIN)
    return replace(modality, spec=cut, data=ImageData(cut, data.paths, data.masks, data.cache))


def described_by(descriptions: tuple[Description, ...], cohort: Cohort) -> Cohort:
    """The same patients with tables beside their modalities; without those of modalities the cohort lacks."""
    tables: Mapping[str, Modality] = {d.name: d.of(cohort) for d in descriptions if d.modality in cohort.modalities}
    return replace(cohort, modalities={**cohort.modalities, **tables})


def averaged(modality: Modality, data: BagData) -> Modality:
    """Mean and standard deviation of every feature over a bag's patches, a row per bag."""
    rows = [moments(data, int(row)) for row in modality.rows]
    names = tuple(f"feature {j} {part}" for part in ("mean", "sd") for j in range(data.width))
    values = np.stack(rows).astype(np.float32) if rows else np.zeros((0, len(names)), np.float32)
    return Modality(FOUND, TableData(FOUND, values, names, {}), np.arange(len(rows)), modality.start)


def moments(data: BagData, row: int) -> Floats:
    """Of one bag; read piece by piece, so that memory stays flat."""
    total, squares, length = np.zeros(data.width), np.zeros(data.width), int(data.lengths[row])
    for start in range(0, length, PIECE):
        patches = data.patches(row, slice(start, min(start + PIECE, length))).astype(np.float64)
        total += patches.sum(axis=0)
        squares += np.square(patches).sum(axis=0)
    mean = total / length
    return np.concatenate([mean, np.sqrt(np.maximum(squares / length - mean**2, 0.0))])
