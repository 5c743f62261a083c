"""FT-Transformer: the columns of a table attend to each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

import torch
from jaxtyping import Float
from pydantic import Field, model_validator
from torch import Tensor, nn

from fusiondx.core.batch import Items
from fusiondx.core.components import Encoder, Shape, TableShape
from fusiondx.core.spec import Spec, spec
from fusiondx.core.tokens import Tokens


@spec
class FTTransformer(Spec):
    """FT-Transformer (Gorishniy et al. 2021): an embedding per column, pre-norm transformer blocks, a CLS token.

    `tokens` says what fusion reads: "cls" the CLS token alone, "features" the CLS token and then one token per column,
    numeric before categorical, for fusions that attend. Blocks use GELU. Attention costs the square of the number of
    columns: meant for clinical tables rather than thousands of genes.

    >>> encoders = {"clinical": fdx.FTTransformer(width=16, blocks=1, tokens="features")}
    >>> model = fdx.FusionModel(encoders, "attention", training=quick).fit(train)
    >>> model.predict_proba(test).shape
    (23, 2)
    """

    width: int = Field(default=64, ge=1)
    blocks: int = Field(default=2, ge=1)
    heads: int = Field(default=4, ge=1)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    tokens: Literal["cls", "features"] = "cls"
    kind: Literal["fttransformer"] = "fttransformer"
    accepts: ClassVar[tuple[str, ...]] = ("table",)

    @model_validator(mode="after")
    def _heads_divide_the_width(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        return self

    def build(self, shape: Shape, dim: int) -> Encoder:
        assert isinstance(shape, TableShape)
        return FTTransformerEncoder(self, shape, dim)


class FTTransformerEncoder(Encoder):
    def __init__(self, spec: FTTransformer, shape: TableShape, dim: int) -> None:
        super().__init__()
        self.kept = 1 if spec.tokens == "cls" else None
        self.embed = ColumnTokens(shape, spec.width)
        settings: dict[str, Any] = {
            "dropout": spec.dropout,
            "activation": "gelu",
            "batch_first": True,
            "norm_first": True,
        }
        blocks = [
            nn.TransformerEncoderLayer(spec.width, spec.heads, 2 * spec.width, **settings) for _ in range(spec.blocks)
        ]
        self.blocks = nn.Sequential(*blocks)
        self.project = nn.Sequential(nn.LayerNorm(spec.width), nn.GELU(), nn.Linear(spec.width, dim))

    def forward(self, items: Items) -> Tokens:
        x = self.embed(items.fields)
        if len(items):  # attention refuses an empty batch
            x = self.blocks(x)
        return items.tokens(self.project(x[:, : self.kept]))


class ColumnTokens(nn.Module):
    """A vector per column after a CLS vector: value times direction plus offset, or the level's own vector."""

    starts: Tensor

    def __init__(self, shape: TableShape, width: int) -> None:
        super().__init__()
        levels = torch.tensor([0, *(known + 1 for known in shape.categories)])
        self.register_buffer("starts", levels.cumsum(0)[:-1], persistent=False)
        self.cls = nn.Parameter(spread(1, width))
        self.directions = nn.Parameter(spread(len(shape.numeric), width))
        self.offsets = nn.Parameter(spread(len(shape.numeric), width))
        self.levels = nn.Parameter(spread(int(levels.sum()), width))

    def forward(self, fields: Mapping[str, Tensor]) -> Float[Tensor, "items 1+columns width"]:
        numeric = fields["numeric"].unsqueeze(-1) * self.directions + self.offsets
        categories = self.levels[fields["codes"] + self.starts]
        return torch.cat([self.cls.expand(len(numeric), 1, -1), numeric, categories], dim=1)


def spread(rows: int, width: int) -> Tensor:
    """Uniform start values, as published: within one over the square root of the width."""
    return torch.empty(rows, width).uniform_(-(width**-0.5), width**-0.5)
