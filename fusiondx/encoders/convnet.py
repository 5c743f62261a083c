"""A small convolutional network for images and volumes."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from torch import nn

from fusiondx.core.batch import Items
from fusiondx.core.components import Encoder, ImageShape, Shape
from fusiondx.core.spec import Spec, spec
from fusiondx.core.tokens import Tokens
from fusiondx.encoders.convolution import channels_last, groups, halving
from fusiondx.encoders.grid import Grid
from fusiondx.encoders.readout import Readout


@spec
class ConvNet(Spec):
    """Convolution, pooling and fully connected layers, in 2-D or 3-D; one token per image, or `grid` cells a side.

    Every stage, the input among them, hands its mean and standard deviation per channel to the last layer: on cohorts
    of a few hundred patients such colour and texture statistics carry most of what can be learnt, and absolute
    brightness stays visible although the layers between normalise it away.

    >>> encoders = {"image": fdx.ConvNet(channels=(8, 16))}
    >>> model = fdx.FusionModel(encoders, training=quick).fit(train)
    >>> model.predict_proba(test).shape
    (23, 2)
    """

    channels: tuple[Annotated[int, Field(ge=1)], ...] = (16, 32, 64)
    dropout: float = Field(default=0.3, ge=0, lt=1)
    grid: int = Field(default=1, ge=1, le=16)
    kind: Literal["convnet"] = "convnet"
    accepts: ClassVar[tuple[str, ...]] = ("image", "volume")

    def build(self, shape: Shape, dim: int) -> Encoder:
        assert isinstance(shape, ImageShape)
        return ConvNetEncoder(self, shape, dim)


class ConvNetEncoder(Encoder):
    def __init__(self, spec: ConvNet, shape: ImageShape, dim: int) -> None:
        super().__init__()
        flat = len(shape.size) == 2
        widths = (shape.channels, *spec.channels)
        stages = [stage(wide, out, flat, first=i == 0) for i, (wide, out) in enumerate(pairwise(widths))]
        self.stages = nn.ModuleList(stages)
        channels_last(self.stages, flat)
        one = spec.grid == 1
        self.readout = Readout(shape.channels, sum(spec.channels), dim, spec.dropout) if one else None
        self.grid = None if one else Grid(shape.channels, spec.channels[-1], dim, spec.grid, flat)

    @property
    def readers(self) -> tuple[nn.Module, ...]:
        return tuple(layer for layer in (self.readout, self.grid) if layer is not None)

    def forward(self, items: Items) -> Tokens:
        pixels = items.fields["pixels"]
        maps = [pixels]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        if self.readout is not None:
            return items.tokens(self.readout(pixels, *maps[1:]).unsqueeze(1))
        assert self.grid is not None
        return items.tokens(self.grid(pixels, maps[-1]))


def stage(wide: int, out: int, flat: bool, first: bool) -> nn.Sequential:
    """Convolution, pooling, normalisation. A volume's first convolution strides instead: it is most of the cost."""
    norm = nn.GroupNorm(groups(out), out)
    if first and not flat:
        return nn.Sequential(nn.Conv3d(wide, out, 3, padding=1, stride=2), norm, nn.ReLU())
    layer = nn.Conv2d if flat else nn.Conv3d
    return nn.Sequential(layer(wide, out, 3, padding=1), halving(flat), norm, nn.ReLU())
