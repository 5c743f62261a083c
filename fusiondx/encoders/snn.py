"""Self-normalising network for genomics and other wide tables."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from torch import nn

from fusiondx.core.batch import Items
from fusiondx.core.components import Encoder, Shape, TableShape
from fusiondx.core.spec import Spec, spec
from fusiondx.core.tokens import Tokens
from fusiondx.encoders.columns import Columns
from fusiondx.encoders.projection import Projection


@spec
class SNN(Spec):
    """Self-normalising network (Klambauer et al. 2017): SELU, alpha dropout, LeCun-normal weights; one token.

    `components` replaces the columns by that many principal components where there are more columns; None keeps them.

    >>> encoders = {"omics": fdx.SNN(hidden=(32, 16), components=None)}
    >>> model = fdx.FusionModel(encoders, training=quick).fit(train)
    >>> model.predict_proba(test).shape
    (23, 2)
    """

    hidden: tuple[Annotated[int, Field(ge=1)], ...] = (64,)
    dropout: float = Field(default=0.3, ge=0, lt=1)
    input_dropout: float = Field(default=0.5, ge=0, lt=1)
    components: int | None = Field(default=128, ge=1)
    kind: Literal["snn"] = "snn"
    accepts: ClassVar[tuple[str, ...]] = ("table",)

    def build(self, shape: Shape, dim: int) -> Encoder:
        assert isinstance(shape, TableShape)
        return SNNEncoder(self, shape, dim)


class SNNEncoder(Encoder):
    def __init__(self, spec: SNN, shape: TableShape, dim: int) -> None:
        super().__init__()
        self.columns = Columns(shape, "onehot")
        self.projection = Projection(self.columns.width, spec.components)
        widths = (self.projection.width, *spec.hidden)
        layers: list[nn.Module] = [nn.Dropout(spec.input_dropout)]
        for wide, narrow in pairwise(widths):
            layers += [lecun(nn.Linear(wide, narrow)), nn.SELU(), nn.AlphaDropout(spec.dropout)]
        self.body = nn.Sequential(*layers, lecun(nn.Linear(widths[-1], dim)))

    def prime(self, items: Items) -> None:
        self.projection.fit(self.columns(items.fields))

    def forward(self, items: Items) -> Tokens:
        return items.tokens(self.body(self.projection(self.columns(items.fields))).unsqueeze(1))


def lecun(layer: nn.Linear) -> nn.Linear:
    """LeCun-normal weights and zero bias, under which SELU keeps mean 0 and variance 1."""
    nn.init.kaiming_normal_(layer.weight, nonlinearity="linear")
    nn.init.zeros_(layer.bias)
    return layer
