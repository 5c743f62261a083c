"""Attention over sets that may be empty."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fusiondx.core.tokens import Tokens
from fusiondx.errors import ConfigError


class Attention(nn.Module):
    """Scaled dot-product attention with several heads (Vaswani et al. 2017).

    A query that finds nothing to look at gets zeros, never NaN, which PyTorch's own gives. `weights` are those of the
    last forward pass, mean over heads. Raises `ConfigError` where `heads` do not divide `dim`.
    """

    weights: Float[Tensor, "batch queries tokens"]

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        if dim % heads:
            raise ConfigError(f"fusion: {heads} attention heads do not divide the model's dim of {dim}. Change either.")
        self.heads = heads
        self.query = nn.Linear(dim, dim)
        # no bias: it would leave every softmax as it is
        self.key = nn.Linear(dim, dim, bias=False)
        self.value = nn.Linear(dim, dim)
        self.out = nn.Linear(dim, dim, bias=False)

    def forward(
        self, queries: Float[Tensor, "batch queries dim"], tokens: Tokens
    ) -> Float[Tensor, "batch queries dim"]:
        query, key, value = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in (self.query(queries), self.key(tokens.kept), self.value(tokens.kept))
        )
        scores = query @ key.transpose(2, 3) * query.shape[-1] ** -0.5
        mask = tokens.mask[:, None, None, :]
        weights = torch.softmax(scores.masked_fill(~mask, torch.finfo(scores.dtype).min), dim=-1) * mask
        self.weights = weights.detach().mean(dim=1)
        return torch.as_tensor(self.out((weights @ value).transpose(1, 2).flatten(2)))


class Block(nn.Module):
    """A pre-norm transformer block: queries look at tokens, their own set or another one, and then think."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.look = Attention(dim, heads)
        self.think = nn.Sequential(
            nn.LayerNorm(dim), nn.Linear(dim, 2 * dim), nn.GELU(), nn.Dropout(dropout), nn.Linear(2 * dim, dim)
        )

    def forward(
        self, queries: Float[Tensor, "batch queries dim"], tokens: Tokens
    ) -> Float[Tensor, "batch queries dim"]:
        seen = queries + self.look(self.norm(queries), Tokens(self.norm(tokens.kept), tokens.mask))
        return torch.as_tensor(seen + self.think(seen))
