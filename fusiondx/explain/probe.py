"""Probe: fitted networks as one differentiable number per patient."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor, nn

from fusiondx.core.batch import Batch, Items
from fusiondx.core.components import Head, Stratified
from fusiondx.core.predictions import Prediction
from fusiondx.core.tokens import Tokens
from fusiondx.explain.question import Question
from fusiondx.network import Network

Array = npt.NDArray[Any]
Number = Callable[[Array], Array]

STEP = 1e-4
"""In answers, of the central differences by which a head's prediction is differentiated; it computes in float64."""


@dataclass(frozen=True)
class Reading:
    """How a head's answers about some patients become the number that is explained."""

    head: Head
    question: Question
    ids: Array
    strata: Array
    """Blank where the head knows no groups."""
    choice: Array
    """Which outcome is explained, by patient."""

    def __call__(self, answers: Array) -> Array:
        """Of shape ``(copies * patients,)``, from answers about copies of the patients one after the other."""
        copies = len(answers) // len(self.ids)
        said = said_within(self.head, answers, np.tile(self.ids, copies), np.tile(self.strata, copies))
        values = self.question.outcomes(said).values
        return np.asarray(values[np.arange(len(values)), np.tile(self.choice, copies)])


def said_within(head: Head, answers: Array, ids: Array, strata: Array) -> Prediction:
    """The prediction that answers about patients of these strata stand for."""
    if isinstance(head, Stratified) and head.stratum_column is not None:
        return head.predict_within(answers, ids, strata)
    return head.predict(answers, ids)


class Read(torch.autograd.Function):
    """Answers to a number, with the slope found by differences.

    A head predicts in NumPy, by as many rules as there are heads; it has few outputs. Differences let every head be
    explained, also one of a user's own, and what is explained is what `predict` says.
    """

    @staticmethod
    def forward(ctx: Any, answers: Tensor, number: Number) -> Tensor:
        ctx.number = number
        ctx.save_for_backward(answers)
        return torch.from_numpy(number(answers.detach().double().numpy()))

    @staticmethod
    def backward(ctx: Any, *above: Tensor) -> tuple[Tensor, None]:
        (answers,) = ctx.saved_tensors
        at = answers.double().numpy()
        slopes = np.stack([slope(ctx.number, at, k) for k in range(at.shape[1])], axis=1)
        return (above[0].unsqueeze(1) * torch.from_numpy(slopes)).to(answers.dtype), None


def slope(number: Number, at: Array, k: int) -> Array:
    """Central difference in the k-th output."""
    step = np.zeros(at.shape[1])
    step[k] = STEP
    return np.asarray((number(at + step) - number(at - step)) / (2 * STEP))


@dataclass(frozen=True)
class Probe:
    """Networks, their answers averaged, about the patients of one batch; nothing trains, gradients flow."""

    networks: Sequence[Network]
    batch: Batch
    reading: Reading
    fixed: Sequence[Mapping[str, Tokens]]
    """What each network's encoders make of the batch."""

    @classmethod
    def of(cls, networks: Sequence[Network], batch: Batch, reading: Reading) -> Probe:
        with torch.no_grad():
            fixed = [network.eval().read(batch.inputs) for network in networks]
        return cls(networks, batch, reading, fixed)

    def items(self, name: str) -> Items:
        """What encoder `name` reads of the batch."""
        return self.networks[0].items(name, self.batch.inputs.__getitem__)

    def number(self, name: str, items: Items) -> Float[Tensor, " rows"]:
        """The number where encoder `name` reads `items`, of as many copies of the batch as those are of; all other
        encoders see the batch as it is."""
        copies = items.patients // len(self.batch)
        found = []
        for network, fixed in zip(self.networks, self.fixed, strict=True):
            tokens = {other: copied(t, copies) for other, t in fixed.items()} | {name: network.timed(name, items)}
            found.append(network.decided(network.fusion(tokens))[self.reading.question.target])
        value: Tensor = Read.apply(torch.stack(found).mean(dim=0), self.reading)
        return value


def copied(tokens: Tokens, copies: int) -> Tokens:
    """The batch several times, one after the other."""
    return Tokens(tokens.values.repeat(copies, 1, 1), tokens.mask.repeat(copies, 1))


def several(items: Items, copies: int) -> Items:
    """The items of as many copies of the batch, one after the other."""
    fields = {name: value.repeat(copies, *[1] * (value.dim() - 1)) for name, value in items.fields.items()}
    shift = torch.arange(copies).repeat_interleave(len(items)) * items.patients
    return Items(fields, items.patient.repeat(copies) + shift, items.patients * copies)


@contextmanager
def put(layer: nn.Module, output: Tensor) -> Iterator[None]:
    """Let `layer` give `output`, whatever it reads."""
    handle = layer.register_forward_hook(lambda *_: output)
    try:
        yield
    finally:
        handle.remove()
