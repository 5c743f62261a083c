"""Columns: the fields of a table laid side by side as one vector per patient."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from fusiondx.core.components import TableShape

Categories = Literal["onehot", "embedding"]


class Columns(nn.Module):
    """Numeric columns as they are, categories one-hot or embedded (one extra level for unseen and missing)."""

    def __init__(self, shape: TableShape, categories: Categories) -> None:
        super().__init__()
        self.levels = tuple(known + 1 for known in shape.categories)
        widths = [min(16, (levels + 1) // 2) for levels in self.levels]
        tables = [nn.Embedding(n, width) for n, width in zip(self.levels, widths, strict=True)]
        self.tables = nn.ModuleList(tables if categories == "embedding" else [])
        self.width = len(shape.numeric) + sum(widths if categories == "embedding" else self.levels)

    def forward(self, fields: Mapping[str, Tensor]) -> Float[Tensor, "items width"]:
        codes = fields["codes"].unbind(dim=1)
        if self.tables:
            coded = [table(code) for table, code in zip(self.tables, codes, strict=True)]
        else:
            coded = [functional.one_hot(code, n).float() for code, n in zip(codes, self.levels, strict=True)]
        return torch.cat([fields["numeric"], *coded], dim=1)
