"""Statistics: what remains of a feature map when places are forgotten."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def statistics(x: Float[Tensor, "items channels *size"]) -> Float[Tensor, "items 2*channels"]:
    """Mean and standard deviation of each channel over space."""
    flat = x.flatten(2)
    mean = flat.mean(dim=2)
    variance = flat.square().mean(dim=2) - mean.square()
    return torch.cat([mean, (variance.clamp(min=0) + 1e-6).sqrt()], dim=1)
