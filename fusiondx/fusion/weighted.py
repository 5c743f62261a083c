"""Late fusion by learnt weights."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from fusiondx.core.components import Fusion, LateFusion
from fusiondx.core.spec import Spec, spec


@spec
class Weighted(Spec):
    """Late fusion: every modality answers for itself, and each one's answer has a learnt weight.

    One weight per modality, a softmax over the modalities a patient has (a linear opinion pool on raw answers;
    Genest and Zidek 1986). At the start all are equal, as in `Mean`. Weights are the same for all patients and all
    targets, so it cannot trust a modality in some patients only, nor learn that two findings matter only together.

    >>> model = fdx.FusionModel(fusion=fdx.Weighted(), training=quick).fit(train)
    >>> model.predict_proba(test).shape
    (23, 2)
    """

    kind: Literal["weighted"] = "weighted"

    def build(self, names: tuple[str, ...], dim: int) -> Fusion:
        return WeightedFusion(names, dim)


class WeightedFusion(LateFusion):
    def __init__(self, names: tuple[str, ...], dim: int) -> None:
        super().__init__(names, dim)
        self.scores = nn.Parameter(torch.zeros(len(names)))

    def decide(
        self, answers: Float[Tensor, "batch opinions outputs"], mask: Bool[Tensor, "batch opinions"]
    ) -> Float[Tensor, "batch outputs"]:
        scores = functional.pad(self.scores, (0, 1)).expand(mask.shape)  # the opinion of nothing counts alone or not
        weights = torch.softmax(scores.masked_fill(~mask, torch.finfo(scores.dtype).min), dim=1)
        return (weights.unsqueeze(-1) * answers).sum(dim=1)
