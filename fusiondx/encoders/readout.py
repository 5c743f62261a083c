"""Readout: feature maps become one vector per image."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fusiondx.encoders.statistics import statistics


class Readout(nn.Module):
    """Statistics of feature maps, normalised, beside those of the pixels as they are, through a linear layer.

    The pixels' own statistics let absolute brightness reach the last layer although normalisation within a network
    hides it.
    """

    def __init__(self, pixels: int, learnt: int, dim: int, dropout: float) -> None:
        super().__init__()
        self.last = nn.Sequential(nn.LayerNorm(2 * learnt), nn.Dropout(dropout))
        self.project = nn.Linear(2 * (pixels + learnt), dim)

    def forward(self, pixels: Float[Tensor, "items channels *size"], *maps: Tensor) -> Float[Tensor, "items dim"]:
        learnt = self.last(torch.cat([statistics(m) for m in maps], dim=1))
        features: Tensor = self.project(torch.cat([statistics(pixels), learnt], dim=1))
        return features
