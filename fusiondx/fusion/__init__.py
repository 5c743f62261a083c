"""Fusions: the tokens of all modalities become opinions, and opinions one answer. One published idea per file."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from fusiondx.fusion.attention import Attention
from fusiondx.fusion.bottleneck import Bottleneck
from fusiondx.fusion.coattention import CoAttention
from fusiondx.fusion.concat import Concat
from fusiondx.fusion.experts import Experts
from fusiondx.fusion.gated import Gated
from fusiondx.fusion.kronecker import Kronecker
from fusiondx.fusion.low_rank import LowRank
from fusiondx.fusion.mean import Mean
from fusiondx.fusion.product import Product
from fusiondx.fusion.weighted import Weighted

AnyFusion = Annotated[
    Concat | Gated | Kronecker | LowRank | Attention | CoAttention | Bottleneck | Experts | Mean | Weighted | Product,
    Field(discriminator="kind"),
]

__all__ = [
    "AnyFusion",
    "Attention",
    "Bottleneck",
    "CoAttention",
    "Concat",
    "Experts",
    "Gated",
    "Kronecker",
    "LowRank",
    "Mean",
    "Product",
    "Weighted",
]
