"""Frozen backbone: what every stage of a network that does not train finds in an image."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from fusiondx.core.components import Extractor, RawImages
from fusiondx.encoders.statistics import statistics
from fusiondx.encoders.wholemap import readable
from fusiondx.errors import ConfigError

TUMOUR = " in the tumour"


class FrozenBackbone(Extractor):
    """Mean and standard deviation per channel of every stage, over the whole image and over the tumour.

    Early stages keep colour and texture, late ones shape and object: a regression on all of them is steadier on a few
    hundred patients than one on the last stage alone.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, name: str, body: Any, images: RawImages) -> None:
        super().__init__()
        if images.white is None:
            raise ConfigError(f"A frozen '{name}' must know black and white: set the images' intensity to a window.")
        if not hasattr(body, "forward_intermediates"):
            raise ConfigError(f"timm's '{name}' does not give what its stages find, so it cannot be frozen.")
        self.body = body.to(memory_format=torch.channels_last)
        self.images = images
        self.recipe = f"frozen backbone 1: {name}"
        self.white = images.white
        mean, std = (torch.tensor(body.pretrained_cfg[part]) for part in ("mean", "std"))
        same = len(mean) == images.channels  # else colours have no order: all channels alike
        self.register_buffer("mean", (mean if same else mean.mean()).view(-1, 1, 1), persistent=False)
        self.register_buffer("scale", (std if same else std.mean()).view(-1, 1, 1), persistent=False)
        with torch.inference_mode(), readable(images.size, name):
            widths = [stage.shape[1] for stage in self.stages(torch.zeros(images.channels, *images.size))]
        self.names = tuple(
            f"stage {n} channel {c} {part}{where}"
            for where in (("", TUMOUR) if images.masked else ("",))
            for n, width in enumerate(widths)
            for part in ("mean", "sd")
            for c in range(width)
        )

    def stages(self, pixels: Float[Tensor, "channels height width"]) -> list[Tensor]:
        """The feature map of every stage, shape ``(1, features, height, width)`` each."""
        x = ((pixels / self.white - self.mean) / self.scale).unsqueeze(0)
        found: list[Tensor] = self.body.eval().forward_intermediates(
            x.contiguous(memory_format=torch.channels_last), intermediates_only=True
        )
        return found

    def forward(
        self, pixels: Float[Tensor, "channels height width"], mask: Bool[Tensor, "1 height width"] | None
    ) -> Float[Tensor, " features"]:
        return self.described(self.stages(pixels), mask)

    def described(
        self, stages: list[Tensor], mask: Bool[Tensor, "1 height width"] | None
    ) -> Float[Tensor, " features"]:
        """The features of an image whose stages are these."""
        found = [statistics(stage)[0] for stage in stages]
        if self.images.masked:
            inside = torch.zeros(1, *self.images.size) if mask is None else mask.float()
            found += [within(stage[0], inside) for stage in stages]
        return torch.cat(found)


def within(
    stage: Float[Tensor, "features height width"], mask: Float[Tensor, "1 full_height full_width"]
) -> Float[Tensor, " 2*features"]:
    """Mean and standard deviation per channel over the tumour, NaN where there is none."""
    share = functional.interpolate(mask.unsqueeze(0), stage.shape[1:], mode="area")[0]
    total = share.sum()
    mean = (stage * share).sum(dim=(1, 2)) / total
    variance = (stage.square() * share).sum(dim=(1, 2)) / total - mean.square()
    found = torch.cat([mean, (variance.clamp(min=0) + 1e-6).sqrt()])
    return torch.where(total > 0, found, torch.nan)
