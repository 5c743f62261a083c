"""Early fusion by a bottleneck transformer."""

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
class Bottleneck(Spec):
    """Multimodal bottleneck transformer: modalities talk through a few shared tokens only (Nagrani et al. 2021).

    In every one of `layers` each modality's tokens and the shared ones pass a transformer block of that modality; the
    shared tokens of the next layer are the mean of what the modalities a patient has made of them. Their mean at the
    end is the opinion, where the paper reads class tokens, so that a patient with nothing keeps their start.
    `BottleneckFusion.attention` tells where the shared tokens looked in the last layer; the rest to one is where they
    looked at each other.

    It cannot relate two modalities before the second layer, hence two or more. A block per modality and layer makes
    it the largest of the fusions: `Concat` needs fewer patients.

    >>> model = fdx.FusionModel(fusion=fdx.Bottleneck(bottlenecks=2), training=quick).fit(train)
    >>> model.predict_proba(test).shape
    (23, 2)
    """

    bottlenecks: int = Field(default=4, ge=1)
    layers: int = Field(default=2, ge=2)
    heads: int = Field(default=4, ge=1)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    kind: Literal["bottleneck"] = "bottleneck"

    def build(self, names: tuple[str, ...], dim: int) -> Fusion:
        return BottleneckFusion(self, names, dim)


class BottleneckFusion(EarlyFusion):
    attention: dict[str, Tensor]

    def __init__(self, spec: Bottleneck, names: tuple[str, ...], dim: int) -> None:
        super().__init__()
        self.names, self.attention = names, {}
        self.read = nn.ModuleDict({name: nn.Linear(dim, dim) for name in names})
        self.shared = nn.Parameter(torch.randn(spec.bottlenecks, dim) * dim**-0.5)
        self.blocks = nn.ModuleList(
            nn.ModuleDict({name: Block(dim, spec.heads, spec.dropout) for name in names}) for _ in range(spec.layers)
        )
        self.norm = nn.LayerNorm(dim)

    def fuse(self, tokens: Mapping[str, Tokens]) -> Float[Tensor, "batch dim"]:
        sets = {name: Tokens(self.read[name](tokens[name].kept), tokens[name].mask) for name in self.names}
        present = torch.stack([sets[name].present for name in self.names], dim=1)
        shared = self.shared.expand(len(present), -1, -1)
        for blocks in self.blocks:
            assert isinstance(blocks, nn.ModuleDict)
            passed = {name: self.through(blocks[name], name, sets[name], shared) for name in self.names}
            sets = {name: own for name, (own, _) in passed.items()}
            shared = agreed(shared, torch.stack([made for _, made in passed.values()], dim=1), present)
        return torch.as_tensor(self.norm(shared.mean(dim=1)))

    def through(
        self, block: nn.Module, name: str, tokens: Tokens, shared: Float[Tensor, "batch shared dim"]
    ) -> tuple[Tokens, Float[Tensor, "batch shared dim"]]:
        """A modality's tokens and what it makes of the shared ones."""
        both, own = Tokens.join([tokens, Tokens.full(shared)]), tokens.mask.shape[1]
        values = block(both.values, both)
        assert isinstance(block, Block)
        self.attention[name] = block.look.weights[:, own:, :own]
        return Tokens(values[:, :own], tokens.mask), values[:, own:]


def agreed(
    before: Float[Tensor, "batch shared dim"],
    made: Float[Tensor, "batch modalities shared dim"],
    present: Float[Tensor, "batch modalities"],
) -> Float[Tensor, "batch shared dim"]:
    """The mean over the modalities a patient has; as before for a patient with none."""
    count = present.sum(dim=1)[:, None, None]
    mean = (made * present[:, :, None, None]).sum(dim=1) / count.clamp(min=1)
    return torch.where(count > 0, mean, before)
