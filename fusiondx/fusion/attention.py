"""Early fusion by attention with learnt queries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from fusiondx.core.attention import Block
from fusiondx.core.components import EarlyFusion, Fusion
from fusiondx.core.spec import Spec, spec
from fusiondx.core.tokens import Tokens


@spec
class Attention(Spec):
    """Learnt queries look at all tokens of all modalities (Perceiver, Jaegle et al. 2021; HEALNet, Hemker et al. 2024).

    Every one of `layers` lets `queries` look at the tokens and then at each other; their mean is the opinion. Missing
    modalities are not looked at; of a patient with nothing the queries' start is left. Unlike HEALNet it looks at all
    modalities at once, not one after the other, so that their order cannot matter. `AttentionFusion.attention` tells
    where it looked last.

    A modality with one token gives attention little to choose from: it is meant for encoders with several, such as
    pathways, image grids and bags, and needs more patients than `Concat`.

    >>> model = fdx.FusionModel(fusion=fdx.Attention(queries=2, layers=1), training=quick).fit(train)
    >>> model.predict_proba(test).shape
    (23, 2)
    """

    queries: int = Field(default=4, ge=2)
    layers: int = Field(default=2, ge=1)
    heads: int = Field(default=4, ge=1)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    kind: Literal["attention"] = "attention"

    def build(self, names: tuple[str, ...], dim: int) -> Fusion:
        return AttentionFusion(self, names, dim)


class AttentionFusion(EarlyFusion):
    attention: dict[str, Tensor]

    def __init__(self, spec: Attention, names: tuple[str, ...], dim: int) -> None:
        super().__init__()
        self.names, self.attention = names, {}
        # the bias tells tokens of one modality from those of another
        self.read = nn.ModuleDict({name: nn.Linear(dim, dim) for name in names})
        self.queries = nn.Parameter(torch.randn(spec.queries, dim) * dim**-0.5)
        self.outwards = nn.ModuleList(Block(dim, spec.heads, spec.dropout) for _ in range(spec.layers))
        self.inwards = nn.ModuleList(Block(dim, spec.heads, spec.dropout) for _ in range(spec.layers))
        self.norm = nn.LayerNorm(dim)

    def fuse(self, tokens: Mapping[str, Tokens]) -> Float[Tensor, "batch dim"]:
        sets = [Tokens(self.read[name](tokens[name].kept), tokens[name].mask) for name in self.names]
        everything = Tokens.join(sets)
        queries = self.queries.expand(len(everything.mask), -1, -1)
        for outwards, inwards in zip(self.outwards, self.inwards, strict=True):
            queries = outwards(queries, everything)
            queries = inwards(queries, Tokens.full(queries))
        looks = [block.look.weights for block in self.outwards if isinstance(block, Block)]
        shares = torch.split(torch.stack(looks).mean(dim=0), [part.mask.shape[1] for part in sets], dim=2)
        self.attention = dict(zip(self.names, shares, strict=True))
        return torch.as_tensor(self.norm(queries.mean(dim=1)))
