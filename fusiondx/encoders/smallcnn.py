"""The small convolutional network that fusion of photographs with clinical data began with."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from torch import nn

from fusiondx.core.batch import Items
from fusiondx.core.components import Encoder, ImageShape, Shape
from fusiondx.core.spec import Spec, spec
from fusiondx.core.tokens import Tokens
from fusiondx.encoders.convolution import channels_last
from fusiondx.encoders.grid import Grid

CELLS = 4
"""Cells per side that a feature map of any size is averaged to."""


@spec
class SmallCNN(Spec):
    """Three 3x3 convolutions with two max-poolings between them and a dense layer; one token per image, or
    `grid` cells a side without the dense layer.

    Reads images of any size and number of channels. There is no normalisation, so absolute brightness passes through.

    >>> encoders = {"image": fdx.SmallCNN(channels=(8, 8, 16), grid=2)}  # four tokens per image
    >>> model = fdx.FusionModel(encoders, "attention", training=quick).fit(train)
    >>> model.predict_proba(test).shape
    (23, 2)
    """

    channels: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] = (
        32,
        64,
        64,
    )
    dense: int = Field(default=64, ge=1)
    grid: int = Field(default=1, ge=1, le=16)
    kind: Literal["smallcnn"] = "smallcnn"
    accepts: ClassVar[tuple[str, ...]] = ("image",)

    def build(self, shape: Shape, dim: int) -> Encoder:
        assert isinstance(shape, ImageShape)
        return SmallCNNEncoder(self, shape, dim)


class SmallCNNEncoder(Encoder):
    def __init__(self, spec: SmallCNN, shape: ImageShape, dim: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for wide, out in pairwise((shape.channels, *spec.channels)):
            layers += [nn.Conv2d(wide, out, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True)]
        channels_last(nn.ModuleList(layers), flat=True)
        self.grid = Grid(shape.channels, spec.channels[-1], dim, spec.grid, flat=True) if spec.grid > 1 else None
        if self.grid is not None:
            self.body = nn.Sequential(*layers[:-1])
            return
        layers[-1] = nn.AdaptiveAvgPool2d(CELLS)  # poolings stand between convolutions, not after the last
        cells = spec.channels[-1] * CELLS**2
        self.body = nn.Sequential(*layers, nn.Flatten(), nn.Linear(cells, spec.dense), nn.ReLU())
        self.project = nn.Linear(spec.dense, dim)

    @property
    def readers(self) -> tuple[nn.Module, ...]:
        return (self.grid or self.body[-4],)

    def forward(self, items: Items) -> Tokens:
        pixels = items.fields["pixels"]
        found = self.body(pixels)
        return items.tokens(self.project(found).unsqueeze(1) if self.grid is None else self.grid(pixels, found))
