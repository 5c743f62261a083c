"""Diagnosis: which class a patient belongs to."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float, Int
from pydantic import Field
from scipy.special import softmax
from torch import Tensor, nn
from torch.nn import functional

from fusiondx.core.batch import Truth
from fusiondx.core.components import Head
from fusiondx.core.predictions import ClassPrediction
from fusiondx.core.spec import Spec, spec
from fusiondx.core.targets import Array, TargetValues
from fusiondx.errors import ConfigError


@spec
class Diagnosis(Spec):
    """Two or more exclusive classes: one logit each, cross-entropy."""

    dropout: float = Field(default=0.0, ge=0, lt=1)
    kind: Literal["diagnosis"] = "diagnosis"
    answers: ClassVar[str] = "classes"

    def build(self, target: TargetValues, dim: int) -> Head:
        return DiagnosisHead(self, target.classes, dim)


class DiagnosisHead(Head):
    def __init__(self, spec: Diagnosis, classes: tuple[str, ...], dim: int) -> None:
        super().__init__()
        self.classes = classes
        self.score = nn.Sequential(nn.Dropout(spec.dropout), nn.Linear(dim, len(classes)))

    def forward(self, opinions: Float[Tensor, "batch opinions dim"]) -> Float[Tensor, "batch opinions outputs"]:
        return torch.as_tensor(self.score(opinions))

    def loss(self, answers: Float[Tensor, "batch outputs"], truth: Truth) -> Float[Tensor, ""]:
        logits = answers[truth.known]
        if not len(logits):
            return answers.sum() * 0
        return cross_entropy(logits, truth.fields["label"][truth.known])

    def predict(self, answers: Array, ids: npt.NDArray[Any]) -> ClassPrediction:
        return ClassPrediction(ids, self.classes, np.asarray(softmax(answers.astype(np.float64), axis=1)))


def cross_entropy(logits: Float[Tensor, "n classes"], label: Int[Tensor, " n"]) -> Float[Tensor, ""]:
    """Mean cross-entropy. Raises `ConfigError` when handed probabilities, which would freeze learning silently."""
    rows = logits.detach()
    if ((rows >= 0) & (rows <= 1)).all() and torch.allclose(rows.sum(dim=1), rows.new_ones(len(rows)), atol=1e-5):
        raise ConfigError(
            "The diagnosis loss was given probabilities (rows within 0..1 that sum to 1). It takes logits: "
            "remove the softmax or sigmoid before it."
        )
    return functional.cross_entropy(logits, label)
