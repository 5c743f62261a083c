"""AlexNet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field
from torch import nn

from fusiondx.core.batch import Items
from fusiondx.core.components import Encoder, ImageShape, Shape
from fusiondx.core.spec import Spec, spec
from fusiondx.core.tokens import Tokens
from fusiondx.encoders.convolution import channels_last
from fusiondx.encoders.grid import Grid
from fusiondx.errors import ConfigError

SMALLEST = 7
"""Pixels a side that the first convolution needs: 11, of which 4 may be padding."""
CELLS = 6
"""Cells per side that the last map is averaged to."""
PACE = 0.3
"""Share of the learning rate: without normalisation layers, units die at the rate that others learn at."""


@spec
class AlexNet(Spec):
    """AlexNet (Krizhevsky et al. 2012) without its classifier, from scratch; one token per image, or `grid`
    cells a side of the last map.

    Five convolutions, three max-poolings, two fully connected layers with dropout. `width` multiplies the published
    numbers of channels and units: 1 is the original, too large for a few hundred patients. The poolings are padded and
    the last map is averaged to 6x6 cells, so that any size from 7 pixels will do (else `ConfigError`). Without local
    response normalisation, which did not help later networks (Simonyan & Zisserman 2015), with He's initialisation, and
    at 0.3 of the learning rate.

    >>> encoders = {"image": fdx.AlexNet(width=0.125)}
    >>> model = fdx.FusionModel(encoders, training=quick).fit(train)
    >>> model.predict_proba(test).shape
    (23, 2)
    """

    width: float = Field(default=0.25, gt=0, le=2)
    dropout: float = Field(default=0.5, ge=0, lt=1)
    grid: int = Field(default=1, ge=1, le=16)
    kind: Literal["alexnet"] = "alexnet"
    accepts: ClassVar[tuple[str, ...]] = ("image",)

    def build(self, shape: Shape, dim: int) -> Encoder:
        assert isinstance(shape, ImageShape)
        if min(shape.size) < SMALLEST:
            size = "x".join(map(str, shape.size))
            raise ConfigError(
                f"alexnet reads images from {SMALLEST} pixels a side, not {size}. Raise size, or use smallcnn."
            )
        return AlexNetEncoder(self, shape, dim)


class AlexNetEncoder(Encoder):
    def __init__(self, spec: AlexNet, shape: ImageShape, dim: int) -> None:
        super().__init__()
        a, b, c, d, e, units = (max(1, round(n * spec.width)) for n in (96, 256, 384, 384, 256, 4096))
        self.convolutions = nn.Sequential(
            *(nn.Conv2d(shape.channels, a, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2, padding=1)),
            *(nn.Conv2d(a, b, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2, padding=1)),
            *(nn.Conv2d(b, c, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(c, d, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(d, e, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2, padding=1)),
        )
        channels_last(self.convolutions, flat=True)
        self.grid = Grid(shape.channels, e, dim, spec.grid, flat=True) if spec.grid > 1 else None
        if self.grid is not None:
            self.convolutions.apply(he)
            return
        self.dense = nn.Sequential(
            *(nn.AdaptiveAvgPool2d(CELLS), nn.Flatten()),
            *(nn.Dropout(spec.dropout), nn.Linear(e * CELLS**2, units), nn.ReLU()),
            *(nn.Dropout(spec.dropout), nn.Linear(units, units), nn.ReLU()),
        )
        self.apply(he)
        self.project = nn.Linear(units, dim)

    @property
    def readers(self) -> tuple[nn.Module, ...]:
        return (self.grid or self.dense,)

    def paces(self) -> Mapping[nn.Parameter, float]:
        """Its own share of the learning rate for everything it learns."""
        return dict.fromkeys(self.parameters(), PACE)

    def forward(self, items: Items) -> Tokens:
        pixels = items.fields["pixels"]
        maps = self.convolutions(pixels)
        if self.grid is not None:
            return items.tokens(self.grid(pixels, maps))
        return items.tokens(self.project(self.dense(maps)).unsqueeze(1))


def he(layer: nn.Module) -> None:
    """Weights that keep the size of a signal through ReLUs (He et al. 2015): torch's own shrink it layer by layer."""
    if isinstance(layer, nn.Conv2d | nn.Linear):
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
