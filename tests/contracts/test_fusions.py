"""What a fusion promises beyond what all components do: sets, where it looked, settings, missing modalities."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

import fusiondx as fdx
from fusiondx.core.components import Attending
from fusiondx.core.tokens import Tokens
from fusiondx.errors import ConfigError
from fusiondx.experiment.file import read_experiment
from fusiondx.fusion import AnyFusion

DIM, TOKENS = 8, 3
NAMES = ("a", "b", "c")
FUSIONS = [pytest.param(member(), id=member.kind) for member in get_args(get_args(AnyFusion)[0])]
PATTERNS = torch.tensor([[bool(p & 1), bool(p & 2), bool(p & 4)] for p in range(8)])
NOTHING, EVERYTHING = 0, 7


def built(spec: Any, names: tuple[str, ...] = NAMES) -> Any:
    torch.manual_seed(0)
    return spec.build(names, DIM).eval()


ATTENDING = [param for param in FUSIONS if isinstance(built(param.values[0]), Attending)]


def sets(present: Tensor = PATTERNS) -> dict[str, Tokens]:
    """Three tokens per modality a patient has, NaN elsewhere; of those of 'c' the last is padding."""
    random = torch.Generator().manual_seed(1)
    found = {}
    for column, name in enumerate(NAMES):
        values = torch.randn(len(present), TOKENS, DIM, generator=random)
        mask = present[:, column : column + 1].repeat(1, TOKENS)
        mask[:, 2] &= name != "c"
        found[name] = Tokens(values.masked_fill(~mask.unsqueeze(2), float("nan")), mask)
    return found


@pytest.mark.parametrize("spec", FUSIONS)
def test_a_modality_is_a_set_the_order_of_its_tokens_does_not_matter(spec: Any) -> None:
    fusion, tokens = built(spec), sets()
    turned = {name: Tokens(t.values.flip(1), t.mask.flip(1)) for name, t in tokens.items()}
    torch.testing.assert_close(fusion(turned).kept, fusion(tokens).kept)


@pytest.mark.parametrize("spec", ATTENDING)
def test_where_it_looked_is_kept_for_explanation(spec: Any) -> None:
    fusion, tokens = built(spec), sets()
    fusion(tokens)
    assert set(fusion.attention) <= set(NAMES)
    total = torch.zeros(len(PATTERNS))
    for name, weights in fusion.attention.items():
        assert weights.shape[0] == len(PATTERNS)
        assert weights.shape[2] == TOKENS
        assert not weights.requires_grad
        assert (weights >= 0).all()
        assert torch.equal((weights > 0).any(dim=1), tokens[name].mask)
        total += weights.sum(dim=(1, 2))
    assert total[NOTHING] == 0
    assert total[EVERYTHING] > 0


def test_attention_is_shared_out_over_all_that_a_patient_has() -> None:
    fusion = built(fdx.Attention())
    fusion(sets())
    total = torch.cat(list(fusion.attention.values()), dim=2).sum(dim=2)
    torch.testing.assert_close(total[1:], torch.ones(7, 4))


@pytest.mark.parametrize("query", [None, *NAMES])
def test_any_modality_may_query(query: str | None) -> None:
    fusion = built(fdx.CoAttention(query=query))
    opinion = fusion(sets()).values
    assert torch.isfinite(opinion).all()
    assert set(fusion.attention) == set(NAMES) - {query or "a"}


def test_where_the_querying_modality_is_missing_a_learnt_token_asks() -> None:
    fusion, tokens = built(fdx.CoAttention(query="a")), sets()
    fusion(tokens)
    lacks = ~PATTERNS[:, 0] & PATTERNS[:, 1]
    asked = fusion.attention["b"].sum(dim=2)
    assert (asked[lacks, :-1] == 0).all()
    torch.testing.assert_close(asked[lacks, -1], torch.ones(int(lacks.sum())))
    assert (asked[PATTERNS[:, 0], -1] == 0).all()


def test_what_patients_without_the_querying_modality_have_still_counts() -> None:
    fusion, tokens = built(fdx.CoAttention(query="a")), sets(torch.tensor([[False, True, True]]))
    before = fusion(tokens).values
    for name in ("b", "c"):
        moved = {**tokens, name: Tokens(tokens[name].values * 2, tokens[name].mask)}
        assert (fusion(moved).values - before).abs().max() > 1e-4


def test_a_querying_modality_that_is_not_there_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"fusion\.query.*'omisc'.*Did you mean 'omics'"):
        fdx.CoAttention(query="omisc").build(("clinical", "omics"), DIM)
    alone = {"clinical": sets()["a"]}  # a modality alone beside the fusion model has nobody to ask
    assert torch.isfinite(built(fdx.CoAttention(query="omics"), ("clinical",))(alone).values).all()


def test_a_product_too_large_is_refused_before_memory_is_asked_for() -> None:
    with pytest.raises(ConfigError, match="low_rank"):
        fdx.Kronecker().build(tuple("abcdef"), DIM)


@pytest.mark.parametrize("spec", [fdx.Attention(), fdx.Bottleneck(), fdx.CoAttention(heads=4)])
def test_heads_that_do_not_divide_the_width_are_refused(spec: Any) -> None:
    with pytest.raises(ConfigError, match=r"4 attention heads .* dim of 10"):
        spec.build(NAMES, 10)


def test_experts_share_every_patient_out_by_what_they_have() -> None:
    fusion = built(fdx.Experts(experts=3))
    # tokens that show nothing but that they are there: a missing modality is stood in for by zeros before training
    fusion({name: Tokens(torch.zeros(8, 1, DIM), PATTERNS[:, c : c + 1]) for c, name in enumerate(NAMES)})
    torch.testing.assert_close(fusion.routes.sum(dim=1), torch.ones(8))
    assert len({round(float(route), 4) for route in fusion.routes[:, 0]}) == 8


# -- whole models ---------------------------------------------------------------------------------------------------

BRIEF = fdx.Training(epochs=1, batch_size=16, validation=0)


def incomplete(patients: int = 36) -> fdx.Cohort:
    """Three tables; every third patient lacks the second, every fourth the third, and P0 has nothing at all."""
    random = np.random.default_rng(0)
    table = pd.DataFrame(random.normal(size=(patients, 3)), columns=["x", "y", "z"])
    table.loc[::3, "y"] = np.nan
    table.loc[::4, "z"] = np.nan
    table.loc[0] = np.nan
    table = table.assign(patient_id=[f"P{row}" for row in range(patients)], label=np.resize(["no", "yes"], patients))
    tables = {name: fdx.Table(numeric=(name,)) for name in ("x", "y", "z")}
    return fdx.Cohort.from_frame(table, modalities=tables, targets={"label": fdx.Classes("label")})


@pytest.mark.parametrize("spec", FUSIONS)
def test_a_name_means_the_defaults_in_python_and_in_yaml(spec: Any, tmp_path: Path) -> None:
    (tmp_path / "experiment.yaml").write_text(
        f"cohort: c.yaml\nsplit: {{test: 0.2}}\nmodel: {{fusion: {spec.kind}, dim: 8, training: {{epochs: 1}}}}\n"
    )
    patients = incomplete()
    by_name = fdx.FusionModel(fusion=spec.kind, dim=8, training=BRIEF).fit(patients)
    written = read_experiment(tmp_path / "experiment.yaml").build()
    assert isinstance(written, fdx.FusionModel)
    assert written.fusion == spec == by_name.specs_[1]
    probability = by_name.predict_proba(patients)
    assert np.isfinite(probability).all()
    assert np.array_equal(
        probability, fdx.FusionModel(fusion=spec, dim=8, training=BRIEF).fit(patients).predict_proba(patients)
    )


@pytest.mark.parametrize("spec", FUSIONS)
def test_a_modality_may_be_missing_altogether_when_predicting(spec: Any) -> None:
    patients = incomplete()
    model = fdx.FusionModel(fusion=spec, dim=8, training=BRIEF).fit(patients)
    for kept in (["x"], ["y"], ["z"], ["y", "z"]):
        assert np.isfinite(model.predict_proba(patients.select(modalities=kept))).all()
