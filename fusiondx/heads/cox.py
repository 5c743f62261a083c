"""Prognosis by Cox's proportional hazards."""

from __future__ import annotations

import warnings
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
from fusiondx.errors import FusionDxWarning, counted, listed
from fusiondx.survival.estimators import Curve, breslow
from fusiondx.survival.likelihood import cox_loss


@spec
class Cox(Spec):
    """Proportional hazards (Cox 1972): one log hazard per patient, Efron's partial likelihood, Breslow's baseline.

    A patient's risk set are those of the same training batch, so batches must hold events: `Training.batch_size`.
    Where the target names `strata`, risk sets and baselines are those of a patient's stratum, and risks compare
    patients of one stratum; patients of a stratum without events, or that training never saw, get everybody's baseline.

    >>> model = fdx.FusionModel(heads={"survival": fdx.Cox(dropout=0.1)}, training=quick).fit(train)
    >>> model.predict_risk(test).shape
    (23,)
    """

    dropout: float = Field(default=0.0, ge=0, lt=1)
    kind: Literal["cox"] = "cox"
    answers: ClassVar[str] = "survival"

    def build(self, target: TargetValues, dim: int) -> Head:
        assert isinstance(target.spec, Survival)
        return CoxHead(self, target.spec, target.classes, dim)


class CoxHead(Head):
    def __init__(self, spec: Cox, target: Survival, strata: tuple[str, ...], dim: int) -> None:
        super().__init__()
        self.unit, self.stratum_column, self.strata = target.unit, target.strata, strata
        self.warned = False
        # no bias: the partial likelihood cannot see one
        self.score = nn.Sequential(nn.Dropout(spec.dropout), nn.Linear(dim, 1, bias=False))
        for name in ("centre", "times", "hazard"):
            self.register_buffer(name, torch.zeros(0, dtype=torch.float64))

    def forward(self, opinions: Float[Tensor, "batch opinions dim"]) -> Float[Tensor, "batch opinions 1"]:
        return torch.as_tensor(self.score(opinions))

    def loss(self, answers: Float[Tensor, "batch 1"], truth: Truth) -> Float[Tensor, ""]:
        known, event = truth.known, truth.fields["event"]
        stratum = truth.fields["stratum"][known] if "stratum" in truth.fields else None
        if self.training and not self.warned and not event[known].any():
            self.warned = True
            warnings.warn(
                f"In a training batch of {counted(len(known), 'patient')} nobody had an event, so Cox learnt nothing "
                "from it. Raise training.batch_size, or use the head 'hazards', which needs no risk set.",
                FusionDxWarning,
                stacklevel=2,
            )
        return cox_loss(answers[known, 0], truth.fields["time"][known], event[known], stratum)

    def settle(self, answers: Array, truth: TargetValues) -> None:
        """Breslow's baseline cumulative hazard, at the average log hazard of the training patients.

        With strata, a row for each of them and, last, one for everybody.
        """
        known = truth.known
        time, event = truth.fields["time"][known], truth.fields["event"][known]
        risk = answers[known, 0].astype(np.float64)
        centre = risk.mean()
        times, hazard = breslow(risk - centre, time, event)
        if self.strata:
            member = truth.fields["stratum"][known] == np.arange(len(self.strata))[:, None]
            own = [stepped(risk[m] - centre, time[m], event[m], times) if event[m].any() else hazard for m in member]
            hazard = np.stack([*own, hazard])
        self.centre, self.times, self.hazard = (torch.as_tensor(v).double() for v in ([centre], times, hazard))

    def predict(self, answers: Array, ids: npt.NDArray[Any]) -> SurvivalPrediction:
        return self.predict_within(answers, ids, np.full(len(ids), "", dtype=object))

    def predict_within(self, answers: Array, ids: npt.NDArray[Any], strata: Array) -> SurvivalPrediction:
        """The predictions of patients whose strata are known by name."""
        risk = answers[:, 0].astype(np.float64) - self.centre.item()
        place = {name: row for row, name in enumerate(self.strata)}
        hazard = np.atleast_2d(self.hazard.numpy())[[place.get(name, -1) for name in strata]]
        strange = sorted({str(name) for name in strata if name and name not in place})
        if strange and self.strata:
            message = f"Strata that training never saw get everybody's baseline hazard: {listed(strange)}."
            warnings.warn(message, FusionDxWarning, stacklevel=2)
        curves = np.exp(-np.exp(risk[:, None]) * hazard)
        return SurvivalPrediction(ids, risk, self.times.numpy(), curves, self.unit)


def stepped(log_hazard: Array, time: Array, event: Array, at: Array) -> Array:
    """Breslow's cumulative hazard of some patients at the times `at`."""
    times, hazard = breslow(log_hazard, time, event)
    return Curve(times, hazard, np.zeros_like(hazard), start=0.0).at(at)
