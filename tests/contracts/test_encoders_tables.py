"""Do the table encoders offer the tokens, the masks and the penalty that they promise?"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from fusiondx.core.batch import Batch, Items, Truth
from fusiondx.core.components import Regularised, TableShape
from fusiondx.core.tokens import Tokens
from fusiondx.encoders import MLP, FTTransformer, TabNet
from fusiondx.fusion import Concat
from fusiondx.network import Network

DIM = 4
SHAPE = TableShape(("age", "size", "depth"), (3, 2))
SHAPES = [SHAPE, TableShape(("age",)), TableShape((), (2,)), TableShape(("age", "size"))]


def rows(n: int, shape: TableShape = SHAPE) -> Items:
    random = torch.Generator().manual_seed(0)
    codes = [torch.randint(0, known + 1, (n, 1), generator=random) for known in shape.categories]
    fields = {
        "numeric": torch.randn(n, len(shape.numeric), generator=random),
        "codes": torch.cat([torch.zeros(n, 0, dtype=torch.int64), *codes], dim=1),
    }
    return Items(fields, torch.arange(n), n)


def built(spec: Any, shape: TableShape = SHAPE) -> Any:
    torch.manual_seed(0)
    return spec.build(shape, DIM)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("spec", [TabNet(), FTTransformer(), FTTransformer(tokens="features")], ids=str)
def test_any_mixture_of_columns(spec: Any, shape: TableShape) -> None:
    encoder = built(spec, shape).train()
    values = encoder(rows(6, shape)).values
    values.sum().backward()
    assert torch.isfinite(values).all()
    assert all(torch.isfinite(p.grad).all() for p in encoder.parameters() if p.grad is not None)


def test_fttransformer_gives_cls_alone_or_with_a_token_per_column() -> None:
    alone, all_of_them = built(FTTransformer()).eval(), built(FTTransformer(tokens="features")).eval()
    cls, tokens = alone(rows(2)), all_of_them(rows(2))
    assert cls.values.shape == (2, 1, DIM)
    assert tokens.values.shape == (2, 1 + 3 + 2, DIM)
    torch.testing.assert_close(tokens.values[:, :1], cls.values)


@pytest.mark.parametrize(("field", "column", "place"), [("numeric", 1, 2), ("codes", 0, 4), ("codes", 1, 5)])
def test_fttransformer_embeds_each_column_in_its_own_place(field: str, column: int, place: int) -> None:
    embed = built(FTTransformer()).embed
    before, fields = rows(1).fields, {n: v.clone() for n, v in rows(1).fields.items()}
    fields[field][0, column] = 1 - fields[field][0, column]
    changed = (embed(before) - embed(fields)).abs().amax(dim=2)[0] > 0
    assert changed.tolist() == [i == place for i in range(6)]


def test_fttransformer_has_a_vector_for_every_level_of_every_category() -> None:
    embed = built(FTTransformer()).embed
    codes = torch.tensor([[a, b] for a in range(4) for b in range(3)])
    tokens = embed({"numeric": torch.zeros(12, 3), "codes": codes})[:, 4:]
    assert len(tokens.flatten(0, 1).unique(dim=0)) == 4 + 3


def test_fttransformer_refuses_heads_that_do_not_divide_the_width() -> None:
    with pytest.raises(ValidationError, match="width 10 is not a multiple of heads 4"):
        FTTransformer(width=10)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("n", [0, 1, 2, 12])
def test_tabnet_penalty_is_finite_and_not_negative(n: int, training: bool) -> None:
    encoder = built(TabNet(sparsity=1.0)).train(training)
    assert isinstance(encoder, Regularised)
    assert encoder.penalty().item() == 0
    encoder(rows(n))
    assert encoder.penalty().shape == ()
    assert (0 if n == 0 else 1e-3) <= encoder.penalty().item() <= torch.tensor(5.0).log().item() + 1e-6
    assert encoder.training == encoder.body.training == training


def test_tabnet_penalty_of_a_single_column_is_zero() -> None:
    encoder = built(TabNet(sparsity=1.0), TableShape(("age",))).train()
    encoder(rows(9, TableShape(("age",))))
    assert encoder.penalty().item() == pytest.approx(0, abs=1e-6)


def test_tabnet_penalty_changes_the_gradient_and_makes_masks_sparser() -> None:
    def entropy(sparsity: float) -> float:
        encoder = built(TabNet(sparsity=sparsity)).train()
        optimiser = torch.optim.Adam(encoder.parameters(), lr=0.02)
        for _ in range(40):
            optimiser.zero_grad()
            loss = encoder(rows(32)).values.square().mean() + encoder.penalty()
            loss.backward()
            optimiser.step()
        return encoder.entropy.item()

    assert entropy(1.0) < 0.7 * entropy(0.0)


def test_tabnet_masks_are_the_entropy_that_is_penalised() -> None:
    encoder = built(TabNet(sparsity=1.0)).eval()
    encoder(rows(8))
    _, masks = encoder.body.forward_masks(encoder.columns(rows(8).fields))
    owner = (encoder.body.group_attention_matrix > 0).float().T
    folded = torch.stack([mask @ owner for mask in masks.values()])
    torch.testing.assert_close(folded.sum(dim=2), torch.ones(3, 8))
    expected = torch.special.entr(folded).sum(dim=2).mean()
    torch.testing.assert_close(encoder.penalty(), expected, rtol=1e-4, atol=1e-5)


def test_tabnet_attends_to_columns_as_wholes() -> None:
    encoder = built(TabNet()).eval()
    attention = encoder.attention(rows(8))
    assert attention.shape == (8, 5)
    assert (attention >= 0).all()
    assert attention.sum() > 0


def test_tabnet_can_be_copied_and_moved_after_a_prediction() -> None:
    encoder = built(TabNet()).train()
    encoder(rows(6)).values.sum().backward()
    with torch.inference_mode():
        expected = encoder.eval()(rows(6)).values
    again = deepcopy(encoder).double().float()(rows(6)).values
    torch.testing.assert_close(again, expected)
    assert "group_attention_matrix" in dict(encoder.body.named_buffers())


def test_a_network_sums_the_penalties_of_its_encoders() -> None:
    encoders = {"a": built(TabNet(sparsity=1.0)), "b": built(MLP()), "c": built(TabNet(sparsity=2.0))}
    network = Network(encoders, Concat().build(("a", "b", "c"), DIM), {}, modality_dropout=0.0).train()
    assert network.penalty().item() == 0
    items = rows(6)
    opinions: Tokens = network.opinions(Batch(tuple("123456"), dict.fromkeys("abc", items), dict[str, Truth]()))
    assert opinions.present.all()
    penalty = network.penalty()
    torch.testing.assert_close(penalty, encoders["a"].entropy + 2 * encoders["c"].entropy)
    penalty.backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in encoders["a"].parameters())
    assert all(p.grad is None for p in encoders["b"].parameters())
