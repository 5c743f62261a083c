"""Early fusion by gates."""

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
class Gated(Spec):
    """Gated fusion: seeing all modalities, gates decide how much each one counts (Arevalo et al. 2017).

    The paper's two-modality gate is written as a softmax over the modalities a patient has, feature by feature.

    >>> model = fdx.FusionModel(fusion=fdx.Gated(dropout=0.3), training=quick).fit(train)
    >>> model.predict_proba(test).shape
    (23, 2)
    """

    dropout: float = Field(default=0.2, ge=0, lt=1)
    kind: Literal["gated"] = "gated"

    def build(self, names: tuple[str, ...], dim: int) -> Fusion:
        return GatedFusion(self, names, dim)


class GatedFusion(EarlyFusion):
    def __init__(self, spec: Gated, names: tuple[str, ...], dim: int) -> None:
        super().__init__()
        self.names = names
        self.values = nn.ModuleDict({name: nn.Linear(dim, dim) for name in names})
        self.gates = nn.Sequential(
            nn.Linear(len(names) * dim, dim), nn.GELU(), nn.Dropout(spec.dropout), nn.Linear(dim, len(names) * dim)
        )

    def fuse(self, tokens: Mapping[str, Tokens]) -> Float[Tensor, "batch dim"]:
        means = {name: tokens[name].mean() for name in self.names}
        present = torch.stack([tokens[name].present for name in self.names], dim=1).unsqueeze(-1)
        values = torch.stack([torch.tanh(self.values[name](means[name])) for name in self.names], dim=1)
        scores = self.gates(torch.cat(list(means.values()), dim=1)).view(values.shape)
        # absent modalities get weight zero; a patient with nothing keeps the zero opinion, never NaN
        weights = torch.softmax(scores.masked_fill(~present, torch.finfo(scores.dtype).min), dim=1) * present
        return (weights * values).sum(dim=1)
