"""Cox's partial likelihood as a training loss."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor


def cox_loss(
    log_hazard: Float[Tensor, " n"],
    time: Shaped[Tensor, " n"],
    event: Shaped[Tensor, " n"],
    stratum: Int[Tensor, " n"] | None = None,
) -> Float[Tensor, ""]:
    """Cox's negative log partial likelihood per event, with Efron's correction for tied events (Efron 1977).

    `time` is in any unit (only its order counts), `event` is 1 or True where the event happened. A patient censored
    at an event time is still at risk then. With `stratum`, risk sets hold patients of one stratum only (Kalbfleisch &
    Prentice 1980). Zero, yet differentiable, where there is no event.

    Worked out in float64 and log space, so log hazards of any finite size give a finite value and gradient.
    """
    given = log_hazard.double(), time, event.bool()
    if stratum is None:
        total = _efron(*given)
    else:
        parts = [_efron(*(values[stratum == s] for values in given)) for s in torch.unique(stratum)]
        total = torch.stack([given[0].sum() * 0, *parts]).sum()
    return (total / max(int(given[2].sum()), 1)).to(log_hazard.dtype)


def _efron(eta: Float[Tensor, " n"], time: Shaped[Tensor, " n"], event: Shaped[Tensor, " n"]) -> Float[Tensor, ""]:
    """Negative log partial likelihood of one stratum."""
    order = torch.argsort(time, descending=True)
    eta, happened = eta[order], event[order]
    _, group, size = torch.unique_consecutive(time[order], return_inverse=True, return_counts=True)
    at_risk = torch.logcumsumexp(eta, dim=0)[size.cumsum(0) - 1]  # log of the summed hazards, per distinct time

    eta, group = eta[happened], group[happened]
    at_risk_then = at_risk[group]
    tied = torch.bincount(group, minlength=len(size))
    share = torch.zeros_like(at_risk).index_add(0, group, (eta - at_risk_then).exp())
    rank = torch.arange(len(group), device=group.device) - (tied.cumsum(0) - tied)[group]
    # Of d tied events, the k-th (from 0) sees a risk set from which k/d of the tied hazards have left
    left = rank.double() / tied[group] * share[group]
    return (at_risk_then + torch.log1p(-left) - eta).sum()
