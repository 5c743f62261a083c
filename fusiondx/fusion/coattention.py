"""Early fusion by co-attention: one modality queries the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from fusiondx.core.attention import Attention
from fusiondx.core.components import EarlyFusion, Fusion
from fusiondx.core.spec import Spec, spec
from fusiondx.core.tokens import Tokens
from fusiondx.errors import ConfigError, did_you_mean


@spec
class CoAttention(Spec):
    """Co-attention: the tokens of one modality, `query`, look at those of each other modality (MCAT, Chen et al. 2021).

    What they found in each modality, and they themselves, are averaged, laid side by side and mixed as by `Concat`;
    the paper's transformers between these steps are left out, for cohorts of a few hundred patients do not carry them.
    `CoAttentionFusion.attention` tells where each querying token looked last; the learnt one, see below, comes last.

    `query` is the modality with few, meaningful tokens, such as pathways, that ask a modality with many, such as a
    bag of patches; left out, it is the cohort's first. A learnt token asks for patients without it; a queried modality
    that is missing is stood in for by a learnt vector. Where a model has one modality only, `query` has nothing to ask.

    Queried modalities do not look at each other: what matters in two of them together only the mixing sees. Of
    modalities with one token each it is `Concat`, since attention has nothing to choose.

    >>> model = fdx.FusionModel(fusion=fdx.CoAttention(query="omics"), training=quick).fit(train)
    >>> model.predict_proba(test).shape
    (23, 2)
    """

    query: str | None = None
    heads: int = Field(default=1, ge=1)
    dropout: float = Field(default=0.2, ge=0, lt=1)
    kind: Literal["coattention"] = "coattention"

    def build(self, names: tuple[str, ...], dim: int) -> Fusion:
        return CoAttentionFusion(self, names, dim)


class CoAttentionFusion(EarlyFusion):
    attention: dict[str, Tensor]

    def __init__(self, spec: CoAttention, names: tuple[str, ...], dim: int) -> None:
        super().__init__()
        if spec.query is not None and spec.query not in names and len(names) > 1:
            raise ConfigError(f"fusion.query: the model has no '{spec.query}'.{did_you_mean(spec.query, names)}")
        self.query = spec.query if spec.query in names else names[0]
        self.others = tuple(name for name in names if name != self.query)
        self.attention = {}
        self.stand_in = nn.Parameter(torch.randn(dim) * dim**-0.5)
        self.look = nn.ModuleDict({name: Attention(dim, spec.heads) for name in self.others})
        self.absent = nn.ParameterDict({name: nn.Parameter(torch.zeros(dim)) for name in self.others})
        self.mix = nn.Sequential(
            nn.LayerNorm(len(names) * dim),
            nn.Linear(len(names) * dim, dim),
            nn.GELU(),
            nn.Dropout(spec.dropout),
            nn.Linear(dim, dim),
        )

    def fuse(self, tokens: Mapping[str, Tokens]) -> Float[Tensor, "batch dim"]:
        queries = self.asking(tokens[self.query])
        parts = [queries.mean(), *(self.found(name, queries, tokens[name]) for name in self.others)]
        return torch.as_tensor(self.mix(torch.cat(parts, dim=1)))

    def asking(self, tokens: Tokens) -> Tokens:
        """The querying tokens; the learnt one for patients without any."""
        stand_in = self.stand_in.expand(len(tokens.mask), 1, -1)
        return Tokens(
            torch.cat([tokens.kept, stand_in], dim=1),
            torch.cat([tokens.mask, ~tokens.present.unsqueeze(1)], dim=1),
        )

    def found(self, name: str, queries: Tokens, tokens: Tokens) -> Float[Tensor, "batch dim"]:
        """What the queries found in a modality, on average; a learnt vector where it is missing."""
        look = self.look[name]
        assert isinstance(look, Attention)
        found = Tokens(look(queries.values, tokens), queries.mask).mean()
        self.attention[name] = look.weights * queries.mask.unsqueeze(2)
        return torch.where(tokens.present.unsqueeze(1), found, self.absent[name])
