"""Whole map: the encoder around a network that ends in a feature map."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fusiondx.core.batch import Items
from fusiondx.core.components import Encoder, ImageShape
from fusiondx.core.tokens import Tokens
from fusiondx.encoders.batchnorm import through
from fusiondx.encoders.grid import Grid
from fusiondx.encoders.readout import Readout
from fusiondx.errors import ConfigError


class WholeMapEncoder(Encoder):
    """Statistics of the last feature map and of the pixels as one token, or its cells as several."""

    def __init__(self, body: nn.Module, shape: ImageShape, dim: int, dropout: float, cells: int, name: str) -> None:
        super().__init__()
        self.body = body
        features = width(body, shape, name)
        flat = len(shape.size) == 2
        self.readout = Readout(shape.channels, features, dim, dropout) if cells == 1 else None
        self.grid = Grid(shape.channels, features, dim, cells, flat) if cells > 1 else None

    def forward(self, items: Items) -> Tokens:
        pixels = items.fields["pixels"]
        if not len(items):
            return items.tokens(pixels.new_zeros(0, 1, self.dim))
        maps: Tensor = through(self.body, pixels)
        if self.readout is not None:
            return items.tokens(self.readout(pixels, maps).unsqueeze(1))
        assert self.grid is not None
        return items.tokens(self.grid(pixels, maps))

    @property
    def dim(self) -> int:
        """Width of the tokens."""
        last = self.readout or self.grid
        assert last is not None
        return last.project.out_features


def width(body: nn.Module, shape: ImageShape, name: str) -> int:
    """Channels of the last map. Raises `ConfigError` where images are too small to reach it."""
    try:
        with torch.inference_mode():
            found: Tensor = body.eval()(torch.zeros(1, shape.channels, *shape.size))
    except (RuntimeError, ValueError) as error:
        size = "x".join(map(str, shape.size))
        raise ConfigError(f"{name} cannot read images of {size}: halving leaves nothing. Raise size.") from error
    body.train()
    return found.shape[1]
