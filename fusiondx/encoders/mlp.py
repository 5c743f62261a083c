"""Multi-layer perceptron for tables and genomics."""

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
from fusiondx.encoders.projection import Projection


@spec
class MLP(Spec):
    """Fully connected layers over a table's columns; one token per patient.

    `components` replaces the columns by that many principal components where there are more columns.

    >>> encoders = {"clinical": fdx.MLP(hidden=(32, 32)), "omics": fdx.MLP(components=16)}
    >>> model = fdx.FusionModel(encoders, training=quick).fit(train)
    >>> model.predict_proba(test).shape
    (23, 2)
    """

    hidden: tuple[Annotated[int, Field(ge=1)], ...] = (64,)
    dropout: float = Field(default=0.2, ge=0, lt=1)
    input_dropout: float = Field(default=0.0, ge=0, lt=1)
    components: int | None = Field(default=None, ge=1)
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
        self.projection = Projection(self.columns.width, spec.components)
        widths = (self.projection.width, *spec.hidden)
        layers: list[nn.Module] = [nn.Dropout(spec.input_dropout)]
        for wide, narrow in pairwise(widths):
            layers += [nn.Linear(wide, narrow), nn.GELU(), nn.Dropout(spec.dropout)]
        self.body = nn.Sequential(*layers, nn.Linear(widths[-1], dim))

    def prime(self, items: Items) -> None:
        self.projection.fit(self.columns(items.fields).detach())

    def forward(self, items: Items) -> Tokens:
        return items.tokens(self.body(self.projection(self.columns(items.fields))).unsqueeze(1))
