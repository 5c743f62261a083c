"""Early fusion by a low-rank tensor product."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from fusiondx.core.components import EarlyFusion, Fusion
from fusiondx.core.spec import Spec, spec
from fusiondx.core.tokens import Tokens


@spec
class LowRank(Spec):
    """Low-rank multimodal fusion: the product of all features with all, never written out (Liu et al. 2018).

    The weights on the outer product are a sum of `rank` products of one factor per modality, so their number grows
    with the number of modalities, not with its power. A missing modality leaves its factor's learnt constant, which
    starts as 1. Reads the mean token of a modality.

    It cannot bound its values: of many modalities with large tokens the product becomes steep, and a network that
    was steady with `Concat` may need a lower learning rate.

    >>> model = fdx.FusionModel(fusion=fdx.LowRank(rank=2), training=quick).fit(train)
    >>> model.predict_proba(test).shape
    (23, 2)
    """

    rank: int = Field(default=4, ge=1)
    dropout: float = Field(default=0.2, ge=0, lt=1)
    kind: Literal["low_rank"] = "low_rank"

    def build(self, names: tuple[str, ...], dim: int) -> Fusion:
        return LowRankFusion(self, names, dim)


class LowRankFusion(EarlyFusion):
    def __init__(self, spec: LowRank, names: tuple[str, ...], dim: int) -> None:
        super().__init__()
        self.names, self.rank = names, spec.rank
        self.factors = nn.ModuleDict({name: nn.Linear(dim, spec.rank * dim) for name in names})
        for factor in self.factors.values():
            assert isinstance(factor, nn.Linear)
            nn.init.ones_(factor.bias)
        self.sum = nn.Linear(spec.rank, 1, bias=False)
        self.offset = nn.Parameter(torch.zeros(dim))
        self.dropout = nn.Dropout(spec.dropout)

    def fuse(self, tokens: Mapping[str, Tokens]) -> Float[Tensor, "batch dim"]:
        # the mean of no tokens is zero, of which a factor leaves its bias
        factors = torch.stack([self.factors[name](tokens[name].mean()) for name in self.names])
        ranks = factors.prod(dim=0).view(factors.shape[1], -1, self.rank)
        return torch.as_tensor(self.dropout(self.sum(ranks).squeeze(2) + self.offset))
