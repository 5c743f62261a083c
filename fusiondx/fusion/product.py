"""Late fusion by the product of experts."""

from __future__ import annotations

from typing import Literal

from jaxtyping import Bool, Float
from torch import Tensor

from fusiondx.core.components import Fusion, LateFusion
from fusiondx.core.spec import Spec, spec


@spec
class Product(Spec):
    """Late fusion: a product of experts, one per modality, with a learnt prior (Hinton 2002; Wu and Goodman 2018).

    The answer to a patient of whom nothing is known is the prior; every modality a patient has adds what its answer
    differs from it. So evidence adds up, where `Mean` averages it, a missing modality adds nothing, and what all
    answers share is counted once. By what a head's raw answers are:

    - logits of exclusive classes: probabilities are multiplied, divided by the prior once for each modality but one,
      and normalised: Bayes' rule for modalities that are independent given the class;
    - logits of labels, grades or intervals, each on its own: odds are multiplied in the same way;
    - log hazards: hazard ratios are multiplied;
    - a number: differences from the prior's value are added. That is an additive model, not a product of normal
      densities, which would need each modality's variance.

    Where modalities say the same it counts that twice, until training has learnt to temper them; and as every late
    fusion it cannot learn that two findings matter only together.

    >>> model = fdx.FusionModel(fusion=fdx.Product(), training=quick).fit(train)
    >>> model.predict_proba(test).shape
    (23, 2)
    """

    kind: Literal["product"] = "product"

    def build(self, names: tuple[str, ...], dim: int) -> Fusion:
        return ProductFusion(names, dim)


class ProductFusion(LateFusion):
    def decide(
        self, answers: Float[Tensor, "batch opinions outputs"], mask: Bool[Tensor, "batch opinions"]
    ) -> Float[Tensor, "batch outputs"]:
        prior = answers[:, -1:]  # needed of every patient, whatever the mask says of it
        return prior[:, 0] + ((answers - prior) * mask.unsqueeze(-1)).sum(dim=1)
