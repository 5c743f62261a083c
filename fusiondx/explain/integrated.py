"""Integrated gradients: how much each column of a table moved the number away from the average patient's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from fusiondx.core.batch import Items
from fusiondx.explain.columns import ColumnLayer, column_layer
from fusiondx.explain.probe import Probe, put, several
from fusiondx.network import Network

STEPS = (32, 128, 512)
"""Points along the path; more where the sum of the attributions is still off."""
CLOSE = 0.01
"""How far off a sum may be, as a share of what it should be, or of `SMALL` where that is less."""
SMALL = 0.1


@dataclass(frozen=True)
class Attributed:
    """What the columns of one encoder did for the patients of a batch."""

    inputs: Float[Tensor, "items inputs"]
    """By input of the layer, members of an ensemble together."""
    difference: Float[Tensor, " patients"]
    """The number, minus the same with this encoder's columns at their average."""
    gap: Float[Tensor, " patients"]
    """Sum of the attributions minus `difference`: zero, but for the steps of the integration."""


def average(networks: Sequence[Network], name: str, everyone: Callable[[str], Items]) -> list[Tensor] | None:
    """What each network's layer of columns gives on average over `everyone` who has what it reads; None for nobody."""
    items = networks[0].items(name, everyone)
    layers = [column_layer(network.encoders[name]) for network in networks]
    if not len(items):
        return None
    with torch.no_grad():
        return [layer.run(items.fields).double().mean(dim=0).float() for layer in layers if layer is not None]


def integrated(probe: Probe, name: str, baselines: Sequence[Tensor]) -> Attributed:
    """Integrated gradients (Sundararajan et al. 2017) on the straight path from `baselines` to each patient's columns.

    Every other modality stays as it is. By Gauss and Legendre's rule, at more points where the sum is off by more than
    `CLOSE`.
    """
    layers = [layer for network in probe.networks if (layer := column_layer(network.encoders[name])) is not None]
    items = probe.items(name)
    patients = items.patients
    if not len(items):
        return Attributed(torch.zeros(0, len(layers[0].owner)), torch.zeros(patients), torch.zeros(patients))
    inputs = [layer.run(items.fields).detach() for layer in layers]
    starts = [base.expand_as(x) for base, x in zip(baselines, inputs, strict=True)]

    def number(*outputs: Tensor) -> Tensor:
        with ExitStack() as stack:
            for layer, output in zip(layers, outputs, strict=True):
                stack.enter_context(put(layer.module, output))
            return probe.number(name, several(items, len(outputs[0]) // len(items)))

    with torch.no_grad():
        difference = number(*inputs) - number(*starts)
    found, exact = torch.zeros(len(items), len(layers[0].owner)), torch.zeros(patients, dtype=torch.bool)
    for steps in STEPS:
        # patient by patient: how many points one of them needs must not depend on the others
        tried = path(number, inputs, starts, steps)
        found = torch.where(exact[items.patient].unsqueeze(1), found, tried)
        gap = summed(found, items) - difference
        exact = gap.abs() <= CLOSE * difference.abs().clamp(min=SMALL)
        if exact.all():
            break
    return Attributed(found, difference, gap)


def summed(found: Float[Tensor, "items inputs"], items: Items) -> Float[Tensor, " patients"]:
    """All attributions of each patient together."""
    return torch.zeros(items.patients, dtype=torch.float64).index_add(0, items.patient, found.sum(dim=1).double())


def path(number: Callable[..., Tensor], inputs: Sequence[Tensor], starts: Sequence[Tensor], steps: int) -> Tensor:
    """Attributions by input, summed over members and over the width of an input that is a vector."""
    from captum.attr import IntegratedGradients  # here, because it imports matplotlib

    method = IntegratedGradients(number)
    found = method.attribute(tuple(inputs), tuple(starts), n_steps=steps, method="gausslegendre")
    return torch.stack(
        [part.detach().flatten(2).sum(dim=2) if part.dim() > 2 else part.detach() for part in found]
    ).sum(dim=0)


def by_column(found: Float[Tensor, "items inputs"], layer: ColumnLayer, columns: int) -> Float[Tensor, "items columns"]:
    """Inputs summed into the columns they belong to."""
    owned = layer.owner >= 0
    return found.new_zeros(len(found), columns).index_add(1, layer.owner[owned], found[:, owned])
