"""Segmenter: a feature map says where the tumour is, and what it looks like there."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from fusiondx.core.batch import Items


class Segmenter(nn.Module):
    """A tumour probability for every pixel, learnt beside the actual question.

    The loss is Dice plus cross-entropy, as is usual since nnU-Net (Isensee et al. 2021). The description reads the
    feature map under the *predicted* tumour, so that patients without a mask have one too.
    """

    def __init__(self, features: int, dim: int, flat: bool, weight: float) -> None:
        super().__init__()
        from monai.losses import DiceCELoss  # here, because it takes seconds to import

        self.mode = "bilinear" if flat else "trilinear"
        self.weight = weight
        self.score = (nn.Conv2d if flat else nn.Conv3d)(features, 1, 1)
        # over the whole batch: an image without tumour has no Dice of its own
        self.cost = DiceCELoss(sigmoid=True, batch=True)
        self.norm = nn.LayerNorm(features)
        self.project = nn.Linear(features + 1, dim)

    def forward(
        self, maps: Float[Tensor, "items features *smaller"], size: torch.Size
    ) -> Float[Tensor, "items 1 *size"]:
        """Logits at full size."""
        logits: Tensor = self.score(maps)
        return logits if logits.shape[2:] == size else functional.interpolate(logits, size, mode=self.mode)

    def both(
        self, maps: Float[Tensor, "items features *smaller"], items: Items
    ) -> tuple[Float[Tensor, "items dim"], Float[Tensor, ""]]:
        """What the tumour looks like, and the loss; zero where nobody has a mask."""
        logits = self(maps, items.fields["pixels"].shape[2:])
        known = "mask" in items.fields and len(items) > 0
        cost = self.loss(logits, items.fields["mask"], items.fields["masked"]) if known else logits.new_zeros(())
        return self.describe(maps, logits), cost

    def describe(
        self, maps: Float[Tensor, "items features *smaller"], logits: Float[Tensor, "items 1 *size"]
    ) -> Float[Tensor, "items dim"]:
        """What the tumour looks like, and how much of the image it is; the question may not move its outline."""
        inside = torch.sigmoid(functional.interpolate(logits.detach(), maps.shape[2:])).flatten(2)
        total = inside.sum(dim=2)
        mean = (maps.flatten(2) * inside).sum(dim=2) / (total + 1.0)
        size = torch.log1p(total) / torch.log1p(torch.tensor(float(inside.shape[2])))
        described: Tensor = self.project(torch.cat([self.norm(mean), size], dim=1))
        return described

    def loss(
        self,
        logits: Float[Tensor, "items 1 *size"],
        mask: Float[Tensor, "items 1 *size"],
        masked: Bool[Tensor, " items"],
    ) -> Float[Tensor, ""]:
        """What the masks of those items that have one make of the logits, weighted; zero where none has."""
        if not masked.any():
            return logits.new_zeros(())
        cost: Tensor = self.cost(logits[masked], mask[masked])
        return self.weight * cost
