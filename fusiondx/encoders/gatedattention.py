"""Gated attention: a bag of patches becomes one or a few tokens."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from fusiondx.core.batch import Items
from fusiondx.core.components import BagShape, Encoder, Shape
from fusiondx.core.spec import Spec, spec
from fusiondx.core.tokens import Tokens


@spec
class GatedAttention(Spec):
    """Attention-based multiple-instance learning (Ilse et al. 2018): patches vote, weighted by what they show.

    One token per head, whatever the number of patches; nothing is padded.

    >>> for number, patient in enumerate(cohort.ids[:20]):
    ...     np.save(f"{patient}.npy", np.random.default_rng(number).normal(size=(5 + number, 8)))
    >>> table = pd.DataFrame({"patient_id": cohort.ids[:20], "patches": [f"{id}.npy" for id in cohort.ids[:20]]})
    >>> slides = fdx.Cohort.from_frame(
    ...     table.assign(grade=["low", "high"] * 10),
    ...     modalities={"slide": fdx.Bag("patches")},
    ...     targets={"grade": fdx.Classes("grade")},
    ... )
    >>> model = fdx.FusionModel({"slide": fdx.GatedAttention(hidden=16)}, training=quick).fit(slides)
    >>> model.predict_proba(slides).shape
    (20, 2)
    """

    hidden: int = Field(default=64, ge=1)
    heads: int = Field(default=1, ge=1, le=64)
    dropout: float = Field(default=0.2, ge=0, lt=1)
    kind: Literal["gated_attention"] = "gated_attention"
    accepts: ClassVar[tuple[str, ...]] = ("bag",)

    def build(self, shape: Shape, dim: int) -> Encoder:
        assert isinstance(shape, BagShape)
        return GatedAttentionEncoder(self, shape, dim)


class GatedAttentionEncoder(Encoder):
    def __init__(self, spec: GatedAttention, shape: BagShape, dim: int) -> None:
        super().__init__()
        self.embed = nn.Sequential(nn.Linear(shape.width, spec.hidden), nn.ReLU(), nn.Dropout(spec.dropout))
        self.content = nn.Linear(spec.hidden, spec.hidden)
        self.gate = nn.Linear(spec.hidden, spec.hidden)
        # no bias: it would leave every softmax as it is
        self.vote = nn.Linear(spec.hidden, spec.heads, bias=False)
        self.project = nn.Linear(spec.hidden, dim)

    def forward(self, items: Items) -> Tokens:
        patches = self.embed(items.fields["patches"])
        weights = self.weights(patches, items)
        heads, hidden = weights.shape[1], patches.shape[1]
        pooled = [
            patches.new_zeros(items.patients, hidden).index_add(0, items.patient, patches * weights[:, h : h + 1])
            for h in range(heads)
        ]
        values = self.project(torch.stack(pooled, dim=1))
        return Tokens(values, items.present.unsqueeze(1).expand(-1, heads))

    def weights(self, patches: Float[Tensor, "items hidden"], items: Items) -> Float[Tensor, "items heads"]:
        """A softmax over the patches of each patient."""
        votes = self.vote(torch.tanh(self.content(patches)) * torch.sigmoid(self.gate(patches)))
        owner = items.patient.unsqueeze(1).expand_as(votes)
        floor = votes.new_full((items.patients, votes.shape[1]), -torch.inf)
        most = floor.scatter_reduce(0, owner, votes.detach(), "amax")
        raised = torch.exp(votes - most[items.patient])
        total = votes.new_zeros(items.patients, votes.shape[1]).index_add(0, items.patient, raised)
        weights: Tensor = raised / total[items.patient]
        return weights

    def attention(self, items: Items) -> Float[Tensor, "items heads"]:
        """How much each patch counted; sums to 1 over a patient's patches. Use it in eval."""
        return self.weights(self.embed(items.fields["patches"]), items)
