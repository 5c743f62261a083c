"""Late fusion by the mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from fusiondx.core.components import Fusion
from fusiondx.core.spec import Spec, spec
from fusiondx.core.tokens import Tokens


@spec
class Mean(Spec):
    """Late fusion: every modality answers for itself, and the answers are averaged over those a patient has."""

    kind: Literal["mean"] = "mean"

    def build(self, names: tuple[str, ...], dim: int) -> Fusion:
        return MeanFusion(names, dim)


class MeanFusion(Fusion):
    def __init__(self, names: tuple[str, ...], dim: int) -> None:
        super().__init__()
        self.names = names
        self.nothing = nn.Parameter(torch.zeros(dim))  # the opinion on a patient of whom nothing is known

    def forward(self, tokens: Mapping[str, Tokens]) -> Tokens:
        opinions = torch.stack([tokens[name].mean() for name in self.names], dim=1)
        mask = torch.stack([tokens[name].present for name in self.names], dim=1)
        nothing = self.nothing.expand(len(mask), 1, -1)
        return Tokens(torch.cat([opinions, nothing], dim=1), torch.cat([mask, ~mask.any(dim=1, keepdim=True)], dim=1))

    def decide(
        self, answers: Float[Tensor, "batch opinions outputs"], mask: Bool[Tensor, "batch opinions"]
    ) -> Float[Tensor, "batch outputs"]:
        return Tokens(answers, mask).mean()
