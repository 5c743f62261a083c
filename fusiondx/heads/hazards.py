"""Prognosis in discrete time: the chance of the event in each bin of follow-up, for those who reach it."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from pydantic import Field
from scipy.special import logit
from torch import Tensor, nn
from torch.nn import functional

from fusiondx.core.batch import Truth
from fusiondx.core.components import Head
from fusiondx.core.predictions import SurvivalPrediction
from fusiondx.core.spec import Spec, spec
from fusiondx.core.targets import Array, Survival, TargetValues
from fusiondx.survival import bins


@spec
class Hazards(Spec):
    """Discrete-time hazards (Nnet-survival, Gensheimer & Narasimhan 2019): a logit per bin, bins ending at quantiles of
    the training patients' event times.

    Hazards need not be proportional, and the likelihood needs no risk set, so that batches may be small. A patient
    censored in the second half of a bin counts as having lived through it. Within a bin the hazard is constant; curves
    are flat after the last event.

    >>> model = fdx.FusionModel(heads={"survival": fdx.Hazards(bins=5)}, training=quick).fit(train)
    >>> model.predict_survival(test, times=[6, 12, 24]).shape
    (23, 3)
    """

    bins: int = Field(default=10, ge=2, le=1000)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    kind: Literal["hazards"] = "hazards"
    answers: ClassVar[str] = "survival"

    def build(self, target: TargetValues, dim: int) -> Head:
        """Raises `DataError` where nobody has an event after time 0."""
        assert isinstance(target.spec, Survival)
        return HazardsHead(self, target, target.spec.unit, dim)


class HazardsHead(Head):
    """Answers: the logit of each bin's hazard."""

    ends: Tensor

    def __init__(self, spec: Hazards, target: TargetValues, unit: str, dim: int) -> None:
        super().__init__()
        self.unit = unit
        self.output = nn.Linear(dim, spec.bins)
        self.score = nn.Sequential(nn.Dropout(spec.dropout), self.output)
        self.register_buffer("ends", torch.zeros(spec.bins, dtype=torch.float64))
        self.register_buffer("centre", torch.zeros(1, dtype=torch.float64))
        if target.known.any():
            self._start(target[target.known])

    def _start(self, target: TargetValues) -> None:
        """Cut follow-up into bins, and start from each bin's frequency of events."""
        time, event = target.fields["time"], target.fields["event"]
        ends = bins.event_quantiles(time, event, len(self.ends))
        self.ends = torch.as_tensor(ends)
        lived, met = outcomes(torch.as_tensor(time), torch.as_tensor(event), self.ends)
        happened, passed = met.sum(dim=0).numpy() + 0.5, lived.sum(dim=0).numpy() + 0.5
        with torch.no_grad():
            self.output.bias.copy_(torch.as_tensor(logit(happened / (happened + passed))))

    def forward(self, opinions: Float[Tensor, "batch opinions dim"]) -> Float[Tensor, "batch opinions bins"]:
        return torch.as_tensor(self.score(opinions))

    def loss(self, answers: Float[Tensor, "batch bins"], truth: Truth) -> Float[Tensor, ""]:
        known = truth.known
        if not known.any():
            return answers.sum() * 0
        lived, met = outcomes(truth.fields["time"][known], truth.fields["event"][known], self.ends)
        likelihood = lived * functional.logsigmoid(-answers[known]) + met * functional.logsigmoid(answers[known])
        return -likelihood.sum(dim=1).mean()

    def settle(self, answers: Array, truth: TargetValues) -> None:
        """The average risk of the training patients, from which risks are told."""
        self.centre = torch.as_tensor([bins.log_mean_hazard(cumulative(answers[truth.known])).mean()]).double()

    def predict(self, answers: Array, ids: npt.NDArray[Any]) -> SurvivalPrediction:
        hazard = cumulative(answers)
        risk = bins.log_mean_hazard(hazard) - self.centre.item()
        return SurvivalPrediction(ids, risk, bins.fine(self.ends.numpy()), np.exp(-bins.refined(hazard)), self.unit)


def outcomes(
    time: Float[Tensor, " n"], event: Tensor, ends: Float[Tensor, " bins"]
) -> tuple[Float[Tensor, "n bins"], Float[Tensor, "n bins"]]:
    """1 where a patient lived through a bin, and 1 where the event came in it."""
    middles = torch.as_tensor(bins.middles(ends.cpu().numpy()), device=time.device)
    place = torch.searchsorted(ends.to(time.device), time.double())[:, None]
    happened, each = event.bool()[:, None], torch.arange(len(ends), device=time.device)
    lived = torch.where(happened, each < place, time[:, None] >= middles)
    return lived.float(), (happened & (each == place)).float()


def cumulative(logits: Array) -> npt.NDArray[np.float64]:
    """Cumulative hazard at the end of each bin: the sum of -log(1 - hazard)."""
    return np.asarray(np.logaddexp(0, logits.astype(np.float64)).cumsum(axis=1))
