"""Spec: the settings of a component, frozen, comparable and validated the same in Python and in YAML."""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated, Any, Self, TypeVar, cast, dataclass_transform

import pydantic
from pydantic import ConfigDict, Field

Cls = TypeVar("Cls")
MOST_SEED = 2**32 - 1
"""The largest number that NumPy's generators start from."""
Seed = Annotated[int, Field(ge=0, le=MOST_SEED)]
Name = Annotated[str, Field(min_length=1)]


@dataclass_transform(frozen_default=True, field_specifiers=(Field,))
def spec(cls: type[Cls]) -> type[Cls]:
    """Class decorator: a frozen pydantic dataclass that refuses unknown settings."""
    config = ConfigDict(extra="forbid", validate_default=True)
    return cast("type[Cls]", pydantic.dataclasses.dataclass(frozen=True, config=config)(cls))


class Spec:
    """Base of all settings. `get_params` makes nested settings visible to scikit-learn's searches."""

    kind: str

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Settings by name, without `kind`."""
        own = fields(cast("Any", self))  # every spec is a dataclass, which this base is not
        return {f.name: getattr(self, f.name) for f in own if f.name != "kind"}

    def __sklearn_clone__(self) -> Self:
        return self  # frozen: a copy would be the same

    def replace(self, **settings: Any) -> Self:
        """A copy with some settings changed, validated afresh."""
        return type(self)(**{**self.get_params(), **settings})
