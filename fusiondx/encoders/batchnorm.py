"""Batch normalisation in a network of somebody else's, where a batch may be a single item."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from fusiondx.encoders.convolution import groups


def through(body: nn.Module, x: Tensor, run: Callable[[Any, Tensor], Any] = nn.Module.__call__) -> Any:
    """What `body` makes of `x`, or `run` of both.

    In training, a single item, which has no batch statistics, meets the running ones.
    """
    if not (body.training and len(x) == 1):
        return run(body, x)
    body.eval()
    found = run(body, x)
    body.train()
    return found


def group_norms(body: nn.Module) -> None:
    """Put group normalisation (Wu & He 2018) in the place of batch normalisation, so that patients are independent of
    each other also in training; for networks without pretrained weights."""
    for name, child in body.named_children():
        if isinstance(child, _BatchNorm):
            norm = nn.GroupNorm(groups(child.num_features), child.num_features, eps=child.eps)
            # timm's own kind does its activation as well
            after = [part for part in (getattr(child, "drop", None), getattr(child, "act", None)) if part is not None]
            setattr(body, name, nn.Sequential(norm, *after) if after else norm)
        else:
            group_norms(child)
