"""Do fusions compute what their papers say? Each against a plain computation of the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import fusiondx as fdx
from fusiondx.core.attention import Attention
from fusiondx.core.components import Fusion
from fusiondx.core.tokens import Tokens
from fusiondx.fusion.kronecker import KroneckerFusion
from fusiondx.fusion.low_rank import LowRankFusion

DIM = 4
NAMES = ("a", "b", "c")


def tokens(*present: bool) -> dict[str, Tokens]:
    random = torch.Generator().manual_seed(0)
    return {
        name: Tokens(torch.randn(1, 1, DIM, generator=random), torch.tensor([[has]]))
        for name, has in zip(NAMES, present, strict=True)
    }


def decided(fusion: Fusion, answers: list[float], present: list[bool]) -> float:
    """One patient's answer from one answer per modality, and one to nothing, which counts only alone."""
    mask = torch.tensor([[*present, not any(present)]])
    return float(fusion.decide(torch.tensor(answers).view(1, -1, 1), mask).detach())


def test_attention_is_that_of_torch_where_nothing_is_masked() -> None:
    torch.manual_seed(0)
    mine, theirs = Attention(8, 2), nn.MultiheadAttention(8, 2, batch_first=True)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([mine.query.weight, mine.key.weight, mine.value.weight]))
        theirs.in_proj_bias.copy_(torch.cat([mine.query.bias, torch.zeros(8), mine.value.bias]))
        theirs.out_proj.weight.copy_(mine.out.weight)
        theirs.out_proj.bias.zero_()
    queries, values = torch.randn(3, 2, 8), torch.randn(3, 5, 8)
    expected, weights = theirs(queries, values, values)
    torch.testing.assert_close(mine(queries, Tokens.full(values)), expected)
    torch.testing.assert_close(mine.weights, weights.detach())


@pytest.mark.parametrize("columns", [0, 3])
def test_attention_to_nothing_is_zero_and_has_a_gradient(columns: int) -> None:
    attention, queries = Attention(8, 2), torch.randn(2, 2, 8, requires_grad=True)
    nothing = Tokens(torch.full((2, columns, 8), torch.nan), torch.zeros(2, columns, dtype=torch.bool))
    found = attention(queries, nothing)
    found.sum().backward()
    assert torch.equal(found, torch.zeros(2, 2, 8))
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in attention.parameters())


@pytest.mark.parametrize("present", [(True, True, True), (True, False, True), (False, False, False)])
def test_the_kronecker_product_is_numpy_s(present: tuple[bool, bool, bool]) -> None:
    torch.manual_seed(0)
    fusion, given = fdx.Kronecker(size=2).build(NAMES, DIM).eval(), tokens(*present)
    assert isinstance(fusion, KroneckerFusion)
    entered: list[torch.Tensor] = []
    fusion.mix.register_forward_pre_hook(lambda _, inputs: entered.append(inputs[0]))
    fusion(given)
    everything = torch.cat([given[name].mean() for name in NAMES], dim=1)
    factors = [fusion.factor(name, given[name], everything)[0].detach().numpy() for name in NAMES]
    for has, factor in zip(present, factors, strict=True):
        assert factor[-1] == 1
        assert bool(np.any(factor[:-1] != 0)) == has
    np.testing.assert_allclose(entered[0][0].detach().numpy(), np.kron(np.kron(*factors[:2]), factors[2]), rtol=1e-6)


@pytest.mark.parametrize("present", [(True, True, True), (True, False, True), (False, False, False)])
def test_low_rank_fusion_is_a_contraction_of_the_whole_outer_product(present: tuple[bool, bool, bool]) -> None:
    """Written out: a weight for every product of features of all three, a 1 added to each (Liu et al. 2018, eq. 4)."""
    torch.manual_seed(0)
    fusion, given = fdx.LowRank(rank=2).build(NAMES, DIM).eval(), tokens(*present)
    assert isinstance(fusion, LowRankFusion)
    factor = {
        name: torch.cat([layer.weight, layer.bias.unsqueeze(1)], dim=1).view(DIM, 2, DIM + 1)
        for name, layer in fusion.factors.items()
    }
    weights = torch.einsum("r,ori,orj,ork->oijk", fusion.sum.weight[0], factor["a"], factor["b"], factor["c"])
    one = {name: torch.cat([given[name].mean()[0], torch.ones(1)]) for name in NAMES}
    outer = torch.einsum("i,j,k->ijk", one["a"], one["b"], one["c"])
    expected = torch.einsum("oijk,ijk->o", weights, outer) + fusion.offset
    torch.testing.assert_close(fusion(given).values[0, 0], expected)


def test_a_product_of_experts_is_bayes_rule_where_modalities_are_independent_given_the_class() -> None:
    fusion = fdx.Product().build(NAMES, DIM)
    prior = 0.2
    likelihood = {"yes": np.array([0.7, 0.9, 0.4]), "no": np.array([0.3, 0.5, 0.8])}

    def posterior(seen: list[bool]) -> float:
        yes, no = prior * likelihood["yes"][seen].prod(), (1 - prior) * likelihood["no"][seen].prod()
        return float(np.log(yes / no))

    alone = [posterior([other == mine for other in range(3)]) for mine in range(3)]
    for pattern in range(8):
        seen = [bool(pattern >> column & 1) for column in range(3)]
        answer = decided(fusion, [*alone, float(np.log(prior / (1 - prior)))], seen)
        assert answer == pytest.approx(posterior(seen), abs=1e-5)


def test_learnt_weights_are_shared_out_over_the_modalities_a_patient_has() -> None:
    fusion = fdx.Weighted().build(NAMES, DIM)
    assert decided(fusion, [1.0, 2.0, 6.0, 9.0], [True, True, True]) == pytest.approx(3.0)
    with torch.no_grad():
        fusion.get_parameter("scores").copy_(torch.tensor([0.5, 0.3, 0.2]).log())
    assert decided(fusion, [1.0, 2.0, 6.0, 9.0], [True, True, True]) == pytest.approx(2.3)
    assert decided(fusion, [1.0, 2.0, 6.0, 9.0], [True, False, True]) == pytest.approx((0.5 + 1.2) / 0.7)
    assert decided(fusion, [1.0, 2.0, 6.0, 9.0], [False, False, False]) == pytest.approx(9.0)
