"""Extraction: images whose encoder reads features become a table of them, each image looked at once."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from fusiondx.core.components import EncoderSpec, ExtractingSpec, Extractor, RawImages
from fusiondx.data.cohort import Cohort
from fusiondx.data.features import features
from fusiondx.data.images import ImageData, depth
from fusiondx.data.modalities import Modality
from fusiondx.data.tables import TableData
from fusiondx.encoders.backbone import Backbone
from fusiondx.errors import DataError


def extractors(cohort: Cohort, encoders: Mapping[str, EncoderSpec]) -> dict[str, Extractor]:
    """The extractors that these encoders ask for, by modality.

    Raises `ConfigError` where one cannot look at the images of its modality.
    """
    found = {}
    for name, spec in encoders.items():
        modality = cohort.modalities[name]
        if isinstance(spec, ExtractingSpec) and isinstance(modality.data, ImageData) and modality.present.any():
            extractor = extractor_of(spec, raw_images(modality.data))
            if extractor is not None:
                found[name] = extractor
    return found


def extractor_of(spec: EncoderSpec, images: RawImages) -> Extractor | None:
    """What an encoder's settings ask for, if they do."""
    return shared(spec, images, written(spec)) if isinstance(spec, Hashable) else drawn(spec, images)


def written(spec: EncoderSpec) -> tuple[int, int] | None:
    """Time and size of the file that an encoder's weights come from; None where that is no file."""
    if not isinstance(spec, Backbone) or spec.weights is None or not Path(spec.weights).is_file():
        return None
    state = Path(spec.weights).stat()
    return state.st_mtime_ns, state.st_size


def drawn(spec: EncoderSpec, images: RawImages) -> Extractor | None:
    """A new extractor; where its weights are drawn at random, they are the same every time."""
    if not isinstance(spec, ExtractingSpec):
        return None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        found = spec.extractor(images)
    return None if found is None else found.eval().requires_grad_(False)


@lru_cache(maxsize=8)
def shared(spec: EncoderSpec, images: RawImages, written: tuple[int, int] | None) -> Extractor | None:
    """One for all models of the same settings, for it never changes; another once its weights are `written` anew."""
    return drawn(spec, images)


def extracted(cohort: Cohort, extractors: Mapping[str, Extractor]) -> Cohort:
    """The same cohort with features in the place of images. Raises `DataError` for images of another shape."""
    changed = {
        name: described(name, cohort.modalities[name], extractor)
        for name, extractor in extractors.items()
        if name in cohort.modalities
    }
    return replace(cohort, modalities={**cohort.modalities, **changed}) if changed else cohort


def described(name: str, modality: Modality, extractor: Extractor) -> Modality:
    """One modality's images as a table with a row per image."""
    data = modality.data
    axes = len(extractor.images.size)
    if not isinstance(data, ImageData) or len(data.size) != axes:
        trained = "images" if axes == 2 else "volumes"
        raise DataError(f"'{name}' is a {modality.spec.kind} here, but the model was trained on {trained}.")
    _, rows = modality.locate(np.arange(len(modality.present)))
    if len(rows):
        refuse_other_images(name, raw_images(data.at(extractor.images.size)), extractor.images)
    table = TableData(modality.spec, features(data, rows, extractor), extractor.names, {})
    time = None if modality.time is None else modality.time[rows]
    return Modality(modality.spec, table, np.arange(len(rows)), modality.start, time, modality.unreadable)


def raw_images(data: ImageData) -> RawImages:
    """What an extractor will see of these images. Reads headers only."""
    masked = data.has_masks and data.spec.mask_use == "channel"
    return RawImages(data.channels, tuple(data.size), masked, data.white)


def refuse_other_images(name: str, found: RawImages, trained: RawImages) -> None:
    """Raise `DataError` where the images are not of the kind the model was trained on."""
    if found != trained:
        raise DataError(
            f"'{name}': the images are {told(found)}, the model was trained on {told(trained)}. Read the cohort with "
            "the same `grey`, `intensity` or `window`, and `mask_use`."
        )


def told(images: RawImages) -> str:
    """Images in words."""
    return f"{images.channels}-channel, {depth(images.white)}, {'with' if images.masked else 'without'} masks"
