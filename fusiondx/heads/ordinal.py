"""Ordinal diagnosis by one scale with cut points: the cumulative-link model."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from pydantic import Field
from scipy.special import expit, logit
from torch import Tensor, nn
from torch.nn import functional

from fusiondx.core.batch import Truth
from fusiondx.core.components import Head
from fusiondx.core.predictions import ClassPrediction
from fusiondx.core.spec import Spec, spec
from fusiondx.core.targets import Array, Classes, TargetValues
from fusiondx.errors import ConfigError


@spec
class Ordinal(Spec):
    """Ordered classes, such as grades, by proportional odds (McCullagh 1980): one score per patient and an ascending
    cut point between neighbouring classes; the odds to lie above a cut point are those of the score minus it.

    The cut points start where the training patients' frequencies put them. For a `Classes` target with ``ordered``.

    >>> graded = fdx.Cohort.from_frame(
    ...     pd.read_csv("patients.csv"),
    ...     modalities={"clinical": fdx.Table(numeric=("age_years",))},
    ...     targets={"stage": fdx.Classes("stage", classes=("I", "II", "III", "IV"), ordered=True)},
    ... )
    >>> model = fdx.FusionModel(heads={"stage": fdx.Ordinal()}, training=quick).fit(graded)
    >>> model.predict_proba(graded).shape
    (60, 4)
    """

    dropout: float = Field(default=0.0, ge=0, lt=1)
    kind: Literal["ordinal"] = "ordinal"
    answers: ClassVar[str] = "classes"

    def build(self, target: TargetValues, dim: int) -> Head:
        """Raises `ConfigError` for classes without an order."""
        if not (isinstance(target.spec, Classes) and target.spec.ordered):
            raise ConfigError("The head 'ordinal' needs a target with 'ordered: true' and its classes in order.")
        return OrdinalHead(self, target, dim)


class OrdinalHead(Head):
    """Answers: for each class but the first, the log odds to be of that class or a higher one; descending."""

    def __init__(self, spec: Ordinal, target: TargetValues, dim: int) -> None:
        super().__init__()
        self.classes = target.classes
        # no bias: the cut points are one
        self.score = nn.Sequential(nn.Dropout(spec.dropout), nn.Linear(dim, 1, bias=False))
        cuts = starting_cuts(target)
        self.first = nn.Parameter(cuts[:1])
        self.steps = nn.Parameter(torch.log(torch.expm1(cuts.diff()))) if len(cuts) > 1 else None

    @property
    def cuts(self) -> Float[Tensor, " cuts"]:
        """Cut points, ascending whatever the parameters are."""
        if self.steps is None:
            return self.first
        return torch.cat([self.first, self.first + functional.softplus(self.steps).cumsum(dim=0)])

    def forward(self, opinions: Float[Tensor, "batch opinions dim"]) -> Float[Tensor, "batch opinions cuts"]:
        return torch.as_tensor(self.score(opinions) - self.cuts)

    def loss(self, answers: Float[Tensor, "batch cuts"], truth: Truth) -> Float[Tensor, ""]:
        if not truth.known.any():
            return answers.sum() * 0
        above, label = answers[truth.known].double(), truth.fields["label"][truth.known]
        # the odds to be above nothing are endless, those to be above the last class none
        edge = above.new_full((len(above), 1), torch.inf)
        upper = torch.cat([edge, above], dim=1).gather(1, label[:, None])[:, 0]
        lower = torch.cat([above, -edge], dim=1).gather(1, label[:, None])[:, 0]
        return -log_between(upper, lower).mean().to(answers.dtype)

    def predict(self, answers: Array, ids: npt.NDArray[Any]) -> ClassPrediction:
        above = np.asarray(expit(answers.astype(np.float64)))
        edges = np.pad(above, ((0, 0), (1, 1)), constant_values=((0, 0), (1, 0)))
        return ClassPrediction(ids, self.classes, -np.diff(edges, axis=1))


def log_between(upper: Float[Tensor, " n"], lower: Float[Tensor, " n"]) -> Float[Tensor, ""]:
    """log(sigmoid(upper) - sigmoid(lower)) where upper > lower, finite at any size of both.

    As sigmoid(u) - sigmoid(l) = sigmoid(u) sigmoid(-l) (1 - exp(l - u)).
    """
    gap = (upper - lower).clamp(min=1e-12, max=1e6)  # clamped before the logarithm, so that gradients stay finite
    shared = functional.logsigmoid(upper) + functional.logsigmoid(-lower)
    return shared + torch.log(-torch.expm1(-gap))


def starting_cuts(target: TargetValues) -> Float[Tensor, " cuts"]:
    """Where a score of 0 gives every class its frequency, no class being quite without patients."""
    members = np.bincount(target.fields["label"][target.known].astype(int), minlength=len(target.classes)) + 1.0
    return torch.as_tensor(logit(np.cumsum(members)[:-1] / members.sum()), dtype=torch.float32)
