"""Whole map: the encoder around a network that ends in a feature map."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from fusiondx.core.batch import Items
from fusiondx.core.components import Encoder, ImageShape
from fusiondx.core.tokens import Tokens
from fusiondx.encoders.batchnorm import through
from fusiondx.encoders.convolution import channels_last
from fusiondx.encoders.grid import Grid
from fusiondx.encoders.readout import Readout
from fusiondx.errors import ConfigError


class WholeMapEncoder(Encoder):
    """Statistics of the last feature map and of the pixels as one token, or its cells as several."""

    def __init__(self, body: nn.Module, shape: ImageShape, dim: int, dropout: float, cells: int, name: str) -> None:
        super().__init__()
        self.body = body
        found = features(body, shape, name)
        flat = len(shape.size) == 2
        channels_last(body, flat)
        self.readout = Readout(shape.channels, found, dim, dropout) if cells == 1 else None
        self.grid = Grid(shape.channels, found, dim, cells, flat) if cells > 1 else None

    @property
    def readers(self) -> tuple[nn.Module, ...]:
        return tuple(layer for layer in (self.readout, self.grid) if layer is not None)

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


def features(
    body: nn.Module, shape: ImageShape, name: str, run: Callable[[Any, Tensor], Any] = nn.Module.__call__
) -> int:
    """How many features a network, or `run` of it, finds. Raises `ConfigError` where it cannot read such images."""
    with torch.inference_mode(), readable(shape.size, name):
        found: Tensor = run(body.eval(), torch.zeros(1, shape.channels, *shape.size))
    body.train()
    return found.shape[1]


@contextmanager
def readable(size: tuple[int, ...], name: str) -> Iterator[None]:
    """Raise `ConfigError` where a network, tried on an image of this size, cannot read it."""
    try:
        yield
    except (RuntimeError, ValueError, AssertionError) as error:
        raise ConfigError(
            f"{name} cannot read images of {'x'.join(map(str, size))}. Raise size, or for a vision transformer choose "
            "a multiple of its patches' size."
        ) from error
