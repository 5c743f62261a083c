"""Heat maps of images that were described once, by a network that does not train: looked at again, for their places."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from fusiondx.core.batch import Items
from fusiondx.data.preprocess import TablePreparation
from fusiondx.encoders.frozen import FrozenBackbone
from fusiondx.explain.heat import Method, activation, spread
from fusiondx.explain.probe import Probe

Array = npt.NDArray[Any]


def slopes(probe: Probe, name: str, preparation: TablePreparation, features: Sequence[str]) -> Float[Tensor, "items f"]:
    """The number's slope in each feature before standardisation; 0 where a value was held or filled in."""
    items = probe.items(name)
    numeric = items.fields["numeric"].clone().requires_grad_()
    number = probe.number(name, Items({**items.fields, "numeric": numeric}, items.patient, items.patients))
    (by_input,) = torch.autograd.grad(number.sum(), numeric)
    used = len(preparation.numeric)
    steepness = preparation.slope(numeric.detach()[:, :used].double().numpy())
    by_input = by_input[:, :used] * torch.from_numpy(steepness.astype(np.float32))
    for k, column in enumerate(preparation.numeric):
        if column in preparation.indicators:
            gap = items.fields["numeric"][:, used + preparation.indicators.index(column)] > 0
            by_input[gap, k] = 0.0
    place = {feature: k for k, feature in enumerate(features)}
    found = torch.zeros(len(items), len(features))
    found[:, [place[column] for column in preparation.numeric]] = by_input
    return found


def cam(
    extractor: FrozenBackbone,
    images: Iterable[tuple[Array, Array | None]],
    slopes: Float[Tensor, "items features"],
    size: tuple[int, ...],
    method: Method,
) -> Float[Tensor, " items *size"]:
    """Class activation maps of all stages, which the features are statistics of."""
    found = [
        seen(extractor, torch.from_numpy(pixels.astype(np.float32)), mask, slope, size, method)
        for (pixels, mask), slope in zip(images, slopes, strict=True)
    ]
    return torch.stack(found) if found else torch.zeros(0, *size)


def seen(
    extractor: FrozenBackbone,
    pixels: Tensor,
    mask: Array | None,
    slope: Float[Tensor, " features"],
    size: tuple[int, ...],
    method: Method,
) -> Float[Tensor, "*size"]:
    """The map of one image."""
    with torch.no_grad():
        stages = extractor.stages(pixels)
    leaves = [stage.detach().requires_grad_() for stage in stages]
    # an empty mask has no features, nor a slope: any mask will do
    inside = torch.ones(1, *extractor.images.size) if mask is None or not mask.any() else torch.from_numpy(mask > 0)
    described = extractor.described(leaves, inside.bool())
    steepness = torch.autograd.grad((described * slope).sum(), leaves)
    maps = [spread(activation(m.detach(), s, method), size) for m, s in zip(leaves, steepness, strict=True)]
    return torch.stack(maps).sum(dim=0)[0]
