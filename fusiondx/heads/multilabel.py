"""Multi-label diagnosis: findings that do not exclude each other."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from pydantic import Field
from scipy.special import expit
from torch import Tensor, nn
from torch.nn import functional

from fusiondx.core.batch import Truth
from fusiondx.core.components import Head
from fusiondx.core.predictions import LabelsPrediction
from fusiondx.core.spec import Spec, spec
from fusiondx.core.targets import Array, TargetValues


@spec
class MultiLabel(Spec):
    """Several yes/no findings: a logit and a binary cross-entropy each, averaged over the findings that are known.

    With `balanced`, a label's rarer answer weighs as much as its commoner one, which bends its probability upwards
    or downwards.

    >>> patients = pd.read_csv("patients.csv").assign(liver=[0, 1] * 30, bone=[1, 0, 0] * 20)
    >>> spread = fdx.Cohort.from_frame(
    ...     patients,
    ...     modalities={"clinical": fdx.Table(numeric=("age_years",))},
    ...     targets={"metastases": fdx.Labels(("liver", "bone"))},
    ... )
    >>> model = fdx.FusionModel(heads={"metastases": fdx.MultiLabel(balanced=True)}, training=quick).fit(spread)
    >>> model.predict(spread)["metastases"].labels
    ('liver', 'bone')
    """

    dropout: float = Field(default=0.0, ge=0, lt=1)
    balanced: bool = False
    kind: Literal["multilabel"] = "multilabel"
    answers: ClassVar[str] = "labels"

    def build(self, target: TargetValues, dim: int) -> Head:
        return MultiLabelHead(self, target, dim)


class MultiLabelHead(Head):
    weight: Tensor

    def __init__(self, spec: MultiLabel, target: TargetValues, dim: int) -> None:
        super().__init__()
        self.labels = target.classes
        self.score = nn.Sequential(nn.Dropout(spec.dropout), nn.Linear(dim, len(self.labels)))
        weight = answer_weights(target) if spec.balanced else np.ones((2, len(self.labels)))
        self.register_buffer("weight", torch.as_tensor(weight, dtype=torch.float32), persistent=False)

    def forward(self, opinions: Float[Tensor, "batch opinions dim"]) -> Float[Tensor, "batch opinions labels"]:
        return torch.as_tensor(self.score(opinions))

    def loss(self, answers: Float[Tensor, "batch labels"], truth: Truth) -> Float[Tensor, ""]:
        told = truth.fields["told"].bool() & truth.known[:, None]
        if not told.any():
            return answers.sum() * 0
        yes = truth.fields["label"].bool() & told
        each = functional.binary_cross_entropy_with_logits(answers, yes.to(answers.dtype), reduction="none")
        return (each * torch.where(yes, self.weight[1], self.weight[0]))[told].mean()

    def predict(self, answers: Array, ids: npt.NDArray[Any]) -> LabelsPrediction:
        return LabelsPrediction(ids, self.labels, np.asarray(expit(answers.astype(np.float64))))


def answer_weights(target: TargetValues) -> Array:
    """Weights of no and of yes, ``(2, labels)``, that make both weigh alike; 1 on average over the patients told."""
    told = target.fields["told"].astype(bool) & target.known[:, None]
    yes = (target.fields["label"].astype(bool) & told).sum(axis=0)
    counts = np.stack([told.sum(axis=0) - yes, yes]).astype(np.float64)
    both = (counts > 0).all(axis=0)
    return np.where(both, counts.sum(axis=0) / np.maximum(2 * counts, 1), 1.0)
