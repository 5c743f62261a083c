"""Attention rollout: which patches of an image a vision transformer looked at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fusiondx.encoders.backbone import BackboneEncoder
from fusiondx.explain.heat import spread
from fusiondx.explain.probe import Probe

METHOD = "attention rollout"


def transformer(encoder: nn.Module) -> Any | None:
    """The plain vision transformer of timm's that an encoder is made of; None for any other."""
    if not isinstance(encoder, BackboneEncoder):
        return None
    from timm.models.vision_transformer import VisionTransformer

    return encoder.body if isinstance(encoder.body, VisionTransformer) else None


def rollout(probe: Probe, name: str) -> Float[Tensor, " items *size"]:
    """Attention of all blocks multiplied, half of each being what a token keeps of itself (Abnar & Zuidema 2020).

    Mean over heads and members; sums to 1 over an image. It says where the network looked, not for which answer.
    """
    items = probe.items(name)
    pixels = items.fields["pixels"]
    size = pixels.shape[2:]
    if not len(items):
        return torch.zeros(0, *size)
    found = [rolled(transformer(network.encoders[name]), pixels) for network in probe.networks]
    return spread(torch.stack(found).mean(dim=0), size)


def rolled(body: Any, pixels: Float[Tensor, "items channels height width"]) -> Float[Tensor, "items rows columns"]:
    """What the tokens that are read at the end owe to each patch."""
    looks: list[Tensor] = []
    with torch.no_grad(), noted(body, looks):
        body(pixels)
    total = torch.eye(looks[0].shape[-1])
    for look in looks:
        mixed = (look + torch.eye(look.shape[-1])) / 2
        total = mixed / mixed.sum(dim=-1, keepdim=True) @ total
    first = body.num_prefix_tokens
    reading = total[:, :1] if body.global_pool == "token" else total[:, first:]
    shares = reading.mean(dim=1)[:, first:]
    return torch.as_tensor(shares / shares.sum(dim=1, keepdim=True)).reshape(-1, *body.patch_embed.grid_size)


@contextmanager
def noted(body: nn.Module, looks: list[Tensor]) -> Iterator[None]:
    """Note each block's attention, mean over heads; kernels that never write it down are set aside meanwhile.

    A pooling by attention is no block: it is taken to read all patches alike.
    """
    blocks: list[Any] = [m for m in body.modules() if hasattr(m, "fused_attn") and hasattr(m, "attn_drop")]
    before = [block.fused_attn for block in blocks]
    handles = [
        block.attn_drop.register_forward_hook(lambda *seen: looks.append(seen[2].mean(dim=1))) for block in blocks
    ]
    for block in blocks:
        block.fused_attn = False
    try:
        yield
    finally:
        for block, fused, handle in zip(blocks, before, handles, strict=True):
            block.fused_attn = fused
            handle.remove()
