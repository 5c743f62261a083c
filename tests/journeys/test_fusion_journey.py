"""Does fusion learn what it should and nothing else? Cohorts whose truth is known.

Margins were looked at over five seeds each: fusion beats the best single modality of the simulated cohort by 0.03 to
0.10 (concordance) and 0.03 to 0.13 (AUROC); an exclusive or is learnt with AUROC 1.00 throughout.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import fusiondx as fdx
from fusiondx import choices
from fusiondx.core.components import EarlyFusion, Fusion, LateFusion
from fusiondx.data.synthetic import simulate, simulate_null, simulate_xor
from fusiondx.evaluation.score import score, score_one
from fusiondx.fusion import AnyFusion

XOR = fdx.Training(epochs=30, batch_size=32, learning_rate=0.003, patience=12)


@pytest.fixture(scope="module")
def exclusive_or() -> tuple[fdx.Cohort, fdx.Cohort]:
    return simulate_xor(600).split(0.6, seed=0)


def auroc(train: fdx.Cohort, test: fdx.Cohort, **settings: Any) -> float:
    return fdx.FusionModel(dim=16, training=XOR, **settings).fit(train).score(test)


def fusions(contract: type[Fusion]) -> list[str]:
    """Those that keep a contract, by name."""
    return [kind for kind in choices.kinds(AnyFusion) if isinstance(choices.fusion(kind).build(("a",), 8), contract)]


@pytest.mark.parametrize("fusion", fusions(EarlyFusion))
def test_early_fusion_learns_an_exclusive_or(exclusive_or: tuple[fdx.Cohort, fdx.Cohort], fusion: str) -> None:
    assert auroc(*exclusive_or, fusion=fusion) >= 0.9


@pytest.mark.parametrize("fusion", fusions(LateFusion))
def test_late_fusion_cannot_learn_an_exclusive_or(exclusive_or: tuple[fdx.Cohort, fdx.Cohort], fusion: str) -> None:
    assert auroc(*exclusive_or, fusion=fusion) == pytest.approx(0.5, abs=0.1)


def test_every_fusion_is_early_or_late() -> None:
    assert sorted(fusions(EarlyFusion) + fusions(LateFusion)) == sorted(choices.kinds(AnyFusion))


@pytest.mark.parametrize("alone", ["left", "right"])
def test_one_modality_cannot_learn_an_exclusive_or(exclusive_or: tuple[fdx.Cohort, fdx.Cohort], alone: str) -> None:
    train, test = (part.select(modalities=[alone]) for part in exclusive_or)
    assert auroc(train, test) == pytest.approx(0.5, abs=0.1)


def test_where_there_is_nothing_to_learn_intervals_cover_chance() -> None:
    """Of ten 95 % intervals one may miss, rarely two."""
    covered = []
    for seed in range(5):
        train, test = simulate_null(400, seed=seed).split(0.5, seed=seed)
        found = fdx.FusionModel(dim=8, training=fdx.Training(epochs=5), seed=seed).fit(train).predict(test)
        for name, prediction in found.items():
            estimate = score([(prediction, test.targets[name])], replicates=300)[0]
            covered.append(estimate.low <= 0.5 <= estimate.high)
    assert len(covered) == 10
    assert sum(covered) >= 8


ENCODERS = {"image": fdx.ConvNet(channels=(8,)), "omics": fdx.SNN(hidden=(32,), input_dropout=0.2)}
FEW = fdx.Training(epochs=25, batch_size=32, learning_rate=0.005, patience=10)


def test_fusion_of_image_table_and_omics_beats_each_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUSIONDX_CACHE", str(tmp_path / "cache"))
    written = simulate(tmp_path / "cohort", patients=500, missing=0.1, image_size=16)
    train, test = fdx.Cohort.read(written).split(0.4, seed=0)

    def held_out(*modalities: str) -> dict[str, float]:
        encoders = {name: spec for name, spec in ENCODERS.items() if name in modalities}
        model = fdx.FusionModel(encoders=encoders, dim=16, training=FEW).fit(train.select(modalities=modalities))
        found = model.predict(test.select(modalities=modalities))
        return {name: score_one(prediction, test.targets[name]) for name, prediction in found.items()}

    fused = held_out("clinical", "omics", "image")
    alone = [held_out(name) for name in ("clinical", "omics", "image")]
    for target in ("survival", "diagnosis"):
        assert fused[target] > max(single[target] for single in alone) + 0.02


def test_every_fusion_model_is_compared_with_every_other_contender() -> None:
    from fusiondx.data.synthetic import simulate_null
    from fusiondx.model import FusionModel
    from fusiondx.training import Training
    from fusiondx.validation import cross_validate

    brief = Training(epochs=1, validation=0)
    models = {fusion: FusionModel(fusion=fusion, training=brief) for fusion in ("gated", "mean")}
    report = cross_validate(models, simulate_null(40, seed=0), 2, replicates=20)
    others = {result.model for result in report.results}
    for model in models:
        versus = report.differences.loc[report.differences["model"] == model, "versus"]
        assert set(versus) == others - {model}
