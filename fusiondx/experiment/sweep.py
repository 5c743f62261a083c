"""Sweep: which settings of a model to try, and how."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from fusiondx.core.spec import Seed, Spec, spec

Number = Annotated[int, Field(strict=True)] | float
Point = dict[str, Any]
"""Values by dotted path."""


@spec
class Range(Spec):
    """Numbers from `low` to `high`, whole ones where both are; every `step`, or on a logarithmic scale."""

    low: Number
    high: Number
    step: Number | None = None
    log: bool = False

    @model_validator(mode="after")
    def _sound(self) -> Range:
        if not self.low < self.high or (self.step is not None and self.step <= 0):
            raise ValueError("low must be below high, and a step above 0")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError("a logarithmic scale needs a low above 0 and no step")
        return self

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are meant."""
        return all(isinstance(value, int) for value in (self.low, self.high, self.step or 1))

    @property
    def values(self) -> tuple[Any, ...]:
        """The numbers at every step; the two ends where there is no step."""
        if self.step is None:
            return (self.low, self.high)
        count = int((self.high - self.low) / self.step + 1e-9) + 1
        return tuple(self.low + i * self.step for i in range(count))


@spec
class Grid(Spec):
    """Every combination."""

    kind: Literal["grid"] = "grid"


@spec
class Optuna(Spec):
    """Combinations chosen one after the other by Optuna (Akiba et al. 2019), which the extra ``optuna`` installs.

    `storage` is a database's address, such as ``sqlite:///trials.db``: trials are kept there, and a sweep that was
    stopped goes on. A pruner stops a trial after any inner fold that is not promising.
    """

    trials: int = Field(default=20, ge=1)
    sampler: Literal["tpe", "random", "qmc", "gp"] = "tpe"
    pruner: Literal["none", "median", "halving", "hyperband"] = "none"
    storage: str | None = None
    kind: Literal["optuna"] = "optuna"


def named(value: Any) -> Any:
    """A method given by its name alone has default settings."""
    return {"kind": value} if isinstance(value, str) else value


Method = Annotated[Annotated[Grid | Optuna, Field(discriminator="kind")], BeforeValidator(named)]


@spec
class Sweep(Spec):
    """Settings to try, by their dotted path: lists of values, or ranges.

    Each training part is cross-validated inside itself, on `folds` folds; the settings with the best mean AUROC,
    C-index or R² for `target` (the first one) are then trained on all of it. Held-out patients take no part.
    """

    over: Mapping[str, tuple[Any, ...] | Range] = Field(min_length=1)
    method: Method = Grid()
    folds: int = Field(default=3, ge=2)
    target: str | None = None
    seed: Seed = 0

    @model_validator(mode="after")
    def _can_be_tried(self) -> Sweep:
        for path, values in self.over.items():
            if not path.startswith("model."):
                raise ValueError(f"over.{path}: a sweep tries settings of the model, such as model.training.epochs")
            if isinstance(values, tuple) and not values:
                raise ValueError(f"over.{path}: give at least one value")
            if isinstance(values, Range) and values.step is None and isinstance(self.method, Grid):
                raise ValueError(f"over.{path}: a grid needs a list of values or a step; method: optuna needs neither")
        return self

    def grid(self) -> list[Point]:
        """Every combination of values."""
        values = [v.values if isinstance(v, Range) else v for v in self.over.values()]
        return [dict(zip(self.over, combination, strict=True)) for combination in product(*values)]

    def samples(self) -> Iterator[Point]:
        """Points that between them try everything that could be wrong with a setting."""
        if isinstance(self.method, Grid):
            yield from self.grid()
            return
        for path, values in self.over.items():
            yield from ({path: value} for value in (values.values if isinstance(values, Range) else values))
