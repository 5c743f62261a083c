"""Diagnosis: which class a patient belongs to."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

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
from fusiondx.errors import ConfigError, did_you_mean

Weight = Annotated[float, Field(gt=0, allow_inf_nan=False)]


@spec
class Diagnosis(Spec):
    """Two or more exclusive classes: one logit each, cross-entropy.

    `weights` let patients of some classes count more: "balanced" lets all classes weigh alike, a mapping gives the
    weight of each class (1 where left out); either way they average 1 over training patients. `focal` is the exponent
    gamma of the focal loss (Lin et al. 2017), which turns to patients who are hard to tell; 0 is cross-entropy.
    `smoothing` spreads that share of every true label evenly over all classes (Szegedy et al. 2016). All three bend
    the probabilities: they no longer follow the classes' frequencies.

    >>> model = fdx.FusionModel(heads={"diagnosis": fdx.Diagnosis(weights="balanced")}, training=quick).fit(train)
    >>> model.predict(test)["diagnosis"].classes
    ('benign', 'malignant')
    """

    dropout: float = Field(default=0.0, ge=0, lt=1)
    weights: Literal["balanced"] | dict[str, Weight] | None = None
    focal: float = Field(default=0.0, ge=0, le=10)
    smoothing: float = Field(default=0.0, ge=0, lt=1)
    kind: Literal["diagnosis"] = "diagnosis"
    answers: ClassVar[str] = "classes"

    def build(self, target: TargetValues, dim: int) -> Head:
        """Raises `ConfigError` for the weight of a class that there is not."""
        return DiagnosisHead(self, target.classes, class_weights(self.weights, target), dim)


class DiagnosisHead(Head):
    weight: Tensor

    def __init__(self, spec: Diagnosis, classes: tuple[str, ...], weight: Array, dim: int) -> None:
        super().__init__()
        self.classes = classes
        self.focal, self.smoothing = spec.focal, spec.smoothing
        self.score = nn.Sequential(nn.Dropout(spec.dropout), nn.Linear(dim, len(classes)))
        self.register_buffer("weight", torch.as_tensor(weight, dtype=torch.float32), persistent=False)

    def forward(self, opinions: Float[Tensor, "batch opinions dim"]) -> Float[Tensor, "batch opinions outputs"]:
        return torch.as_tensor(self.score(opinions))

    def loss(self, answers: Float[Tensor, "batch outputs"], truth: Truth) -> Float[Tensor, ""]:
        logits, label = answers[truth.known], truth.fields["label"][truth.known]
        if not len(logits):
            return answers.sum() * 0
        refuse_probabilities(logits)
        return (self.weight[label] * cross_entropy(logits, label, self.focal, self.smoothing)).mean()

    def predict(self, answers: Array, ids: npt.NDArray[Any]) -> ClassPrediction:
        return ClassPrediction(ids, self.classes, np.asarray(softmax(answers.astype(np.float64), axis=1)))


def class_weights(asked: str | dict[str, float] | None, target: TargetValues) -> Array:
    """The weight of each class; 1 on average over the patients known."""
    members = np.bincount(target.fields["label"][target.known].astype(int), minlength=len(target.classes))
    weight = np.ones(len(target.classes))
    if asked == "balanced":
        weight = np.where(members > 0, 1 / np.maximum(members, 1), 1.0)
    elif isinstance(asked, dict):
        for name in asked:
            if name not in target.classes:
                raise ConfigError(f"weights: there is no class '{name}'.{did_you_mean(name, target.classes)}")
        weight = np.array([asked.get(name, 1.0) for name in target.classes])
    total = float(members @ weight)
    return weight * members.sum() / total if total else weight


def cross_entropy(
    logits: Float[Tensor, "n classes"], label: Int[Tensor, " n"], focal: float, smoothing: float
) -> Float[Tensor, " n"]:
    """Cross-entropy of each patient: with the smoothed label, every class's term times (1 - probability) ** `focal`."""
    log_p = functional.log_softmax(logits, dim=1)
    wanted = functional.one_hot(label, logits.shape[1]) * (1 - smoothing) + smoothing / logits.shape[1]
    # held above 0, where a power below 1 has no derivative
    hard = (-torch.expm1(log_p)).clamp(min=1e-12) ** focal
    return -(wanted * hard * log_p).sum(dim=1)


def refuse_probabilities(logits: Float[Tensor, "n classes"]) -> None:
    """Raise `ConfigError` when handed probabilities, which would freeze learning silently."""
    rows = logits.detach()
    if ((rows >= 0) & (rows <= 1)).all() and torch.allclose(rows.sum(dim=1), rows.new_ones(len(rows)), atol=1e-5):
        raise ConfigError(
            "The diagnosis loss was given probabilities (rows within 0..1 that sum to 1). It takes logits: "
            "remove the softmax or sigmoid before it."
        )
