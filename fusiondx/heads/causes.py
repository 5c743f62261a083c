"""Prognosis with several causes, each with proportional hazards of its own."""

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
from fusiondx.core.predictions import CompetingPrediction
from fusiondx.core.spec import Spec, spec
from fusiondx.core.targets import Array, CompetingRisks, TargetValues
from fusiondx.survival.estimators import breslow
from fusiondx.survival.likelihood import cox_loss

Floats = npt.NDArray[np.floating[Any]]


@spec
class CauseSpecific(Spec):
    """Cause-specific proportional hazards (Prentice et al. 1978): a log hazard per cause, to which the other causes
    are censoring; Efron's partial likelihood, summed over causes, and Breslow's baselines.

    Together the hazards give the incidence of each cause. As for `Cox`, batches must hold events.

    >>> patients = pd.read_csv("patients.csv").assign(why=[0, 1, 2] * 20)
    >>> either = fdx.Cohort.from_frame(
    ...     patients,
    ...     modalities={"clinical": fdx.Table(numeric=("age_years",))},
    ...     targets={"first": fdx.CompetingRisks("os_months", "why", causes=("relapse", "death"))},
    ... )
    >>> model = fdx.FusionModel(heads={"first": fdx.CauseSpecific()}, training=quick).fit(either)
    >>> model.predict(either)["first"].risk.shape  # the time expected to be lost to each cause
    (60, 2)
    """

    dropout: float = Field(default=0.0, ge=0, lt=1)
    kind: Literal["cause_specific"] = "cause_specific"
    answers: ClassVar[str] = "competing"

    def build(self, target: TargetValues, dim: int) -> Head:
        assert isinstance(target.spec, CompetingRisks)
        return CauseSpecificHead(self, target.spec, target.classes, dim)


class CauseSpecificHead(Head):
    centre: Tensor
    times: Tensor
    steps: Tensor

    def __init__(self, spec: CauseSpecific, target: CompetingRisks, causes: tuple[str, ...], dim: int) -> None:
        super().__init__()
        self.unit, self.causes = target.unit, causes
        self.score = nn.Sequential(nn.Dropout(spec.dropout), nn.Linear(dim, len(causes), bias=False))
        for name in ("centre", "times", "steps"):
            self.register_buffer(name, torch.zeros(0, dtype=torch.float64))

    def forward(self, opinions: Float[Tensor, "batch opinions dim"]) -> Float[Tensor, "batch opinions causes"]:
        return torch.as_tensor(self.score(opinions))

    def loss(self, answers: Float[Tensor, "batch causes"], truth: Truth) -> Float[Tensor, ""]:
        known = truth.known
        time, event = truth.fields["time"][known], truth.fields["event"][known]
        each = [cox_loss(answers[known, k], time, event == k + 1) for k in range(len(self.causes))]
        return torch.stack(each).sum()

    def settle(self, answers: Array, truth: TargetValues) -> None:
        """The steps of every cause's cumulative baseline hazard, at the average log hazards of the training patients;
        shape ``(causes, times)``."""
        risk = answers[truth.known].astype(np.float64)
        time, event = truth.fields["time"][truth.known], truth.fields["event"][truth.known]
        centre, times = risk.mean(axis=0), np.unique(time[event > 0])
        steps = np.zeros((len(self.causes), len(times)))
        for k in range(len(self.causes)):
            at, hazard = breslow(risk[:, k] - centre[k], time, event == k + 1)
            steps[k, np.searchsorted(times, at)] = np.diff(hazard, prepend=0.0)
        self.centre, self.times, self.steps = (torch.as_tensor(v).double() for v in (centre, times, steps))

    def predict(self, answers: Array, ids: npt.NDArray[Any]) -> CompetingPrediction:
        ratio = np.exp(answers.astype(np.float64) - self.centre.numpy())
        found = incidence(ratio[:, :, None] * self.steps.numpy())
        return CompetingPrediction.of_incidence(ids, self.causes, self.times.numpy(), found, self.unit)


def incidence(steps: Floats) -> Floats:
    """The chance to have met each cause by each time, from the steps of their cumulative hazards: all of shape
    ``(patients, causes, times)``."""
    total = steps.sum(axis=1, keepdims=True)
    before = np.exp(-np.cumsum(total, axis=2) + total)  # free of any event just before each time
    share = np.divide(steps, total, out=np.zeros_like(steps), where=total > 0)
    return np.asarray(np.cumsum(before * -np.expm1(-total) * share, axis=2))
