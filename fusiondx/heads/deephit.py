"""Prognosis with competing causes: how likely each cause is to come first, in each bin of follow-up."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Bool, Float
from pydantic import Field
from scipy.special import softmax
from torch import Tensor, nn

from fusiondx.core.batch import Truth
from fusiondx.core.components import Head
from fusiondx.core.predictions import CompetingPrediction
from fusiondx.core.spec import Spec, spec
from fusiondx.core.targets import Array, CompetingRisks, TargetValues
from fusiondx.survival import bins


@spec
class DeepHit(Spec):
    """The joint distribution of cause and time (Lee et al. 2018): a softmax over all pairs of cause and bin, and over
    meeting none of them by the last event. Bins end at quantiles of the training patients' event times.

    `ranking` weighs the second loss of the paper: of two patients, the one who met a cause should have had the higher
    chance to by then; `sigma` says how steeply that is asked. Both losses are averaged, not summed, over patients and
    pairs. A patient censored in the second half of a bin counts as having lived through it.

    >>> patients = pd.read_csv("patients.csv").assign(why=[0, 1, 2] * 20)
    >>> either = fdx.Cohort.from_frame(
    ...     patients,
    ...     modalities={"clinical": fdx.Table(numeric=("age_years",))},
    ...     targets={"first": fdx.CompetingRisks("os_months", "why", causes=("relapse", "death"))},
    ... )
    >>> model = fdx.FusionModel(heads={"first": fdx.DeepHit(bins=5)}, training=quick).fit(either)
    >>> model.predict(either)["first"].causes
    ('relapse', 'death')
    """

    bins: int = Field(default=10, ge=2, le=1000)
    ranking: float = Field(default=0.2, ge=0, allow_inf_nan=False)
    sigma: float = Field(default=0.1, ge=0.01, allow_inf_nan=False)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    kind: Literal["deephit"] = "deephit"
    answers: ClassVar[str] = "competing"

    def build(self, target: TargetValues, dim: int) -> Head:
        """Raises `DataError` where nobody has an event after time 0."""
        assert isinstance(target.spec, CompetingRisks)
        return DeepHitHead(self, target, target.spec.unit, dim)


class DeepHitHead(Head):
    """Answers: a logit for each bin of the first cause, then of the second and so on, and last for none."""

    ends: Tensor

    def __init__(self, spec: DeepHit, target: TargetValues, unit: str, dim: int) -> None:
        super().__init__()
        self.unit, self.causes = unit, target.classes
        self.ranking, self.sigma = spec.ranking, spec.sigma
        self.score = nn.Sequential(nn.Dropout(spec.dropout), nn.Linear(dim, len(self.causes) * spec.bins + 1))
        self.register_buffer("ends", torch.zeros(spec.bins, dtype=torch.float64))
        if target.known.any():
            time, event = target.fields["time"][target.known], target.fields["event"][target.known] > 0
            self.ends = torch.as_tensor(bins.event_quantiles(time, event, spec.bins))

    def forward(self, opinions: Float[Tensor, "batch opinions dim"]) -> Float[Tensor, "batch opinions outputs"]:
        return torch.as_tensor(self.score(opinions))

    def loss(self, answers: Float[Tensor, "batch outputs"], truth: Truth) -> Float[Tensor, ""]:
        known = truth.known
        if not known.any():
            return answers.sum() * 0
        log_p = answers[known].double().log_softmax(dim=1)
        time, cause = truth.fields["time"][known].double(), truth.fields["event"][known].long()
        place = torch.searchsorted(self.ends, time)
        cause = torch.where(place < len(self.ends), cause, 0)  # met after the last bin: none, as far as this goes
        loss = -self._log_likelihood(log_p, time, place, cause).mean()
        if self.ranking:
            loss = loss + self.ranking * self._ranking(log_p, time, place, cause)
        return loss.to(answers.dtype)

    def _log_likelihood(self, log_p: Tensor, time: Tensor, place: Tensor, cause: Tensor) -> Float[Tensor, " n"]:
        """Of the cell a patient's event lies in, or of all those still open to who was censored."""
        open_ = still_open(time, self.ends, len(self.causes))
        survived = log_p.masked_fill(~open_, -torch.inf).logsumexp(dim=1)
        cell = ((cause - 1) * len(self.ends) + place).clamp(0, log_p.shape[1] - 1)
        return torch.where(cause > 0, log_p.gather(1, cell[:, None])[:, 0], survived)

    def _ranking(self, log_p: Tensor, time: Tensor, place: Tensor, cause: Tensor) -> Float[Tensor, ""]:
        """Summed over causes; 0 for a cause of which no two patients can be compared."""
        total = log_p.sum() * 0
        by_then = log_p[:, :-1].exp().reshape(len(log_p), len(self.causes), -1).cumsum(dim=2)
        for k in range(len(self.causes)):
            met = torch.nonzero(cause == k + 1)[:, 0]
            outlived = time[met, None] < time
            if outlived.any():
                theirs = by_then[:, k].T[place[met]]  # everybody's chance by the time of each who met it
                gap = theirs.gather(1, met[:, None]) - theirs
                total = total + torch.exp(-gap / self.sigma)[outlived].mean()
        return total

    def predict(self, answers: Array, ids: npt.NDArray[Any]) -> CompetingPrediction:
        p = softmax(answers.astype(np.float64), axis=1)[:, :-1]
        incidence = bins.refined(p.reshape(len(p), len(self.causes), -1).cumsum(axis=2))
        return CompetingPrediction.of_incidence(ids, self.causes, bins.fine(self.ends.numpy()), incidence, self.unit)


def still_open(time: Float[Tensor, " n"], ends: Float[Tensor, " bins"], causes: int) -> Bool[Tensor, "n outputs"]:
    """The cells in which a patient seen without an event until `time` may still have one; none ever is always open."""
    middles = torch.as_tensor(bins.middles(ends.cpu().numpy()), device=time.device)
    later = (time[:, None] < middles).repeat(1, causes)
    return torch.cat([later, later.new_ones(len(time), 1)], dim=1)
