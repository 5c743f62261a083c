"""Multi-layer perceptron for tables."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from torch import nn

from fusiondx.core.batch import Items
from fusiondx.core.components import Encoder, Shape, TableShape
from fusiondx.core.spec import Spec, spec
from fusiondx.core.tokens import Tokens
from fusiondx.encoders.columns import Categories, Columns


@spec
class MLP(Spec):
    """Fully connected layers over a table's columns; one token per patient."""

    hidden: tuple[Annotated[int, Field(ge=1)], ...] = (64,)
    dropout: float = Field(0.2, ge=0, lt=1)
    categories: Categories = "onehot"
    kind: Literal["mlp"] = "mlp"
    accepts: ClassVar[tuple[str, ...]] = ("table",)

    def build(self, shape: Shape, dim: int) -> Encoder:
        assert isinstance(shape, TableShape)
        return MLPEncoder(self, shape, dim)


class MLPEncoder(Encoder):
    def __init__(self, spec: MLP, shape: TableShape, dim: int) -> None:
        super().__init__()
        self.columns = Columns(shape, spec.categories)
        layers: list[nn.Module] = []
        for wide, narrow in pairwise((self.columns.width, *spec.hidden)):
            layers += [nn.Linear(wide, narrow), nn.GELU(), nn.Dropout(spec.dropout)]
        last = spec.hidden[-1] if spec.hidden else self.columns.width
        self.body = nn.Sequential(*layers, nn.Linear(last, dim))

    def forward(self, items: Items) -> Tokens:
        return items.tokens(self.body(self.columns(items.fields)).unsqueeze(1))
