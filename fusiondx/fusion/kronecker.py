"""Early fusion by the gated Kronecker product."""

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
from fusiondx.errors import ConfigError

LARGEST = 2**16
"""Entries of the product."""


@spec
class Kronecker(Spec):
    """Pathomic Fusion: the product of every feature with every feature of the others (Chen et al. 2020).

    Seeing all modalities, a gate attenuates each; of each `size` features are left, and a 1 beside them, so that the
    outer product of all also holds what each says alone and every pair says together (Zadeh et al. 2017). A missing
    modality is the 1 alone and multiplies nothing. Reads the mean token of a modality.

    The product has ``(size + 1) ** modalities`` entries, so it cannot serve many modalities: beyond 65,536 entries it
    is refused, and `LowRank` says the same with few weights. Dropout is high because most entries are chance.

    >>> model = fdx.FusionModel(fusion=fdx.Kronecker(size=4), training=quick).fit(train)
    >>> model.predict_proba(test).shape
    (23, 2)
    """

    size: int = Field(default=8, ge=1)
    dropout: float = Field(default=0.2, ge=0, lt=1)
    kind: Literal["kronecker"] = "kronecker"

    def build(self, names: tuple[str, ...], dim: int) -> Fusion:
        return KroneckerFusion(self, names, dim)


class KroneckerFusion(EarlyFusion):
    def __init__(self, spec: Kronecker, names: tuple[str, ...], dim: int) -> None:
        super().__init__()
        entries = (spec.size + 1) ** len(names)
        if entries > LARGEST:
            raise ConfigError(
                f"fusion: the Kronecker product of {len(names)} modalities of size {spec.size} has {entries} entries, "
                f"more than {LARGEST}. Lower its size, or choose 'low_rank'."
            )
        self.names = names
        self.values = nn.ModuleDict({name: nn.Linear(dim, dim) for name in names})
        self.gates = nn.ModuleDict({name: nn.Linear(len(names) * dim, dim) for name in names})
        self.narrow = nn.ModuleDict({name: nn.Linear(dim, spec.size) for name in names})
        self.mix = nn.Sequential(
            nn.Dropout(spec.dropout), nn.Linear(entries, dim), nn.GELU(), nn.Dropout(spec.dropout), nn.Linear(dim, dim)
        )

    def fuse(self, tokens: Mapping[str, Tokens]) -> Float[Tensor, "batch dim"]:
        everything = torch.cat([tokens[name].mean() for name in self.names], dim=1)
        product = everything.new_ones(len(everything), 1)
        for name in self.names:
            factor = self.factor(name, tokens[name], everything)
            product = (product.unsqueeze(2) * factor.unsqueeze(1)).flatten(1)
        return torch.as_tensor(self.mix(product))

    def factor(
        self, name: str, tokens: Tokens, everything: Float[Tensor, "batch all"]
    ) -> Float[Tensor, "batch features"]:
        """A modality's gated features and a 1; the 1 alone where it is missing."""
        gate = torch.sigmoid(self.gates[name](everything))
        features = torch.tanh(self.narrow[name](gate * torch.relu(self.values[name](tokens.mean()))))
        return torch.cat([features * tokens.present.unsqueeze(1), features.new_ones(len(features), 1)], dim=1)
