"""The network: encoders, then fusion, then heads; with modality dropout while it trains."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fusiondx.clock import Clock
from fusiondx.core.batch import Batch, Items
from fusiondx.core.components import Encoder, Fusion, Head, Paced, Primed, Regularised
from fusiondx.core.joining import beside
from fusiondx.core.tokens import Tokens


class Network(nn.Module):
    """Answers every question about every patient of a batch."""

    def __init__(
        self,
        encoders: Mapping[str, Encoder],
        fusion: Fusion,
        heads: Mapping[str, Head],
        modality_dropout: float,
        autocast: bool = False,
        clocks: Mapping[str, Clock] | None = None,
        reads: Mapping[str, tuple[str, ...]] | None = None,
    ) -> None:
        super().__init__()
        self.reads = reads or {name: (name,) for name in encoders}  # the modalities of each encoder
        self.encoders = nn.ModuleDict(dict(encoders))
        self.fusion = fusion
        self.targets = tuple(heads)
        self.heads = nn.ModuleDict({module_name(target): head for target, head in heads.items()})
        self.modality_dropout = modality_dropout
        self.autocast = autocast
        self.clocks = nn.ModuleDict(dict(clocks or {}))

    def prime(self, everyone: Callable[[str], Items]) -> None:
        """Let encoders fit what training does not reach, on a modality's items of all training patients."""
        for name, encoder in self.encoders.items():
            if isinstance(encoder, Primed):
                encoder.prime(self.items(name, everyone))

    def opinions(self, batch: Batch) -> Tokens:
        """What the fusion makes of the modalities each patient has."""
        inputs = drop_modalities(batch.inputs, self.modality_dropout) if self.training else batch.inputs
        opinions: Tokens = self.fusion(self.read(inputs))
        return opinions

    def read(self, inputs: Mapping[str, Items]) -> dict[str, Tokens]:
        """What the encoders make of a batch's inputs, as the fusion is given it."""
        return {name: self.timed(name, self.items(name, inputs.__getitem__)) for name in self.encoders}

    def timed(self, name: str, items: Items) -> Tokens:
        """What one encoder makes of its items, and when they were observed."""
        tokens = self.tokens(name, items)
        found: Tokens = self.clocks[name](tokens, items) if name in self.clocks else tokens
        return found

    def items(self, name: str, of: Callable[[str], Items]) -> Items:
        """What an encoder reads: the items `of` a modality, or of several tables side by side."""
        reads = self.reads[name]
        return of(name) if reads == (name,) else beside({part: of(part) for part in reads})

    def tokens(self, name: str, items: Items) -> Tokens:
        """What one encoder makes of its items; while training with autocast, pixels in bfloat16."""
        pixels = items.fields.get("pixels")
        if pixels is None or not (self.autocast and self.training):
            found: Tokens = self.encoders[name](items)
            return found
        # not the fusion or the heads: of three digits, many patients would share a risk
        with torch.autocast(pixels.device.type, torch.bfloat16):
            found = self.encoders[name](items)
        return Tokens(found.values.float(), found.mask)

    def forward(self, batch: Batch) -> dict[str, Float[Tensor, "batch outputs"]]:
        """One raw answer per patient, by target."""
        return self.decided(self.opinions(batch))

    def decided(self, opinions: Tokens) -> dict[str, Float[Tensor, "batch outputs"]]:
        """The answers to opinions, by target."""
        return {name: self.fusion.decide(h(opinions.values), opinions.mask) for name, h in self.named_heads()}

    def losses(self, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        """The loss of every target."""
        answers = self(batch)
        return {name: head.loss(answers[name], batch.targets[name]) for name, head in self.named_heads()}

    def penalty(self) -> Float[Tensor, ""]:
        """What encoders add to the loss, from the last forward pass."""
        penalties = [encoder.penalty() for encoder in self.encoders.values() if isinstance(encoder, Regularised)]
        return sum(penalties, torch.zeros(()))

    def paces(self) -> dict[float, list[nn.Parameter]]:
        """Parameters that are to learn, by the factor on their learning rate."""
        slow: dict[nn.Parameter, float] = {}
        for encoder in self.encoders.values():
            slow |= encoder.paces() if isinstance(encoder, Paced) else {}
        groups: dict[float, list[nn.Parameter]] = defaultdict(list)
        for parameter in self.parameters():
            groups[slow.get(parameter, 1.0)].append(parameter)
        return groups

    def named_heads(self) -> list[tuple[str, Head]]:
        """The heads by target name."""
        heads = ((target, self.heads[module_name(target)]) for target in self.targets)
        return [(target, head) for target, head in heads if isinstance(head, Head)]


def module_name(target: str) -> str:
    """What a target's head is called among modules, which may not be named as a method of theirs, nor with a dot."""
    return "target:" + target.replace("%", "%25").replace(".", "%2E")


def drop_modalities(inputs: Mapping[str, Items], rate: float) -> Mapping[str, Items]:
    """Take modalities away at random, patient by patient, but never a patient's last one (Neverova et al. 2016)."""
    if not rate or len(inputs) < 2:
        return inputs
    present = torch.stack([items.present for items in inputs.values()])
    kept = present & (torch.rand(present.shape, device=present.device) >= rate)
    lost = present.any(dim=0) & ~kept.any(dim=0)
    kept = kept | (present & lost)
    return {name: items.keep(row) for (name, items), row in zip(inputs.items(), kept, strict=True)}
