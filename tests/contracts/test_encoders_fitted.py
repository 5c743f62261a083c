"""Does a model train, save and load with each table encoder named in YAML, and pay the penalty it should?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

import fusiondx as fdx

ONE_STEP = fdx.Training(epochs=1, batch_size=64, validation=0, modality_dropout=0)


def cohort() -> fdx.Cohort:
    random = np.random.default_rng(0)
    table = pd.DataFrame(random.normal(size=(40, 3)), columns=["x", "y", "z"])
    table = table.assign(
        patient_id=[f"{row:03d}" for row in range(40)],
        stage=random.choice(["I", "II", "III"], 40),
        label=np.where(table["x"] > 0, "yes", "no"),
    )
    modalities = {"left": fdx.Table(numeric=("x", "y"), categorical=("stage",)), "right": fdx.Table(numeric=("z",))}
    return fdx.Cohort.from_frame(table, modalities=modalities, targets={"label": fdx.Classes("label", ("no", "yes"))})


@pytest.mark.parametrize(
    "text", ["tabnet", "{kind: tabnet, steps: 2}", "fttransformer", "{kind: fttransformer, tokens: features}"]
)
def test_named_in_yaml_trained_saved_and_loaded(text: str, tmp_path: Path) -> None:
    patients = cohort()
    model = fdx.FusionModel(encoders={"left": yaml.safe_load(text)}, dim=8, training=ONE_STEP).fit(patients)
    model.save(tmp_path / "model")
    expected = model.predict(patients)["label"].to_frame()
    pd.testing.assert_frame_equal(
        fdx.FusionModel.load(tmp_path / "model").predict(patients)["label"].to_frame(), expected
    )
    assert expected.select_dtypes("number").notna().all().all()


def first_loss(sparsity: float) -> float:
    model = fdx.FusionModel(encoders={"left": fdx.TabNet(sparsity=sparsity)}, dim=8, training=ONE_STEP)
    return float(model.fit(cohort()).history_["train_loss"].iloc[0])


def test_the_training_loss_holds_the_penalty() -> None:
    none, once, twice = (first_loss(sparsity) for sparsity in (0.0, 1.0, 2.0))
    assert once - none > 0.01
    assert twice - none == pytest.approx(2 * (once - none), rel=1e-3)
