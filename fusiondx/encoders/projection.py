"""Projection: wide inputs carried by their first principal components."""

from __future__ import annotations

import torch
from jaxtyping import Float
from sklearn.decomposition import PCA
from torch import Tensor, nn


class Projection(nn.Module):
    """The first principal components of `width` columns, fitted once and not trained.

    With far more columns than patients, a network given all of them learns the training patients by heart within a few
    steps. The components keep their relative spread, so that small ones, mostly noise, stay small; they are scaled to a
    mean variance of 1. A linear map: attributions reach back to the columns.
    """

    directions: Tensor

    def __init__(self, width: int, components: int | None) -> None:
        super().__init__()
        self.width = min(width, components or width)
        directions = torch.eye(width) if self.width == width else torch.zeros(width, self.width)
        self.register_buffer("directions", directions)

    def fit(self, columns: Float[Tensor, "patients width"]) -> None:
        """Find the components among the training patients; unused ones stay zero where patients are too few."""
        width, kept = self.directions.shape
        possible = min(kept, len(columns) - 1)
        if kept == width or possible < 1:
            return
        found = PCA(possible, random_state=0).fit(columns.double().numpy())
        scale = found.explained_variance_.mean() ** 0.5
        self.directions.zero_()
        self.directions[:, :possible] = torch.from_numpy(found.components_.T / max(scale, 1e-12))

    def forward(self, columns: Float[Tensor, "items width"]) -> Float[Tensor, "items kept"]:
        return columns @ self.directions if self.width < len(self.directions) else columns
