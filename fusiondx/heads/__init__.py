"""Heads: a question each, with its loss and the prediction its answers stand for."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from fusiondx.core.components import HeadSpec
from fusiondx.core.targets import Classes, TargetValues
from fusiondx.heads.causes import CauseSpecific
from fusiondx.heads.corn import Corn
from fusiondx.heads.cox import Cox
from fusiondx.heads.deephit import DeepHit
from fusiondx.heads.diagnosis import Diagnosis
from fusiondx.heads.hazards import Hazards
from fusiondx.heads.multilabel import MultiLabel
from fusiondx.heads.ordinal import Ordinal
from fusiondx.heads.piecewise import Piecewise
from fusiondx.heads.regression import Regression

AnyHead = Annotated[
    Diagnosis | Ordinal | Corn | MultiLabel | Cox | Hazards | Piecewise | DeepHit | CauseSpecific | Regression,
    Field(discriminator="kind"),
]

DEFAULT: dict[str, HeadSpec] = {
    "classes": Diagnosis(),
    "labels": MultiLabel(),
    "survival": Cox(),
    "competing": DeepHit(),
    "number": Regression(),
}
"""What a target of each kind gets when nothing is said; ordered classes get `Ordinal`."""


def default(target: TargetValues) -> HeadSpec:
    """The head of a target for which none is named.

    >>> from fusiondx import heads
    >>> heads.default(cohort.targets["survival"]).kind
    'cox'
    """
    return Ordinal() if isinstance(target.spec, Classes) and target.spec.ordered else DEFAULT[target.spec.kind]


__all__ = [
    "DEFAULT",
    "AnyHead",
    "CauseSpecific",
    "Corn",
    "Cox",
    "DeepHit",
    "Diagnosis",
    "Hazards",
    "MultiLabel",
    "Ordinal",
    "Piecewise",
    "Regression",
    "default",
]
