"""Late fusion by the mean."""

from __future__ import annotations

from typing import Literal

from jaxtyping import Bool, Float
from torch import Tensor

from fusiondx.core.components import Fusion, LateFusion
from fusiondx.core.spec import Spec, spec
from fusiondx.core.tokens import Tokens


@spec
class Mean(Spec):
    """Late fusion: every modality answers for itself, and the answers are averaged over those a patient has.

    >>> model = fdx.FusionModel(fusion=fdx.Mean(), training=quick).fit(train)
    >>> model.predict_proba(test).shape
    (23, 2)
    """

    kind: Literal["mean"] = "mean"

    def build(self, names: tuple[str, ...], dim: int) -> Fusion:
        return MeanFusion(names, dim)


class MeanFusion(LateFusion):
    def decide(
        self, answers: Float[Tensor, "batch opinions outputs"], mask: Bool[Tensor, "batch opinions"]
    ) -> Float[Tensor, "batch outputs"]:
        return Tokens(answers, mask).mean()
