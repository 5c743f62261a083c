"""Prognosis by Cox's proportional hazards."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from fusiondx.core.batch import Truth
from fusiondx.core.components import Head
from fusiondx.core.predictions import SurvivalPrediction
from fusiondx.core.spec import Spec, spec
from fusiondx.core.targets import Array, Survival, TargetValues
from fusiondx.survival.estimators import breslow
from fusiondx.survival.likelihood import cox_loss


@spec
class Cox(Spec):
    """Proportional hazards (Cox 1972): one log hazard per patient, Efron's partial likelihood, Breslow's baseline."""

    dropout: float = Field(default=0.0, ge=0, lt=1)
    kind: Literal["cox"] = "cox"
    answers: ClassVar[str] = "survival"

    def build(self, target: TargetValues, dim: int) -> Head:
        assert isinstance(target.spec, Survival)
        return CoxHead(self, target.spec.unit, dim)


class CoxHead(Head):
    def __init__(self, spec: Cox, unit: str, dim: int) -> None:
        super().__init__()
        self.unit = unit
        # no bias: the partial likelihood cannot see one
        self.score = nn.Sequential(nn.Dropout(spec.dropout), nn.Linear(dim, 1, bias=False))
        for name in ("centre", "times", "hazard"):
            self.register_buffer(name, torch.zeros(0, dtype=torch.float64))

    def forward(self, opinions: Float[Tensor, "batch opinions dim"]) -> Float[Tensor, "batch opinions 1"]:
        return torch.as_tensor(self.score(opinions))

    def loss(self, answers: Float[Tensor, "batch 1"], truth: Truth) -> Float[Tensor, ""]:
        known = truth.known
        return cox_loss(answers[known, 0], truth.fields["time"][known], truth.fields["event"][known])

    def settle(self, answers: Array, truth: TargetValues) -> None:
        """Breslow's baseline cumulative hazard, at the average log hazard of the training patients."""
        known = truth.known
        risk = answers[known, 0].astype(np.float64)
        centre = risk.mean()
        times, hazard = breslow(risk - centre, truth.fields["time"][known], truth.fields["event"][known])
        self.centre, self.times, self.hazard = (torch.as_tensor(v).double() for v in ([centre], times, hazard))

    def predict(self, answers: Array, ids: npt.NDArray[Any]) -> SurvivalPrediction:
        risk = answers[:, 0].astype(np.float64) - self.centre.item()
        curves = np.exp(-np.exp(risk[:, None]) * self.hazard.numpy()[None, :])
        return SurvivalPrediction(ids, risk, self.times.numpy(), curves, self.unit)
