"""Fusions: the tokens of all modalities become opinions, and opinions one answer. One published idea per file."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from fusiondx.fusion.concat import Concat
from fusiondx.fusion.gated import Gated
from fusiondx.fusion.mean import Mean

AnyFusion = Annotated[Concat | Gated | Mean, Field(discriminator="kind")]

__all__ = ["AnyFusion", "Concat", "Gated", "Mean"]
