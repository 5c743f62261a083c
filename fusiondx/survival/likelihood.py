"""Cox's partial likelihood as a training loss."""

from __future__ import annotations

import torch
from jaxtyping import Float, Shaped
from torch import Tensor


def cox_loss(
    log_hazard: Float[Tensor, " n"], time: Shaped[Tensor, " n"], event: Shaped[Tensor, " n"]
) -> Float[Tensor, ""]:
    """Cox's negative log partial likelihood per event, with Efron's correction for tied events (Efron 1977).

    `time` is in any unit (only its order counts), `event` is 1 or True where the event happened. A patient censored
    at an event time is still at risk then. Zero, yet differentiable, where there is no event.

    Worked out in float64 and log space, so log hazards of any finite size give a finite value and gradient.
    """
    order = torch.argsort(time, descending=True)
    eta, happened = log_hazard[order].double(), event[order].bool()
    _, group, size = torch.unique_consecutive(time[order], return_inverse=True, return_counts=True)
    at_risk = torch.logcumsumexp(eta, dim=0)[size.cumsum(0) - 1]  # log of the summed hazards, per distinct time

    eta, group = eta[happened], group[happened]
    at_risk_then = at_risk[group]
    tied = torch.bincount(group, minlength=len(size))
    share = torch.zeros_like(at_risk).index_add(0, group, (eta - at_risk_then).exp())
    rank = torch.arange(len(group), device=group.device) - (tied.cumsum(0) - tied)[group]
    # Of d tied events, the k-th (from 0) sees a risk set from which k/d of the tied hazards have left
    left = rank.double() / tied[group] * share[group]
    total = (at_risk_then + torch.log1p(-left) - eta).sum()
    return (total / max(len(eta), 1)).to(log_hazard.dtype)
