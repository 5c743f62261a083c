"""Joining: several tables read side by side by one encoder, known as ``clinical+omics``."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from torch import Tensor

from fusiondx.core.batch import Items
from fusiondx.core.components import Shape, TableShape
from fusiondx.errors import ConfigError, DataError


def read_by(name: str, modalities: Collection[str]) -> tuple[str, ...]:
    """The modalities that an encoder of this name reads; those of a joint name need not all be there."""
    return (name,) if name in modalities else tuple(name.split("+"))


def shape_beside(shapes: Mapping[str, Shape]) -> Shape:
    """The shape of several tables side by side, and of one 0/1 column each that says who lacks it.

    Raises `ConfigError` for anything but tables.
    """
    tables = {name: shape for name, shape in shapes.items() if isinstance(shape, TableShape)}
    for name in shapes.keys() - tables.keys():
        raise ConfigError(f"encoders: '{name}' is no table, so it cannot be read side by side with others.")
    numeric = [column for shape in tables.values() for column in shape.numeric]
    categories = [known for shape in tables.values() for known in shape.categories]
    return TableShape((*numeric, *(f"{name} missing" for name in tables)), tuple(categories))


def beside(tables: Mapping[str, Items]) -> Items:
    """Several tables as one: a row for every patient who has any.

    Columns of a table a patient lacks are zero, which is the training patients' mean, and their categories unknown.
    Raises `DataError` where a patient has several rows of a table.
    """
    for name, table in tables.items():
        if (table.counts > 1).any():
            raise DataError(f"'{name}' has several rows per patient, so it cannot be read side by side with others.")
    present = torch.stack([table.present for table in tables.values()], dim=1)
    patient = present.any(dim=1).nonzero()[:, 0]
    place = present.any(dim=1).cumsum(0) - 1

    def spread(table: Items, field: str) -> Tensor:
        values = table.fields[field]
        return values.new_zeros(len(patient), values.shape[1]).index_copy(0, place[table.patient], values)

    numeric = [spread(table, "numeric") for table in tables.values()]
    lacking = (~present[patient]).to(numeric[0].dtype)
    codes = [spread(table, "codes") for table in tables.values()]
    return Items(
        {"numeric": torch.cat([*numeric, lacking], dim=1), "codes": torch.cat(codes, dim=1)}, patient, len(present)
    )
