"""Fully convolutional network."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, ClassVar, Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from fusiondx.core.batch import Items
from fusiondx.core.components import Encoder, ImageShape, Shape
from fusiondx.core.spec import Spec, spec
from fusiondx.core.tokens import Tokens
from fusiondx.encoders.convolution import channels_last, convolution, halving
from fusiondx.encoders.grid import Grid
from fusiondx.encoders.readout import Readout
from fusiondx.encoders.segmenter import Segmenter


@spec
class FCN(Spec):
    """Fully convolutional network (Long et al. 2015), in 2-D or 3-D; one token per image, or `grid` cells a side.

    As in FCN-8s, the deepest stage's score map is enlarged and added to the scores of the two stages before it. The
    token reads mean and standard deviation of every score over the image, beside those of the pixels. Any size will do.

    Where the modality's masks are to be learnt (``mask_use: segment``) it learns to segment as well, at the weight
    `segmentation` in the loss, and the token describes the tumour it sees.

    >>> encoders = {"image": fdx.FCN(channels=(4, 8, 16, 16), scores=8)}
    >>> model = fdx.FusionModel(encoders, training=quick).fit(train)
    >>> model.predict_proba(test).shape
    (23, 2)
    """

    channels: tuple[Annotated[int, Field(ge=2)], ...] = Field(default=(16, 32, 64, 128), min_length=3)
    scores: int = Field(default=32, ge=1)
    dropout: float = Field(default=0.3, ge=0, lt=1)
    segmentation: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    grid: int = Field(default=1, ge=1, le=16)
    kind: Literal["fcn"] = "fcn"
    accepts: ClassVar[tuple[str, ...]] = ("image", "volume")

    def build(self, shape: Shape, dim: int) -> Encoder:
        assert isinstance(shape, ImageShape)
        return FCNEncoder(self, shape, dim)


class FCNEncoder(Encoder):
    def __init__(self, spec: FCN, shape: ImageShape, dim: int) -> None:
        super().__init__()
        flat = len(shape.size) == 2
        self.mode = "bilinear" if flat else "trilinear"
        widths = (shape.channels, *spec.channels)
        stages = [nn.Sequential(convolution(wide, out, flat), halving(flat)) for wide, out in pairwise(widths)]
        self.stages = nn.ModuleList(stages)
        score = nn.Conv2d if flat else nn.Conv3d
        self.scores = nn.ModuleList([score(wide, spec.scores, 1) for wide in spec.channels[:-4:-1]])  # deepest first
        self.grid = Grid(shape.channels, spec.scores, dim, spec.grid, flat) if spec.grid > 1 else None
        if self.grid is None:
            self.readout = Readout(shape.channels, spec.scores, dim, spec.dropout)
        self.segmenter = Segmenter(spec.scores, dim, flat, spec.segmentation) if shape.segmented else None
        self.cost = torch.zeros(())
        self.summed = nn.Identity()
        channels_last(self, flat)

    @property
    def segments(self) -> bool:
        return self.segmenter is not None

    @property
    def readers(self) -> tuple[nn.Module, ...]:
        return (self.summed,)

    def maps(self, pixels: Float[Tensor, "items channels *size"]) -> Float[Tensor, "items scores *smaller"]:
        """The summed score map, at the resolution of the third stage from the end."""
        found = []
        for stage in self.stages:
            pixels = stage(pixels)
            found.append(pixels)
        summed: Tensor = self.scores[0](found[-1])
        for score, x in zip(self.scores[1:], (found[-2], found[-3]), strict=True):
            summed = score(x) + functional.interpolate(summed, x.shape[2:], mode=self.mode)
        return summed

    def forward(self, items: Items) -> Tokens:
        pixels = items.fields["pixels"]
        scores = self.summed(self.maps(pixels))
        tokens = self.readout(pixels, scores).unsqueeze(1) if self.grid is None else self.grid(pixels, scores)
        if self.segmenter is not None:
            described, self.cost = self.segmenter.both(scores, items)
            tokens = tokens + described.unsqueeze(1)
        return items.tokens(tokens)

    def penalty(self) -> Float[Tensor, ""]:
        """The loss of the segmentation in the last forward pass, weighted."""
        return self.cost

    def segment(self, items: Items) -> Float[Tensor, "items 1 *size"]:
        """Logits of tumour for every pixel."""
        assert self.segmenter is not None
        pixels = items.fields["pixels"]
        logits: Tensor = self.segmenter(self.maps(pixels), pixels.shape[2:])
        return logits
