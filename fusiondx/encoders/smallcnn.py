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

GRID = 4
"""Cells per side that a feature map of any size is averaged to."""


@spec
class SmallCNN(Spec):
    """Three 3x3 convolutions with two max-poolings between them and a dense layer; one token per image.

    Reads images of any size and number of channels. There is no normalisation, so absolute brightness passes through.
    """

    channels: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] = (
        32,
        64,
        64,
    )
    dense: int = Field(default=64, ge=1)
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
        layers[-1] = nn.AdaptiveAvgPool2d(GRID)  # poolings stand between convolutions, not after the last
        cells = spec.channels[-1] * GRID**2
        self.body = nn.Sequential(*layers, nn.Flatten(), nn.Linear(cells, spec.dense), nn.ReLU())
        self.project = nn.Linear(spec.dense, dim)

    def forward(self, items: Items) -> Tokens:
        return items.tokens(self.project(self.body(items.fields["pixels"])).unsqueeze(1))
