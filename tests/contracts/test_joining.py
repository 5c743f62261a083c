"""Tables read side by side by one encoder (``clinical+omics``): early fusion at the input."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest
import torch

import fusiondx as fdx
from fusiondx.core.batch import Items
from fusiondx.core.components import ImageShape, TableShape
from fusiondx.core.joining import beside, shape_beside
from fusiondx.data.synthetic import simulate_xor
from fusiondx.encoders import AnyEncoder
from fusiondx.errors import ConfigError, DataError, FusionDxWarning
from fusiondx.experiment.file import read_experiment
from fusiondx.validation import confined, cross_validate

BRIEF = fdx.Training(epochs=2, batch_size=16)
READERS = [pytest.param(m(), id=m.kind) for m in get_args(get_args(AnyEncoder)[0]) if "table" in m.accepts]


def table(owners: list[int], numeric: list[float], codes: list[int], patients: int = 4) -> Items:
    fields = {"numeric": torch.tensor(numeric).view(-1, 1), "codes": torch.tensor(codes).view(-1, 1)}
    return Items(fields, torch.tensor(owners), patients)


def test_a_row_for_everybody_who_has_any_and_a_word_on_what_is_lacking() -> None:
    """By hand: P0 has both, P1 the first, P2 nothing, P3 the second."""
    joined = beside({"a": table([0, 1], [1.0, 2.0], [1, 2]), "b": table([0, 3], [3.0, 4.0], [5, 6])})
    assert joined.patient.tolist() == [0, 1, 3]
    assert joined.present.tolist() == [True, True, False, True]
    assert joined.fields["numeric"].tolist() == [[1, 3, 0, 0], [2, 0, 0, 1], [0, 4, 1, 0]]
    assert joined.fields["codes"].tolist() == [[1, 5], [2, 0], [0, 6]]
    shape = shape_beside({"a": TableShape(("x",), (3,)), "b": TableShape(("y",), (7,))})
    assert shape == TableShape(("x", "y", "a missing", "b missing"), (3, 7))


def test_several_rows_of_a_patient_and_anything_but_tables_are_refused() -> None:
    with pytest.raises(DataError, match="'b' has several rows"):
        beside({"a": table([0], [1.0], [1]), "b": table([1, 1], [1.0, 2.0], [1, 1])})
    with pytest.raises(ConfigError, match="'mri' is no table"):
        shape_beside({"a": TableShape(("x",)), "mri": ImageShape(1, (8, 8))})


def patients(count: int = 48) -> fdx.Cohort:
    """Three tables, the second with a category; every third patient lacks the second, P0 the first two."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame(random.normal(size=(count, 4)), columns=["age", "g1", "g2", "size"])
    frame = frame.assign(
        patient_id=[f"P{row}" for row in range(count)],
        mutated=random.choice(["no", "yes"], count),
        label=np.where(frame["age"] + frame["g1"] > 0, "yes", "no"),
    )
    frame.loc[::3, ["g1", "g2", "mutated"]] = None
    frame.loc[0, "age"] = None
    modalities = {
        "clinical": fdx.Table(numeric=("age",)),
        "omics": fdx.Table(numeric=("g1", "g2"), categorical=("mutated",)),
        "lesion": fdx.Table(numeric=("size",)),
    }
    return fdx.Cohort.from_frame(frame, modalities=modalities, targets={"label": fdx.Classes("label", ("no", "yes"))})


@pytest.fixture(scope="module")
def everyone() -> fdx.Cohort:
    return patients()


def model(**settings: Any) -> fdx.FusionModel:
    return fdx.FusionModel(**{"encoders": {"clinical+omics": "mlp"}, "dim": 8, "training": BRIEF, **settings})


@pytest.mark.parametrize("reader", READERS)
def test_every_encoder_of_tables_reads_several_and_comes_back(
    everyone: fdx.Cohort, tmp_path: Path, reader: Any
) -> None:
    fitted = model(encoders={"clinical+omics": reader}).fit(everyone)
    assert list(fitted.networks_[0].encoders) == ["clinical+omics", "lesion"]
    said = fitted.predict_proba(everyone)
    assert np.isfinite(said).all()
    loaded = fdx.FusionModel.load(fitted.save(tmp_path / "model"))
    assert np.array_equal(said, loaded.predict_proba(everyone))


@pytest.mark.parametrize("kept", [["clinical"], ["omics"], ["lesion"], ["omics", "lesion"]])
def test_any_of_them_may_be_missing_when_predicting(everyone: fdx.Cohort, kept: list[str]) -> None:
    fitted = model().fit(everyone)
    assert np.isfinite(fitted.predict_proba(everyone.select(modalities=kept))).all()


def test_what_is_missing_and_what_is_the_mean_are_told_apart(everyone: fdx.Cohort) -> None:
    fitted = model(training=BRIEF.replace(epochs=20, learning_rate=0.02)).fit(everyone)
    frame = pd.DataFrame({"patient_id": ["mean"], "g1": [0.0], "g2": [0.0], "mutated": [None], "age": [1.0]})
    tables = {"clinical": fdx.Table(numeric=("age",)), "omics": everyone.modalities["omics"].spec}
    frame[["g1", "g2"]] = fitted.preparations_["omics"].mean
    one = fdx.Cohort.from_frame(frame, modalities=tables)
    both, without = fitted.predict_proba(one), fitted.predict_proba(one.select(modalities=["clinical"]))
    assert np.abs(both - without).max() > 1e-4


def test_the_order_of_patients_and_their_company_do_not_matter(everyone: fdx.Cohort) -> None:
    fitted = model().fit(everyone)
    whole, order = fitted.predict_proba(everyone), np.random.default_rng(0).permutation(len(everyone))
    np.testing.assert_allclose(fitted.predict_proba(everyone[order]), whole[order], atol=1e-5)
    for patient in (0, 1, 3):
        np.testing.assert_allclose(fitted.predict_proba(everyone[[patient]]), whole[[patient]], atol=1e-5)


@pytest.mark.parametrize("fusion", ["concat", "mean"])
def test_an_exclusive_or_of_two_tables_is_learnt_whatever_the_fusion(fusion: str) -> None:
    train, test = simulate_xor(600).split(0.6, seed=0)
    training = fdx.Training(epochs=30, batch_size=32, learning_rate=0.01, patience=12)
    joint = fdx.FusionModel(encoders={"left+right": "mlp"}, fusion=fusion, dim=16, training=training)
    assert joint.fit(train).score(test) >= 0.9


def test_a_table_nobody_has_leaves_the_others(everyone: fdx.Cohort) -> None:
    lacking = everyone[np.flatnonzero(~everyone.modalities["omics"].present)]
    with pytest.warns(FusionDxWarning, match="'omics'"):
        fitted = model(training=BRIEF.replace(validation=0)).fit(lacking)
    assert list(fitted.networks_[0].encoders) == ["clinical", "lesion"]


@pytest.mark.parametrize(
    ("encoders", "message"),
    [
        ({"clinical+omisc": "mlp"}, r"encoders: .* no modality 'omisc'.*Did you mean 'omics'"),
        ({"clinical+omics": "mlp", "omics": "snn"}, "'omics' is read more than once"),
        ({"clinical+clinical": "mlp"}, "'clinical' is read more than once"),
        ({"clinical+omics": "convnet"}, r"encoders\.clinical\+omics: .* reads image"),
    ],
)
def test_what_cannot_be_read_together_is_refused(everyone: fdx.Cohort, encoders: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        model(encoders=encoders).fit(everyone)


def test_a_table_with_times_of_observation_keeps_an_encoder_of_its_own() -> None:
    frame = pd.DataFrame(
        {"patient_id": list("abcd"), "age": range(4), "lab": [3, 1, 4, 2], "day": 0.0, "y": list("nyny")}
    )
    tables = {"clinical": fdx.Table(numeric=("age",)), "labs": fdx.Table(numeric=("lab",), time="day")}
    timed = fdx.Cohort.from_frame(frame, modalities=tables, targets={"y": fdx.Classes("y")})
    with pytest.raises(ConfigError, match=r"encoders\.clinical\+labs: 'labs' has times"):
        model(encoders={"clinical+labs": "mlp"}).fit(timed)


def test_yaml_says_it_the_same_way(tmp_path: Path) -> None:
    written = "cohort: c.yaml\nsplit: {test: 0.2}\nmodel: {encoders: {clinical+omics: {kind: mlp, hidden: [8]}}}\n"
    (tmp_path / "experiment.yaml").write_text(written)
    made = read_experiment(tmp_path / "experiment.yaml").build()
    assert isinstance(made, fdx.FusionModel)
    assert made.encoders == {"clinical+omics": fdx.MLP(hidden=(8,))}


def test_each_modality_alone_stands_beside_it_with_the_same_encoder(everyone: fdx.Cohort) -> None:
    training = BRIEF.replace(epochs=1, validation=0)
    report = cross_validate(model(training=training), everyone, 2, replicates=20)
    assert {"clinical alone", "omics alone", "lesion alone"} <= {result.model for result in report.results}
    assert confined(model(), "omics", everyone.modalities).encoders == {"omics": "mlp"}
    assert confined(model(), "lesion", everyone.modalities).encoders is None
