"""Early fusion by a mixture of experts."""

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
class Experts(Spec):
    """Mixture of experts over modality patterns (Flex-MoE, Yun et al. 2024; FuseMoE, Han et al. 2024).

    Every expert is a small network on all modalities' mean tokens; a router that sees which modalities a patient has,
    and what they show, says how much each expert counts. A missing modality is stood in for by a learnt vector.
    `ExpertsFusion.routes` tells how much each expert counted last.

    Unlike the papers it lets every expert see every patient: picking one or two pays for large experts, and needs a
    term in the loss that keeps them busy. Patterns are told to the router modality by modality, so that rare patterns
    borrow from common ones; it cannot learn a pattern that training has not seen, `Training.modality_dropout` shows
    it some.

    >>> model = fdx.FusionModel(fusion=fdx.Experts(experts=2), training=quick).fit(train)
    >>> model.predict_proba(test).shape
    (23, 2)
    """

    experts: int = Field(default=4, ge=2)
    dropout: float = Field(default=0.2, ge=0, lt=1)
    kind: Literal["experts"] = "experts"

    def build(self, names: tuple[str, ...], dim: int) -> Fusion:
        return ExpertsFusion(self, names, dim)


class ExpertsFusion(EarlyFusion):
    routes: Float[Tensor, "batch experts"]

    def __init__(self, spec: Experts, names: tuple[str, ...], dim: int) -> None:
        super().__init__()
        self.names = names
        self.absent = nn.ParameterDict({name: nn.Parameter(torch.zeros(dim)) for name in names})
        self.norm = nn.LayerNorm(len(names) * dim)
        self.route = nn.Linear(len(names) * (dim + 1), spec.experts)
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(len(names) * dim, dim), nn.GELU(), nn.Dropout(spec.dropout), nn.Linear(dim, dim))
            for _ in range(spec.experts)
        )

    def fuse(self, tokens: Mapping[str, Tokens]) -> Float[Tensor, "batch dim"]:
        present = torch.stack([tokens[name].present for name in self.names], dim=1)
        parts = [
            torch.where(tokens[name].present.unsqueeze(1), tokens[name].mean(), self.absent[name])
            for name in self.names
        ]
        seen = self.norm(torch.cat(parts, dim=1))
        routes = torch.softmax(self.route(torch.cat([seen, present.to(seen.dtype)], dim=1)), dim=1)
        self.routes = routes.detach()
        opinions = torch.stack([expert(seen) for expert in self.experts], dim=1)
        return (routes.unsqueeze(2) * opinions).sum(dim=1)
