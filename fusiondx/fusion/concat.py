"""Early fusion by concatenation."""

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
class Concat(Spec):
    """Early fusion: the modalities' mean tokens side by side, then two fully connected layers.

    A missing modality is stood in for by a learnt vector.

    >>> model = fdx.FusionModel(fusion=fdx.Concat(dropout=0.5), training=quick).fit(train)
    >>> model.predict_proba(test).shape
    (23, 2)
    """

    dropout: float = Field(default=0.2, ge=0, lt=1)
    kind: Literal["concat"] = "concat"

    def build(self, names: tuple[str, ...], dim: int) -> Fusion:
        return ConcatFusion(self, names, dim)


class ConcatFusion(EarlyFusion):
    def __init__(self, spec: Concat, names: tuple[str, ...], dim: int) -> None:
        super().__init__()
        self.names = names
        self.absent = nn.ParameterDict({name: nn.Parameter(torch.zeros(dim)) for name in names})
        self.mix = nn.Sequential(
            nn.LayerNorm(len(names) * dim),
            nn.Linear(len(names) * dim, dim),
            nn.GELU(),
            nn.Dropout(spec.dropout),
            nn.Linear(dim, dim),
        )

    def fuse(self, tokens: Mapping[str, Tokens]) -> Float[Tensor, "batch dim"]:
        parts = [
            torch.where(tokens[name].present.unsqueeze(1), tokens[name].mean(), self.absent[name])
            for name in self.names
        ]
        return torch.as_tensor(self.mix(torch.cat(parts, dim=1)))
