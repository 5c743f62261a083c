"""Gene gate: every column weighed before a network reads it."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, ClassVar, Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from fusiondx.core.batch import Items
from fusiondx.core.components import Encoder, Shape, TableShape
from fusiondx.core.spec import Spec, spec
from fusiondx.core.tokens import Tokens
from fusiondx.encoders.columns import Columns
from fusiondx.encoders.snn import lecun

PACE = 30.0
"""How much faster than weights gates learn: from 1 to 0 takes a thousand ordinary steps, a small cohort makes 200."""
START = 0.1
"""Factor on the first weights, so that what they learn soon outweighs where they began, or gates could not tell."""


@spec
class GeneGate(Spec):
    """Each column times a learned gate, then a self-normalising network (Klambauer et al. 2017); one token per patient.

    `gate` "l1" learns one number per column, the same for all patients (after Li et al. 2016); with "attention" a small
    network of `attention` units that sees all columns multiplies each patient's gates by factors between 0 and 2. Gates
    start at about 1 and cost `strength` times their mean size, so that those of columns that do not help shrink towards
    zero. Beside an image that tells more all gates may shut: choose a smaller `strength` there. A category has one gate
    for all its levels.

    >>> encoders = {"omics": fdx.GeneGate(strength=5.0)}
    >>> model = fdx.FusionModel(encoders, training=quick).fit(train)
    >>> model.predict_proba(test).shape
    (23, 2)
    """

    gate: Literal["l1", "attention"] = "l1"
    strength: float = Field(default=2.0, ge=0, allow_inf_nan=False)
    attention: int = Field(default=16, ge=1)
    hidden: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)] = (64,)
    dropout: float = Field(default=0.3, ge=0, lt=1)
    input_dropout: float = Field(default=0.2, ge=0, lt=1)
    kind: Literal["gene_gate"] = "gene_gate"
    accepts: ClassVar[tuple[str, ...]] = ("table",)

    def build(self, shape: Shape, dim: int) -> Encoder:
        assert isinstance(shape, TableShape)
        return GeneGateEncoder(self, shape, dim)


class GeneGateEncoder(Encoder):
    owner: Tensor

    def __init__(self, spec: GeneGate, shape: TableShape, dim: int) -> None:
        super().__init__()
        self.columns = Columns(shape, "onehot")
        sizes = torch.tensor([1] * len(shape.numeric) + list(self.columns.levels), dtype=torch.int64)
        self.register_buffer("owner", torch.arange(len(sizes)).repeat_interleave(sizes), persistent=False)
        fixed = spec.gate == "l1"
        self.gate: FixedGate | AttentionGate = (
            FixedGate(len(sizes)) if fixed else AttentionGate(self.columns.width, len(sizes), spec.attention)
        )
        self.strength, self.open = spec.strength, torch.zeros(())
        self.input_dropout = nn.Dropout(spec.input_dropout)
        widths = (*spec.hidden, dim)
        self.first = lecun(nn.Linear(self.columns.width, widths[0]))
        nn.init.normal_(self.first.weight, std=START * self.columns.width**-0.5)
        layers: list[nn.Module] = []
        for wide, narrow in pairwise(widths):
            layers += [nn.SELU(), nn.AlphaDropout(spec.dropout), lecun(nn.Linear(wide, narrow))]
        self.body = nn.Sequential(*layers)

    def penalty(self) -> Float[Tensor, ""]:
        """The price of open gates in the last forward pass; zero when there were no items."""
        return self.strength * self.open

    def paces(self) -> Mapping[nn.Parameter, float]:
        """Gates learn faster than weights."""
        return {self.gate.openings: PACE}

    def forward(self, items: Items) -> Tokens:
        columns = self.input_dropout(self.columns(items.fields))
        gates = self.gate(columns)
        self.open = gates.abs().sum() / max(gates.numel(), 1)
        return items.tokens(self.body(self.first(columns * gates[:, self.owner])).unsqueeze(1))

    def importance(self, items: Items) -> Float[Tensor, "items columns"]:
        """Each gate times the length of the first weights behind it, numeric columns before categorical; zero or more.
        Use it in eval."""
        gates: Tensor = self.gate(self.columns(items.fields)).abs()
        squares = gates.new_zeros(gates.shape[1]).index_add(0, self.owner, self.first.weight.square().sum(dim=0))
        return (gates * squares.sqrt()).detach()


class FixedGate(nn.Module):
    """A number per column."""

    def __init__(self, columns: int) -> None:
        super().__init__()
        self.openings = nn.Parameter(torch.ones(columns))

    def forward(self, columns: Float[Tensor, "items width"]) -> Float[Tensor, "items columns"]:
        return self.openings.expand(len(columns), -1)


class AttentionGate(nn.Module):
    """A number per column, times one between 0 and 2 from all columns of the patient."""

    def __init__(self, width: int, columns: int, units: int) -> None:
        super().__init__()
        self.openings = nn.Parameter(torch.ones(columns))
        self.scores = nn.Sequential(lecun(nn.Linear(width, units)), nn.Tanh(), nn.Linear(units, columns, bias=False))

    def forward(self, columns: Float[Tensor, "items width"]) -> Float[Tensor, "items columns"]:
        return self.openings * 2 * torch.sigmoid(self.scores(columns))
