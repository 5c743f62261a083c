"""Ordinal diagnosis step by step: is it more than the first class, and if so, more than the second?"""

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
from fusiondx.core.predictions import ClassPrediction
from fusiondx.core.spec import Spec, spec
from fusiondx.core.targets import Array, Classes, TargetValues
from fusiondx.errors import ConfigError


@spec
class Corn(Spec):
    """Ordered classes by conditional steps (CORN, Shi et al. 2021): a logit for each class but the first, that a
    patient who is at least of the class before is of this one or a higher one. Products of such probabilities cannot
    cross. Unlike `Ordinal`, each step may weigh the findings differently. For a `Classes` target with ``ordered``.

    >>> graded = fdx.Cohort.from_frame(
    ...     pd.read_csv("patients.csv"),
    ...     modalities={"clinical": fdx.Table(numeric=("age_years",))},
    ...     targets={"stage": fdx.Classes("stage", classes=("I", "II", "III", "IV"), ordered=True)},
    ... )
    >>> model = fdx.FusionModel(heads={"stage": fdx.Corn()}, training=quick).fit(graded)
    >>> model.predict_proba(graded).shape
    (60, 4)
    """

    dropout: float = Field(default=0.0, ge=0, lt=1)
    kind: Literal["corn"] = "corn"
    answers: ClassVar[str] = "classes"

    def build(self, target: TargetValues, dim: int) -> Head:
        """Raises `ConfigError` for classes without an order."""
        if not (isinstance(target.spec, Classes) and target.spec.ordered):
            raise ConfigError("The head 'corn' needs a target with 'ordered: true' and its classes in order.")
        return CornHead(self, target.classes, dim)


class CornHead(Head):
    """Answers: the logit of each step."""

    def __init__(self, spec: Corn, classes: tuple[str, ...], dim: int) -> None:
        super().__init__()
        self.classes = classes
        self.score = nn.Sequential(nn.Dropout(spec.dropout), nn.Linear(dim, len(classes) - 1))

    def forward(self, opinions: Float[Tensor, "batch opinions dim"]) -> Float[Tensor, "batch opinions steps"]:
        return torch.as_tensor(self.score(opinions))

    def loss(self, answers: Float[Tensor, "batch steps"], truth: Truth) -> Float[Tensor, ""]:
        if not truth.known.any():
            return answers.sum() * 0
        logits, label = answers[truth.known], truth.fields["label"][truth.known, None]
        step = torch.arange(logits.shape[1], device=logits.device)
        wanted, asked = (label > step).to(logits.dtype), label >= step
        each = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
        return (each * asked).sum(dim=1).mean()  # the log-likelihood of the class

    def predict(self, answers: Array, ids: npt.NDArray[Any]) -> ClassPrediction:
        above = np.cumprod(expit(answers.astype(np.float64)), axis=1)
        edges = np.pad(above, ((0, 0), (1, 1)), constant_values=((0, 0), (1, 0)))
        return ClassPrediction(ids, self.classes, -np.diff(edges, axis=1))
