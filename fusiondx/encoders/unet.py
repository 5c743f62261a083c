"""U-Net."""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from fusiondx.core.batch import Items
from fusiondx.core.components import Encoder, ImageShape, Shape
from fusiondx.core.spec import Spec, spec
from fusiondx.core.tokens import Tokens
from fusiondx.encoders.convolution import convolution, halving
from fusiondx.encoders.readout import Readout


@spec
class UNet(Spec):
    """U-Net (Ronneberger et al. 2015), in 2-D or 3-D (Çiçek et al. 2016); one token per image.

    `channels` at full resolution double with each of `depth` halvings; odd sizes are met by enlarging to the size of
    the map that is joined. The token reads mean and standard deviation per channel of the decoder's last map, of the
    bottleneck and of the pixels. Group normalisation, because batches of images are small.
    """

    channels: int = Field(default=16, ge=2)
    depth: int = Field(default=3, ge=1, le=6)
    dropout: float = Field(default=0.3, ge=0, lt=1)
    kind: Literal["unet"] = "unet"
    accepts: ClassVar[tuple[str, ...]] = ("image", "volume")

    def build(self, shape: Shape, dim: int) -> Encoder:
        assert isinstance(shape, ImageShape)
        return UNetEncoder(self, shape, dim)


class UNetEncoder(Encoder):
    def __init__(self, spec: UNet, shape: ImageShape, dim: int) -> None:
        super().__init__()
        flat = len(shape.size) == 2
        widths = [spec.channels * 2**level for level in range(spec.depth + 1)]
        self.halve = halving(flat)
        self.down = nn.ModuleList([double(wide, out, flat) for wide, out in pairwise((shape.channels, *widths))])
        self.up = nn.ModuleList([double(deep + out, out, flat) for deep, out in pairwise(widths[::-1])])
        self.readout = Readout(shape.channels, widths[0] + widths[-1], dim, spec.dropout)

    def contract(self, pixels: Float[Tensor, "items channels *size"]) -> list[Tensor]:
        """The feature map of every resolution, the bottleneck last."""
        found = [self.down[0](pixels)]
        for block in self.down[1:]:
            found.append(block(self.halve(found[-1])))
        return found

    def expand(self, found: list[Tensor]) -> Tensor:
        """The decoder's last map, from what `contract` found."""
        *skips, x = found
        for block, skip in zip(self.up, reversed(skips), strict=True):
            x = block(torch.cat([skip, functional.interpolate(x, skip.shape[2:])], dim=1))
        return x

    def maps(self, pixels: Float[Tensor, "items channels *size"]) -> Float[Tensor, "items features *size"]:
        """The decoder's feature map at full resolution, as a segmentation reads it."""
        return self.expand(self.contract(pixels))

    def forward(self, items: Items) -> Tokens:
        pixels = items.fields["pixels"]
        found = self.contract(pixels)
        return items.tokens(self.readout(pixels, self.expand(found), found[-1]).unsqueeze(1))


def double(wide: int, out: int, flat: bool) -> nn.Sequential:
    """Two convolutions, as at every level of a U-Net."""
    return nn.Sequential(convolution(wide, out, flat), convolution(out, out, flat))
