"""Targets: what is asked of a patient, and the answers known so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from fusiondx.core.spec import Spec, spec

Array = npt.NDArray[Any]


@spec
class Classes(Spec):
    """A diagnosis: one of two or more classes, read from `column`.

    `classes` fixes their order; the last of two is the positive class. Left out, they are sorted.
    """

    column: str
    classes: tuple[str, ...] | None = None
    kind: Literal["classes"] = "classes"


@spec
class Survival(Spec):
    """A prognosis: `time` until death or relapse, or until last seen; `event` is 1 when it happened."""

    time: str
    event: str
    unit: Literal["days", "weeks", "months", "years"] = "months"
    kind: Literal["survival"] = "survival"


@spec
class Number(Spec):
    """A quantity, read from `column`, in `unit`."""

    column: str
    unit: str = ""
    kind: Literal["number"] = "number"


@spec
class Masks(Spec):
    """The tumour's outline in the images of `modality`; not asked for as a target, but judged as one."""

    modality: str
    kind: Literal["mask"] = "mask"


TargetSpec = Annotated[Classes | Survival | Number, Field(discriminator="kind")]


@dataclass(frozen=True)
class TargetValues:
    """The true values of one target for an ordered set of patients.

    `fields` holds arrays of shape ``(patients,)``: ``label`` (integer index into `classes`) for a diagnosis,
    ``time`` and ``event`` (0/1) for a prognosis, ``value`` for a number or for the size of a mask in pixels. Entries
    where `known` is False mean nothing.
    """

    spec: Classes | Survival | Number | Masks
    fields: Mapping[str, Array]
    known: npt.NDArray[np.bool_]
    classes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.known)

    def __getitem__(self, index: Array) -> TargetValues:
        return TargetValues(self.spec, {n: v[index] for n, v in self.fields.items()}, self.known[index], self.classes)

    @property
    def strata(self) -> npt.NDArray[np.int64]:
        """A label to stratify splits by: the class, the event, or the third of a number; -1 where unknown."""
        if isinstance(self.spec, Classes):
            label = self.fields["label"].astype(np.int64)
        elif isinstance(self.spec, Survival):
            label = self.fields["event"].astype(np.int64)
        else:
            value = self.fields["value"]
            cuts = np.quantile(value[self.known], [1 / 3, 2 / 3]) if self.known.any() else [0.0]
            label = np.searchsorted(cuts, value).astype(np.int64)
        return np.where(self.known, label, -1)
