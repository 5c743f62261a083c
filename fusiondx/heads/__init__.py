"""Heads: a question each, with its loss and the prediction its answers stand for."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from fusiondx.heads.cox import Cox
from fusiondx.heads.diagnosis import Diagnosis
from fusiondx.heads.regression import Regression

AnyHead = Annotated[Diagnosis | Cox | Regression, Field(discriminator="kind")]

DEFAULT = {"classes": Diagnosis(), "survival": Cox(), "number": Regression()}
"""What a target of each kind gets when nothing is said."""

__all__ = ["DEFAULT", "AnyHead", "Cox", "Diagnosis", "Regression"]
