"""Columns: where in an encoder the columns of its tables stand side by side, and what they are called."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from fusiondx.data.preprocess import AnyPreparation, TablePreparation
from fusiondx.encoders.columns import Columns
from fusiondx.encoders.fttransformer import ColumnTokens
from fusiondx.encoders.pathways import PathwaysEncoder

NOWHERE = -1
"""Owner of an input that belongs to no column."""
Label = tuple[str, str]
"""Modality and column."""


@dataclass(frozen=True)
class ColumnLayer:
    """The layer whose output holds the columns, numbers and categories alike, as numbers one can halve."""

    module: nn.Module
    run: Callable[[Mapping[str, Tensor]], Float[Tensor, "items inputs *width"]]
    """What the layer gives, from an item's fields."""
    owner: Int[Tensor, " inputs"]
    """The column of each input: numeric columns first, then categorical ones."""
    sets: tuple[tuple[str, int], ...] = ()
    """Gene sets, and how many of the inputs belong to each, in order; none where there are no sets."""


def column_layer(encoder: nn.Module) -> ColumnLayer | None:
    """Where an encoder's columns are; None for one that keeps them elsewhere."""
    if isinstance(encoder, PathwaysEncoder):
        whole = of_columns(encoder.columns)
        places = encoder.columns_of_set
        sizes = tuple(zip(encoder.names, encoder.sizes, strict=True))
        return ColumnLayer(encoder.gather, lambda fields: whole.run(fields)[:, places], whole.owner[places], sizes)
    for module in encoder.modules():
        if isinstance(module, Columns):
            return of_columns(module)
        if isinstance(module, ColumnTokens):
            count = len(module.directions) + len(module.starts)
            return ColumnLayer(module, module, torch.arange(-1, count))  # the CLS token comes first
    return None


def of_columns(columns: Columns) -> ColumnLayer:
    """The layer of columns that stand side by side as numbers, each category over several."""
    spread = [table.embedding_dim for table in columns.tables if isinstance(table, nn.Embedding)] or list(
        columns.levels
    )
    numeric = columns.width - sum(spread)
    widths = torch.tensor([1] * numeric + spread)
    return ColumnLayer(columns, columns, torch.arange(len(widths)).repeat_interleave(widths))


def labels(read: tuple[str, ...], preparations: Mapping[str, AnyPreparation]) -> list[Label]:
    """What the columns of an encoder are called that reads these modalities, in its order.

    That a value is missing belongs to the column of the value; that a whole table is, to one of its own.
    """
    tables = {name: p for name in read if isinstance(p := preparations[name], TablePreparation)}
    numeric = [(name, column) for name, p in tables.items() for column in (*p.numeric, *p.indicators)]
    lacking = [(name, f"{name} missing") for name in tables] if len(read) > 1 else []
    return numeric + lacking + [(name, column) for name, p in tables.items() for column in p.categories]
