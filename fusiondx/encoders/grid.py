"""Grid: a feature map becomes several tokens, one per cell of the image."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Grid(nn.Module):
    """Averages a feature map within `cells` x `cells` (x `cells`) cells; each becomes a token that knows its place.

    The pixels' own averages come along, so that absolute brightness reaches the tokens although normalisation within a
    network hides it.
    """

    def __init__(self, pixels: int, features: int, dim: int, cells: int, flat: bool) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(cells) if flat else nn.AdaptiveAvgPool3d(cells)
        self.project = nn.Linear(pixels + features, dim)
        self.place = nn.Parameter(0.02 * torch.randn(cells ** (2 if flat else 3), dim))

    def forward(
        self, pixels: Float[Tensor, "items channels *size"], maps: Float[Tensor, "items features *smaller"]
    ) -> Float[Tensor, "items cells dim"]:
        """Cells in reading order: along width first, then height, then depth."""
        both = torch.cat([self.pool(pixels), self.pool(maps)], dim=1)
        tokens: Tensor = self.project(both.flatten(2).transpose(1, 2)) + self.place
        return tokens
