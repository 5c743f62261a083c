"""Is every component what it claims? Each spec of each union passes the same contract."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter
from torch import Tensor, nn

from fusiondx.core.batch import Items, Truth
from fusiondx.core.components import BagShape, ExtractingSpec, ImageShape, RawImages, Settled, Shape, TableShape
from fusiondx.core.targets import Classes, CompetingRisks, Labels, Number, Survival, TargetValues
from fusiondx.core.tokens import Tokens
from fusiondx.data.augmentation import Augmentation
from fusiondx.encoders import AnyEncoder
from fusiondx.fusion import AnyFusion
from fusiondx.heads import AnyHead, Diagnosis, MultiLabel, Regression
from fusiondx.network import drop_modalities

DIM = 8
TABLE = TableShape(tuple(f"x{i}" for i in range(5)), (3, 2))
SHAPES: dict[str, Shape] = {
    "table": TABLE,
    "bag": BagShape(7),
    "image": ImageShape(3, (32, 32)),
    "volume": ImageShape(1, (16, 16, 16)),
}


def members(union: Any) -> list[Any]:
    """One spec, with defaults, per member of a union."""
    return [member() for member in get_args(get_args(union)[0])]


def name(value: Any) -> str:
    return getattr(value, "kind", str(value))


def seen_as(spec: Any, kind: str) -> str:
    """The kind of shape an encoder is built for: features of images make a table."""
    shape = SHAPES[kind]
    reads = isinstance(spec, ExtractingSpec) and isinstance(shape, ImageShape)
    return "table" if reads and spec.extractor(RawImages(shape.channels, shape.size)) else kind


ENCODERS = [pytest.param(s, seen_as(s, kind), id=f"{s.kind}-{kind}") for s in members(AnyEncoder) for kind in s.accepts]
FUSIONS = [pytest.param(s, id=s.kind) for s in members(AnyFusion)]
OTHER_HEADS = [
    Diagnosis(weights="balanced", focal=2.0, smoothing=0.1),
    MultiLabel(balanced=True),
    Regression(loss="absolute"),
    Regression(loss="huber"),
]
HEADS = [pytest.param(s, id=s.kind) for s in members(AnyHead)]
HEADS += [pytest.param(s, id=f"{s.kind}-{n}") for n, s in enumerate(OTHER_HEADS)]


@pytest.mark.parametrize("spec", [Augmentation(), *members(AnyEncoder)], ids=name)
def test_no_setting_is_infinite(spec: Any) -> None:
    for setting, value in spec.get_params().items():
        if isinstance(value, float):
            with pytest.raises(ValueError, match=setting):
                spec.replace(**{setting: float("inf")})


def items(kind: str, owners: list[int], patients: int, seed: int = 0) -> Items:
    random = torch.Generator().manual_seed(seed)
    n, shape = len(owners), SHAPES[kind]
    if isinstance(shape, TableShape):
        codes = torch.stack([torch.randint(0, c + 1, (n,), generator=random) for c in shape.categories], dim=1)
        fields = {"numeric": torch.randn(n, len(shape.numeric), generator=random), "codes": codes}
    elif isinstance(shape, BagShape):
        fields = {"patches": torch.randn(n, shape.width, generator=random)}
    else:
        fields = {"pixels": torch.randn(n, shape.channels, *shape.size, generator=random)}
    return Items(fields, torch.tensor(owners, dtype=torch.int64), patients)


def built(spec: Any, *args: Any) -> nn.Module:
    torch.manual_seed(0)
    module: nn.Module = spec.build(*args)
    return module


@pytest.mark.parametrize(("spec", "kind"), ENCODERS)
class TestEncoder:
    def test_tokens_of_the_asked_width_for_those_who_have_items(self, spec: Any, kind: str) -> None:
        tokens = built(spec, SHAPES[kind], DIM).eval()(items(kind, [0, 2, 2], 4))
        assert tokens.values.shape[0] == 4
        assert tokens.values.shape[2] == DIM
        assert tokens.present.tolist() == [True, False, True, False]
        assert torch.isfinite(tokens.values).all()

    @pytest.mark.parametrize("training", [True, False])
    def test_nobody_has_the_modality(self, spec: Any, kind: str, training: bool) -> None:
        tokens = built(spec, SHAPES[kind], DIM).train(training)(items(kind, [], 3))
        assert not tokens.present.any()
        assert tokens.mean().shape == (3, DIM)

    def test_a_single_item_can_train(self, spec: Any, kind: str) -> None:
        tokens = built(spec, SHAPES[kind], DIM).train()(items(kind, [1], 3))
        assert torch.isfinite(tokens.values).all()

    def test_patients_are_independent(self, spec: Any, kind: str) -> None:
        encoder = built(spec, SHAPES[kind], DIM).eval()
        batch = items(kind, [0, 1, 1, 2], 3)
        alone = encoder(batch.keep(torch.tensor([False, True, False]))).mean()
        torch.testing.assert_close(encoder(batch).mean()[1], alone[1], rtol=1e-4, atol=1e-5)

    def test_every_parameter_learns(self, spec: Any, kind: str) -> None:
        encoder = built(spec, SHAPES[kind], DIM).train()
        before = {n: p.detach().clone() for n, p in encoder.named_parameters()}
        optimiser = torch.optim.SGD(encoder.parameters(), lr=0.1)
        for _ in range(3):  # residual branches start at zero and hear of the loss from the second step on
            optimiser.zero_grad()
            owners = [n // 2 for n in range(32)]  # of a single patch, attention has nothing to choose
            values = encoder(items(kind, owners if kind == "bag" else list(range(16)), 16)).values
            (values * torch.randn(values.shape)).mean().backward()
            optimiser.step()
        assert not [n for n, p in encoder.named_parameters() if torch.equal(p, before[n])]

    def test_brightness_survives(self, spec: Any, kind: str) -> None:
        if kind in ("table", "bag"):
            pytest.skip("only images have a brightness")
        encoder = built(spec, SHAPES[kind], DIM).eval()
        batch = items(kind, [0], 1)
        brighter = Items({"pixels": batch.fields["pixels"] + 1.0}, batch.patient, 1)
        assert (encoder(batch).values - encoder(brighter).values).abs().max() > 1e-3

    def test_survives_json(self, spec: Any, kind: str) -> None:
        adapter = TypeAdapter(AnyEncoder)
        assert adapter.validate_json(adapter.dump_json(spec)) == spec


def opinions_in(present: Tensor, seed: int = 0) -> dict[str, Tokens]:
    """Two tokens per present modality, garbage (NaN) elsewhere."""
    random = torch.Generator().manual_seed(seed)
    sets = {}
    for i, modality in enumerate(("a", "b", "c")):
        values = torch.randn(len(present), 2, DIM, generator=random)
        mask = present[:, i : i + 1].expand(-1, 2)
        sets[modality] = Tokens(values.masked_fill(~mask.unsqueeze(-1), float("nan")), mask)
    return sets


PATTERNS = torch.tensor([[bool(p & 1), bool(p & 2), bool(p & 4)] for p in range(8)])


def decided(fusion: Any, tokens: dict[str, Tokens], weight: Tensor) -> Tensor:
    opinions = fusion(tokens)
    return fusion.decide(torch.tanh(opinions.values) @ weight, opinions.mask)


@pytest.mark.parametrize("spec", FUSIONS)
class TestFusion:
    def test_every_pattern_gives_a_finite_answer_and_gradient(self, spec: Any) -> None:
        fusion = built(spec, ("a", "b", "c"), DIM).train()
        weight = torch.randn(DIM, 2, requires_grad=True)
        answer = decided(fusion, opinions_in(PATTERNS), weight)
        assert answer.shape == (8, 2)
        assert torch.isfinite(answer).all()
        answer.square().sum().backward()
        assert all(torch.isfinite(p.grad).all() for p in fusion.parameters() if p.grad is not None)

    def test_values_of_a_missing_modality_are_ignored(self, spec: Any) -> None:
        fusion, weight = built(spec, ("a", "b", "c"), DIM).eval(), torch.randn(DIM, 2)
        tokens = opinions_in(PATTERNS)
        other = {n: Tokens(t.values.nan_to_num(nan=1e6), t.mask) for n, t in tokens.items()}
        torch.testing.assert_close(decided(fusion, tokens, weight), decided(fusion, other, weight))

    def test_padding_is_ignored(self, spec: Any) -> None:
        fusion, weight = built(spec, ("a", "b", "c"), DIM).eval(), torch.randn(DIM, 2)
        tokens = opinions_in(PATTERNS)
        padded = {
            n: Tokens(nn.functional.pad(t.values, (0, 0, 0, 3), value=7.0), nn.functional.pad(t.mask, (0, 3)))
            for n, t in tokens.items()
        }
        torch.testing.assert_close(decided(fusion, tokens, weight), decided(fusion, padded, weight))

    def test_a_modality_without_token_columns_is_missing(self, spec: Any) -> None:
        fusion, weight = built(spec, ("a", "b", "c"), DIM).eval(), torch.randn(DIM, 2)
        tokens = opinions_in(torch.tensor([[True, False, True]]))
        empty = {**tokens, "b": Tokens(torch.zeros(1, 0, DIM), torch.zeros(1, 0, dtype=torch.bool))}
        torch.testing.assert_close(decided(fusion, tokens, weight), decided(fusion, empty, weight))

    def test_the_order_of_modalities_does_not_matter(self, spec: Any) -> None:
        fusion, weight = built(spec, ("a", "b", "c"), DIM).eval(), torch.randn(DIM, 2)
        tokens = opinions_in(PATTERNS)
        reordered = {n: tokens[n] for n in ("c", "a", "b")}
        torch.testing.assert_close(decided(fusion, tokens, weight), decided(fusion, reordered, weight))

    def test_patients_are_independent(self, spec: Any) -> None:
        fusion, weight = built(spec, ("a", "b", "c"), DIM).eval(), torch.randn(DIM, 2)
        tokens = opinions_in(PATTERNS)
        alone = {n: Tokens(t.values[5:6], t.mask[5:6]) for n, t in tokens.items()}
        torch.testing.assert_close(decided(fusion, tokens, weight)[5:6], decided(fusion, alone, weight))

    def test_every_parameter_learns(self, spec: Any) -> None:
        fusion, weight = built(spec, ("a", "b", "c"), DIM).train(), torch.randn(DIM, 2)
        answer = decided(fusion, opinions_in(PATTERNS.repeat(8, 1)), weight)
        (answer * torch.randn(answer.shape)).sum().backward()
        assert not [n for n, p in fusion.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]

    def test_every_modality_matters(self, spec: Any) -> None:
        fusion, weight = built(spec, ("a", "b", "c"), DIM).eval(), torch.randn(DIM, 2)
        full = opinions_in(torch.ones(1, 3, dtype=torch.bool))
        for modality in full:
            moved = {**full, modality: Tokens(full[modality].values + 1.0, full[modality].mask)}
            assert (decided(fusion, full, weight) - decided(fusion, moved, weight)).abs().max() > 1e-4

    def test_one_modality_is_enough(self, spec: Any) -> None:
        fusion = built(spec, ("a",), DIM).eval()
        tokens = {"a": opinions_in(PATTERNS)["a"]}
        assert torch.isfinite(decided(fusion, tokens, torch.randn(DIM, 1))).all()

    def test_survives_json(self, spec: Any) -> None:
        adapter = TypeAdapter(AnyFusion)
        assert adapter.validate_json(adapter.dump_json(spec)) == spec


N = 12
RANDOM = np.random.default_rng(0)
GRADES = ("low", "middle", "high")
TOLD = np.arange(3 * N).reshape(N, 3) % 4 > 0
TARGETS = {
    "classes": TargetValues(
        Classes("c", classes=GRADES, ordered=True), {"label": np.arange(N) % 3}, np.arange(N) != 5, GRADES
    ),
    "labels": TargetValues(
        Labels(("a", "b", "c")),
        {"label": RANDOM.integers(0, 2, (N, 3)), "told": TOLD},
        np.arange(N) != 5,
        ("a", "b", "c"),
    ),
    "survival": TargetValues(
        Survival("t", "e"), {"time": RANDOM.uniform(1, 9, N).round(), "event": np.arange(N) % 2}, np.arange(N) != 5
    ),
    "competing": TargetValues(
        CompetingRisks("t", "e", ("a", "b")),
        {"time": RANDOM.uniform(1, 9, N).round(), "event": np.arange(N) % 3},
        np.arange(N) != 5,
        ("a", "b"),
    ),
    "number": TargetValues(Number("v"), {"value": RANDOM.normal(50, 7, N)}, np.arange(N) != 5),
}


def truth(values: TargetValues) -> Truth:
    return Truth({n: torch.as_tensor(v) for n, v in values.fields.items()}, torch.as_tensor(values.known))


@pytest.mark.parametrize("spec", HEADS)
class TestHead:
    def test_loss_is_finite_and_every_parameter_learns(self, spec: Any) -> None:
        values = TARGETS[spec.answers]
        head = built(spec, values, DIM)
        loss = head.loss(head(torch.randn(N, 1, DIM))[:, 0], truth(values))
        loss.backward()
        assert torch.isfinite(loss)
        assert not [n for n, p in head.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]

    def test_unknown_truths_do_not_count(self, spec: Any) -> None:
        values = TARGETS[spec.answers]
        head, opinions = built(spec, values, DIM).eval(), torch.randn(N, 1, DIM)
        before = head.loss(head(opinions)[:, 0], truth(values))
        opinions[5] += 100.0
        other = truth(values)
        for field in other.fields.values():
            field[5] = 1
        torch.testing.assert_close(before, head.loss(head(opinions)[:, 0], other))

    def test_nothing_known_gives_zero_loss_with_a_gradient(self, spec: Any) -> None:
        values = TARGETS[spec.answers]
        head = built(spec, values, DIM)
        nothing = Truth(truth(values).fields, torch.zeros(N, dtype=torch.bool))
        loss = head.loss(head(torch.randn(N, 1, DIM))[:, 0], nothing)
        loss.backward()
        assert loss.item() == 0

    def test_training_lowers_the_loss(self, spec: Any) -> None:
        values = TARGETS[spec.answers]
        head, opinions = built(spec, values, DIM), torch.randn(N, 1, DIM)
        optimiser = torch.optim.Adam(head.parameters(), lr=0.05)
        losses = []
        for _ in range(100):
            optimiser.zero_grad()
            loss = head.loss(head(opinions)[:, 0], truth(values))
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
        assert losses[-1] < 0.7 * losses[0]

    def test_predicts_per_patient(self, spec: Any) -> None:
        values = TARGETS[spec.answers]
        head = built(spec, values, DIM).eval()
        with torch.inference_mode():
            answers = head(torch.randn(N, 1, DIM))[:, 0].numpy()
        if isinstance(head, Settled):
            head.settle(answers, values)
        ids = np.array([f"P{i}" for i in range(N)], dtype=object)
        frame = head.predict(answers, ids).to_frame()
        assert frame.index.tolist() == ids.tolist()
        assert frame.select_dtypes("number").notna().all().all()

    @pytest.mark.parametrize("size", [1e-30, 1e4, 1e15])
    def test_answers_of_any_size_give_a_finite_loss_and_gradient(self, spec: Any, size: float) -> None:
        values = TARGETS[spec.answers]
        head = built(spec, values, DIM).eval()
        width = head(torch.randn(N, 1, DIM)).shape[-1]
        spread = torch.linspace(-size, size, N * width).reshape(N, width)
        for answers in (spread, spread.flip(0), torch.zeros(N, width)):
            asked = answers.clone().requires_grad_()
            loss = head.loss(asked, truth(values))
            (gradient,) = torch.autograd.grad(loss, asked)
            assert torch.isfinite(loss)
            assert torch.isfinite(gradient).all()

    def test_survives_json(self, spec: Any) -> None:
        adapter = TypeAdapter(AnyHead)
        assert adapter.validate_json(adapter.dump_json(spec)) == spec


def test_probabilities_are_refused_by_the_diagnosis_loss() -> None:
    from fusiondx.errors import ConfigError

    head, logits = built(Diagnosis(), TARGETS["classes"], DIM), torch.randn(N, 3)
    assert torch.isfinite(head.loss(logits, truth(TARGETS["classes"])))
    with pytest.raises(ConfigError, match="probabilities"):
        head.loss(logits.softmax(dim=1), truth(TARGETS["classes"]))


def test_modality_dropout_never_takes_the_last_modality() -> None:
    torch.manual_seed(0)
    inputs = {"a": items("table", list(range(50)), 100), "b": items("table", list(range(25, 75)), 100)}
    dropped = drop_modalities(inputs, 0.9)
    before = torch.stack([i.present for i in inputs.values()]).any(dim=0)
    after = torch.stack([i.present for i in dropped.values()])
    assert torch.equal(after.any(dim=0), before)
    assert after.sum() < torch.stack([i.present for i in inputs.values()]).sum()
