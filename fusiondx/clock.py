"""Clock: what lets a token know when it was observed."""

from __future__ import annotations

import torch
from torch import nn

from fusiondx.core.batch import Items
from fusiondx.core.tokens import Tokens


class Clock(nn.Module):
    """Scales and shifts the tokens of an item by functions of its time (FiLM, Perez et al. 2018).

    Scaling lets even a mean over tokens tell a finding that grew from one that shrank. Reads the field ``time``, Float
    ``(items,)``, standardised.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.change = nn.Sequential(nn.Linear(1, dim), nn.GELU(), nn.Linear(dim, 2 * dim))

    def forward(self, tokens: Tokens, items: Items) -> Tokens:
        """`tokens` as the encoder laid them: as many of each item, item by item."""
        if not len(items):
            return tokens
        change = items.tokens(self.change(items.fields["time"].unsqueeze(1)).unsqueeze(1))
        per_item = tokens.mask.shape[1] // change.mask.shape[1]
        scale, shift = change.values.repeat_interleave(per_item, dim=1).chunk(2, dim=2)
        return Tokens(torch.addcmul(shift, tokens.values, 1 + scale), tokens.mask)
