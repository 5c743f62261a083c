"""A few patients as tensors: what goes into a network and what it is held against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from fusiondx.core.tokens import Tokens


@dataclass(frozen=True)
class Items:
    """The observations of one modality: none, one or several per patient, without padding.

    Only what exists is held, so a missing modality costs nothing and its values cannot leak: there are none.
    """

    fields: Mapping[str, Tensor]
    """Each of shape ``(items, ...)``; which names there are depends on the modality's kind."""
    patient: Int[Tensor, " items"]
    """Row in the batch that each item belongs to, ascending."""
    patients: int
    """Rows in the batch."""

    def __len__(self) -> int:
        return len(self.patient)

    @property
    def present(self) -> Bool[Tensor, " patients"]:
        """Which patients have at least one item."""
        return self.counts > 0

    @property
    def counts(self) -> Int[Tensor, " patients"]:
        """Items per patient."""
        return torch.bincount(self.patient, minlength=self.patients)

    def keep(self, patients: Bool[Tensor, " patients"]) -> Items:
        """The same batch with this modality taken away from every other patient."""
        kept = patients[self.patient]
        fields = {name: value[kept] for name, value in self.fields.items()}
        return Items(fields, self.patient[kept], self.patients)

    def tokens(self, values: Float[Tensor, "items tokens dim"]) -> Tokens:
        """Lay each item's tokens beside those of the same patient."""
        _, per_item, dim = values.shape
        counts = self.counts
        most = int(counts.max()) if len(self) else 0
        first = torch.cumsum(counts, dim=0) - counts
        place = torch.arange(len(self), device=values.device) - first[self.patient]
        grid = values.new_zeros(self.patients, most, per_item, dim)
        grid = grid.index_put((self.patient, place), values)
        mask = torch.arange(most, device=values.device) < counts.unsqueeze(1)
        return Tokens(grid.flatten(1, 2), mask.repeat_interleave(per_item, dim=1))

    def to(self, device: torch.device) -> Items:
        fields = {name: value.to(device) for name, value in self.fields.items()}
        return Items(fields, self.patient.to(device), self.patients)


@dataclass(frozen=True)
class Truth:
    """One target's true values for a batch. `fields` are meaningless where `known` is False."""

    fields: Mapping[str, Tensor]
    """As in `TargetValues`: ``label`` | ``label``, ``told`` | ``time``, ``event`` | ``value``."""
    known: Bool[Tensor, " patients"]

    def to(self, device: torch.device) -> Truth:
        return Truth({n: v.to(device) for n, v in self.fields.items()}, self.known.to(device))


@dataclass(frozen=True)
class Batch:
    """A few patients: inputs by modality name, truths by target name."""

    ids: tuple[str, ...]
    inputs: Mapping[str, Items]
    targets: Mapping[str, Truth]

    def __len__(self) -> int:
        return len(self.ids)

    def to(self, device: torch.device) -> Batch:
        inputs = {n: i.to(device) for n, i in self.inputs.items()}
        return Batch(self.ids, inputs, {n: t.to(device) for n, t in self.targets.items()})
