"""Tokens: what every modality becomes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True)
class Tokens:
    """A set of vectors per patient; a patient without the modality has the empty set (a row of False).

    Values at masked positions carry no meaning and must never reach a result.
    """

    values: Float[Tensor, "batch tokens dim"]
    mask: Bool[Tensor, "batch tokens"]

    @property
    def present(self) -> Bool[Tensor, " batch"]:
        """Which patients have at least one token."""
        return self.mask.any(dim=1)

    @property
    def kept(self) -> Float[Tensor, "batch tokens dim"]:
        """The values, with zeros at masked positions."""
        # torch.where, not multiplication: a masked position may hold anything, NaN included
        return torch.where(self.mask.unsqueeze(-1), self.values, torch.zeros_like(self.values))

    def mean(self) -> Float[Tensor, "batch dim"]:
        """The mean token of each patient; zeros for a patient with none."""
        weights = self.mask.unsqueeze(-1).to(self.values.dtype)
        return self.kept.sum(dim=1) / weights.sum(dim=1).clamp(min=1)

    @staticmethod
    def full(values: Float[Tensor, "batch tokens dim"]) -> Tokens:
        """Tokens that every patient has."""
        return Tokens(values, torch.ones(values.shape[:2], dtype=torch.bool, device=values.device))

    @staticmethod
    def join(sets: Sequence[Tokens]) -> Tokens:
        """The union of several sets, patient by patient."""
        return Tokens(torch.cat([s.values for s in sets], dim=1), torch.cat([s.mask for s in sets], dim=1))
