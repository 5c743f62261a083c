"""Regression: a quantity."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from fusiondx.core.batch import Truth
from fusiondx.core.components import Head
from fusiondx.core.predictions import NumberPrediction
from fusiondx.core.spec import Spec, spec
from fusiondx.core.targets import Array, Number, TargetValues


@spec
class Regression(Spec):
    """One number: an error on values standardised by the training patients.

    `loss` "squared" predicts means, "absolute" medians; "huber" (Huber 1964) is squared up to `delta` standard
    deviations and absolute beyond, so that a few outliers do not decide.

    >>> aged = fdx.Cohort.from_frame(
    ...     pd.read_csv("patients.csv"),
    ...     modalities={"clinical": fdx.Table(categorical=("stage", "sex"))},
    ...     targets={"age": fdx.Number("age_years", unit="years")},
    ... )
    >>> model = fdx.FusionModel(heads={"age": fdx.Regression(loss="huber")}, training=quick).fit(aged)
    >>> model.predict(aged)["age"].value.shape
    (60,)
    """

    dropout: float = Field(default=0.0, ge=0, lt=1)
    loss: Literal["squared", "absolute", "huber"] = "squared"
    delta: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    kind: Literal["regression"] = "regression"
    answers: ClassVar[str] = "number"

    def build(self, target: TargetValues, dim: int) -> Head:
        assert isinstance(target.spec, Number)
        return RegressionHead(self, target, target.spec.unit, dim)


def error(spec: Regression) -> Callable[[Tensor, Tensor], Tensor]:
    """The error asked for, averaged over patients."""
    if spec.loss == "huber":
        return partial(functional.huber_loss, delta=spec.delta)
    return functional.l1_loss if spec.loss == "absolute" else functional.mse_loss


class RegressionHead(Head):
    centre: Tensor
    scale: Tensor

    def __init__(self, spec: Regression, target: TargetValues, unit: str, dim: int) -> None:
        super().__init__()
        self.unit = unit
        self.error = error(spec)
        self.score = nn.Sequential(nn.Dropout(spec.dropout), nn.Linear(dim, 1))
        known = target.fields["value"][target.known].astype(np.float64)
        centre, spread = (known.mean(), known.std()) if len(known) else (0.0, 1.0)
        self.register_buffer("centre", torch.tensor([centre]).double())
        self.register_buffer("scale", torch.tensor([spread if spread > 0 else 1.0]).double())

    def forward(self, opinions: Float[Tensor, "batch opinions dim"]) -> Float[Tensor, "batch opinions 1"]:
        return torch.as_tensor(self.score(opinions))

    def loss(self, answers: Float[Tensor, "batch 1"], truth: Truth) -> Float[Tensor, ""]:
        if not truth.known.any():
            return answers.sum() * 0
        value = (truth.fields["value"][truth.known] - self.centre) / self.scale
        return self.error(answers[truth.known, 0], value.to(answers.dtype))

    def predict(self, answers: Array, ids: npt.NDArray[Any]) -> NumberPrediction:
        value = answers[:, 0].astype(np.float64) * self.scale.item() + self.centre.item()
        return NumberPrediction(ids, value, self.unit)
