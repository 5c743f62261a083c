"""Places: heat maps of every modality with images, by whichever method its encoder allows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fusiondx.data.images import ImageData
from fusiondx.data.preprocess import TablePreparation
from fusiondx.encoders.frozen import FrozenBackbone
from fusiondx.explain import heat, rollout, unfrozen
from fusiondx.explain.case import Case
from fusiondx.explain.heat import HeatMaps, Method
from fusiondx.explain.probe import Probe

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Mapper:
    """How the images of one modality are mapped."""

    modality: str
    method: str
    maps: Callable[[Probe, Array], Tensor]
    """Of the items of the patients at these places of the cohort, shape ``(items, *size)``."""


def mappers(case: Case, method: Method) -> list[Mapper]:
    """One for each modality whose images can be mapped."""
    found = [mapper(case, name, method) for name, read in case.reads.items() if read == (name,)]
    return [each for each in found if each is not None]


def mapper(case: Case, name: str, method: Method) -> Mapper | None:
    """How one modality's images are mapped; None for what are no images, or where nothing tells of places."""
    modality = case.cohort.modalities.get(name)
    if modality is None or not isinstance(modality.data, ImageData):
        return None
    encoder, extractor = case.model.networks_[0].encoders[name], case.model.extractors_.get(name)
    if isinstance(extractor, FrozenBackbone):
        inside: Method = "hirescam" if method == "integrated" else method
        return Mapper(name, inside, lambda probe, at: frozen_maps(case, probe, name, at, inside))
    if rollout.transformer(encoder) is not None and not heat.reads_maps(encoder):
        return Mapper(name, rollout.METHOD, lambda probe, at: rollout.rollout(probe, name))
    if method == "integrated" and extractor is None:
        return Mapper(name, method, lambda probe, at: heat.integrated(probe, name))
    if heat.reads_maps(encoder):
        return Mapper(name, method, lambda probe, at: heat.cam(probe, name, method))
    return None


def frozen_maps(case: Case, probe: Probe, name: str, at: Array, method: Method) -> Tensor:
    """Maps of images that a frozen network described: it looks at them again."""
    extractor, preparation = case.model.extractors_[name], case.model.preparations_[name]
    modality = case.cohort.modalities[name]
    assert isinstance(extractor, FrozenBackbone)
    assert isinstance(preparation, TablePreparation)
    assert isinstance(modality.data, ImageData)
    images = modality.data.at(extractor.images.size).decoded(modality.locate(at)[1].tolist())
    slopes = unfrozen.slopes(probe, name, preparation, extractor.names)
    return unfrozen.cam(extractor, images, slopes, tuple(modality.data.size), method)


def together(case: Case, mapper: Mapper, parts: Sequence[Tensor]) -> HeatMaps:
    """The maps of all batches as those of one cohort."""
    place, _ = case.cohort.modalities[mapper.modality].locate(np.arange(len(case.cohort)))
    values = torch.cat(list(parts)).numpy().astype(np.float32)
    return HeatMaps(mapper.modality, case.cohort.ids, place, values, mapper.method)
