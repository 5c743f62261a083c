"""Radiomics as an encoder: named features of every image, read like a table."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from pydantic import Field, field_validator
from torch import Tensor

from fusiondx.core.components import Encoder, Extractor, RawImages, Shape
from fusiondx.core.spec import Spec, spec
from fusiondx.encoders.mlp import MLP
from fusiondx.encoders.radiomics.families import FAMILIES, Family, features, names

READER = MLP(components=128, input_dropout=0.5)


@spec
class Radiomics(Spec):
    """Hand-made features of an image or volume (Zwanenburg et al. 2020); one token each.

    Of what lies inside its tumour mask where masks come with the images, otherwise of the whole. `families` are:
    first_order, texture (co-occurrence), patterns (local binary), edges, colour, symmetry, contrast (with a mask:
    against the `ring` around it), shape (masks only) and lesion (2-D images without masks only). Each image is looked
    at once, unaugmented, `size` a side (left out: in the cohort's size); `reader` turns its features into the token.

    Histogram and texture use `bins` grey levels between `limits`, or between the extremes of the region where left out.
    `distances` (texture, patterns), `scales` (edges) and `ring` are in pixels or voxels.

    >>> encoders = {"image": fdx.Radiomics(families=("first_order", "texture"))}
    >>> model = fdx.FusionModel(encoders, training=quick).fit(train)
    >>> model.predict_proba(test).shape
    (23, 2)
    """

    families: Annotated[tuple[Family, ...], Field(min_length=1)] = FAMILIES
    bins: int = Field(default=32, ge=4, le=256)
    limits: tuple[float, float] | None = None
    distances: Annotated[tuple[Annotated[int, Field(ge=1, le=16)], ...], Field(min_length=1)] = (1, 3)
    scales: Annotated[tuple[Annotated[float, Field(gt=0, le=5)], ...], Field(min_length=1)] = (1.0, 2.0, 4.0)
    ring: float = Field(default=4.0, ge=1, le=16)
    size: int | None = Field(default=None, ge=8, le=2048)
    reader: MLP = READER
    kind: Literal["radiomics"] = "radiomics"
    accepts: ClassVar[tuple[str, ...]] = ("image", "volume")

    @field_validator("limits")
    @classmethod
    def _limits_ascend(cls, limits: tuple[float, float] | None) -> tuple[float, float] | None:
        if limits is not None and not (np.isfinite(limits).all() and limits[0] < limits[1]):
            raise ValueError("limits are (low, high) with low < high, both finite")
        return limits

    def extractor(self, images: RawImages) -> Extractor:
        size = images.size if self.size is None else (self.size,) * len(images.size)
        return RadiomicsExtractor(self, images.replace(size=size))

    def build(self, shape: Shape, dim: int) -> Encoder:
        return self.reader.build(shape, dim)


class RadiomicsExtractor(Extractor):
    """The features that a spec asks for."""

    def __init__(self, spec: Radiomics, images: RawImages) -> None:
        super().__init__()
        self.settings = (spec.families, spec.bins, spec.limits, spec.distances, spec.scales, spec.ring)
        self.images = images
        self.recipe = f"radiomics 1: {self.settings!r}"
        self.names = names(images.channels, len(images.size), images.masked, *self.settings)

    def forward(
        self, pixels: Float[Tensor, channels * size], mask: Bool[Tensor, 1 * size] | None
    ) -> Float[Tensor, " features"]:
        inside = None
        if self.images.masked:
            inside = np.zeros((1, *pixels.shape[1:]), bool) if mask is None else mask.numpy()
        found = features(pixels.numpy(), inside, *self.settings)
        return torch.tensor([found[name] for name in self.names], dtype=torch.float32)
