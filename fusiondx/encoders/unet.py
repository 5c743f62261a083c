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
from fusiondx.encoders.convolution import channels_last, convolution, halving
from fusiondx.encoders.grid import Grid
from fusiondx.encoders.readout import Readout
from fusiondx.encoders.segmenter import Segmenter


@spec
class UNet(Spec):
    """U-Net (Ronneberger et al. 2015), in 2-D or 3-D (Çiçek et al. 2016); one token per image, or `grid` cells a side.

    `channels` at full resolution double with each of `depth` halvings; odd sizes are met by enlarging to the size of
    the map that is joined. The token reads mean and standard deviation per channel of the decoder's last map, of the
    bottleneck and of the pixels. Group normalisation, because batches of images are small.

    Where the modality's masks are to be learnt (``mask_use: segment``) it learns to segment as well, at the weight
    `segmentation` in the loss, and the token describes the tumour it sees.

    >>> encoders = {"image": fdx.UNet(channels=4, depth=2)}
    >>> model = fdx.FusionModel(encoders, training=quick).fit(train)
    >>> model.predict_proba(test).shape
    (23, 2)
    """

    channels: int = Field(default=16, ge=2)
    depth: int = Field(default=3, ge=1, le=6)
    dropout: float = Field(default=0.3, ge=0, lt=1)
    segmentation: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    grid: int = Field(default=1, ge=1, le=16)
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
        self.grid = Grid(shape.channels, widths[0], dim, spec.grid, flat) if spec.grid > 1 else None
        if self.grid is None:
            self.readout = Readout(shape.channels, widths[0] + widths[-1], dim, spec.dropout)
        self.segmenter = Segmenter(widths[0], dim, flat, spec.segmentation) if shape.segmented else None
        self.cost = torch.zeros(())
        self.decoded, self.bottleneck = nn.Identity(), nn.Identity()
        channels_last(self, flat)

    @property
    def segments(self) -> bool:
        return self.segmenter is not None

    @property
    def readers(self) -> tuple[nn.Module, ...]:
        return (self.decoded,) if self.grid is not None else (self.decoded, self.bottleneck)

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
        decoded, deepest = self.decoded(self.expand(found)), self.bottleneck(found[-1])
        tokens = (
            self.readout(pixels, decoded, deepest).unsqueeze(1) if self.grid is None else self.grid(pixels, decoded)
        )
        if self.segmenter is not None:
            described, self.cost = self.segmenter.both(decoded, items)
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


def double(wide: int, out: int, flat: bool) -> nn.Sequential:
    """Two convolutions, as at every level of a U-Net."""
    return nn.Sequential(convolution(wide, out, flat), convolution(out, out, flat))
