"""Prognosis by rates that are constant within bins of follow-up."""

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
from fusiondx.survival import bins

LARGEST = 30.0
"""Log rate ratio above which rates grow in a straight line, so that no loss overflows."""


@spec
class Piecewise(Spec):
    """Piecewise exponential hazards (Friedman 1982; by a network, Fornili et al. 2014): the log of a rate per bin, bins
    ending at quantiles of the training patients' event times.

    As `Hazards`, but in continuous time: what counts is how long each patient was under observation in each bin.
    Follow-up after the last event is left out, and curves are flat there.

    >>> model = fdx.FusionModel(heads={"survival": fdx.Piecewise(bins=5)}, training=quick).fit(train)
    >>> model.predict_survival(test, times=[6, 12, 24]).shape
    (23, 3)
    """

    bins: int = Field(default=10, ge=2, le=1000)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    kind: Literal["piecewise"] = "piecewise"
    answers: ClassVar[str] = "survival"

    def build(self, target: TargetValues, dim: int) -> Head:
        """Raises `DataError` where nobody has an event after time 0."""
        assert isinstance(target.spec, Survival)
        return PiecewiseHead(self, target, target.spec.unit, dim)


class PiecewiseHead(Head):
    """Answers: per bin, the log of the patient's rate over that of all training patients."""

    ends: Tensor
    rate: Tensor

    def __init__(self, spec: Piecewise, target: TargetValues, unit: str, dim: int) -> None:
        super().__init__()
        self.unit = unit
        self.score = nn.Sequential(nn.Dropout(spec.dropout), nn.Linear(dim, spec.bins))
        for name in ("ends", "rate"):
            self.register_buffer(name, torch.zeros(spec.bins, dtype=torch.float64))
        self.register_buffer("centre", torch.zeros(1, dtype=torch.float64))
        if target.known.any():
            self._start(target[target.known])

    def _start(self, target: TargetValues) -> None:
        """Cut follow-up into bins; the rate of each is its events over the time spent in it by all."""
        time, event = target.fields["time"], target.fields["event"].astype(bool)
        ends = bins.event_quantiles(time, event, len(self.ends))
        met = np.bincount(bins.bin_of(time[event], ends), minlength=len(ends))
        spent = bins.exposure(time, ends).sum(axis=0)
        # half an event at everybody's rate: no bin is quite without
        rate = (met + 0.5) / (spent + 0.5 * spent.sum() / met.sum())
        self.ends, self.rate = torch.as_tensor(ends), torch.as_tensor(rate)

    def forward(self, opinions: Float[Tensor, "batch opinions dim"]) -> Float[Tensor, "batch opinions bins"]:
        return torch.as_tensor(self.score(opinions))

    def loss(self, answers: Float[Tensor, "batch bins"], truth: Truth) -> Float[Tensor, ""]:
        known = truth.known
        if not known.any():
            return answers.sum() * 0
        time, event, ratio = truth.fields["time"][known].double(), truth.fields["event"][known], answers[known].double()
        start = torch.cat([self.ends.new_zeros(1), self.ends[:-1]])
        spent = time[:, None].clamp(start, self.ends) - start
        place = torch.searchsorted(self.ends, time).clamp(max=len(self.ends) - 1)
        met = event.bool() & (time <= self.ends[-1])
        log_rate = (ratio + self.rate.log()).gather(1, place[:, None])[:, 0]
        hazard = (spent * self.rate * bounded_exp(ratio)).sum(dim=1)
        return (hazard - torch.where(met, log_rate, 0.0)).mean().to(answers.dtype)

    def settle(self, answers: Array, truth: TargetValues) -> None:
        """The average risk of the training patients, from which risks are told."""
        hazard = self._cumulative(answers[truth.known])
        self.centre = torch.as_tensor([bins.log_mean_hazard(hazard).mean()]).double()

    def predict(self, answers: Array, ids: npt.NDArray[Any]) -> SurvivalPrediction:
        hazard = self._cumulative(answers)
        risk = bins.log_mean_hazard(hazard) - self.centre.item()
        return SurvivalPrediction(ids, risk, bins.fine(self.ends.numpy()), np.exp(-bins.refined(hazard)), self.unit)

    def _cumulative(self, answers: Array) -> npt.NDArray[np.float64]:
        """Cumulative hazard at the end of each bin."""
        width = np.diff(self.ends.numpy(), prepend=0.0)
        ratio = bounded_exp(torch.as_tensor(answers).double()).numpy()
        return np.asarray((ratio * self.rate.numpy() * width).cumsum(axis=1))


def bounded_exp(x: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
    """exp, which above `LARGEST` goes on in a straight line."""
    return x.clamp(max=LARGEST).exp() * (1 + (x - LARGEST).clamp(min=0))
