"""Tuning, the bootstrap and external validation, from a model to what a reader is told."""

import warnings

import numpy as np
import pandas as pd
import pytest

import fusiondx as fdx
from fusiondx.core.predictions import ClassPrediction, NumberPrediction, SurvivalPrediction
from fusiondx.core.targets import Classes, Number, Survival, TargetValues
from fusiondx.data.resampling import drawn
from fusiondx.errors import ConfigError, DataError
from fusiondx.validation.bootstrap import weighed
from fusiondx.validation.recalibration import recalibrated

QUICK = fdx.Training(epochs=2, validation=0)


def frame(n=90, seed=0):
    rng = np.random.default_rng(seed)
    age, marker = rng.normal(60, 10, n), rng.normal(size=n)
    return pd.DataFrame(
        {
            "patient_id": [f"{seed}-{i:03d}" for i in range(n)],
            "age": age,
            "marker": marker,
            "sex": rng.choice(["f", "m"], n),
            "label": np.where(marker + rng.normal(size=n) > 0, "bad", "good"),
        }
    )


def cohort(table, numeric=("age", "marker"), categorical=("sex",)):
    modalities = {"clinical": fdx.Table(numeric=numeric, categorical=categorical)}
    return fdx.Cohort.from_frame(table, modalities=modalities, targets={"label": fdx.Classes("label", ("good", "bad"))})


@pytest.fixture(scope="module")
def model():
    return fdx.FusionModel(dim=8, training=QUICK).fit(cohort(frame()))


def test_nested_tuning_is_of_the_training_patients_only():
    told = fdx.nested_cross_validate(
        fdx.FusionModel(dim=8, training=QUICK), {"dim": [4, 8]}, cohort(frame(60)), 2, inner=2, replicates=20
    )
    assert told.results[0].model == "tuned fusion (gated)"
    assert sum("chose {'dim':" in note for note in told.notes) == 2
    assert set(told.differences["versus"]) == {result.model for result in told.results if result.role == "baseline"}
    assert (told.differences["p_holm"] >= told.differences["p"]).all()


def test_a_tuned_model_keeps_what_it_tried():
    tuned = fdx.Tuned(fdx.FusionModel(training=QUICK), {"dim": [4, 8]}, folds=2).fit(cohort(frame(60)))
    assert tuned.model_.dim == tuned.best_params_["dim"]
    assert len(tuned.scores_) == 2
    assert tuned.scores_["score"].max() == tuned.scores_["score"][[4, 8].index(tuned.best_params_["dim"])]
    assert len(tuned.predict(cohort(frame(10, 1)))["label"]) == 10


def test_patients_drawn_twice_have_two_names():
    whole = cohort(frame(20))
    again = drawn(whole, np.array([3, 1, 3, 3]))
    assert list(again.ids) == ["0-003", "0-001", "0-003~2", "0-003~3"]
    np.testing.assert_array_equal(again.y(), whole.y()[[3, 1, 3, 3]])


def test_the_bootstrap_lies_between_chance_and_what_is_apparent():
    trained = fdx.Training(epochs=30, validation=0, learning_rate=0.01)
    whole, untrained = cohort(frame(60)), fdx.FusionModel(dim=8, training=trained)
    found = fdx.bootstrap_632plus(untrained, whole, replicates=4)
    apparent = fdx.evaluate(
        untrained.fit(whole), cohort(frame(60, 0).assign(patient_id=[f"Q{i}" for i in range(60)])), baselines=False
    )
    assert 0.5 <= found.value <= apparent.results[0].estimates[0].value
    assert found.low <= found.value <= found.high
    numbers = fdx.Cohort.from_frame(
        frame(), modalities={"t": fdx.Table(numeric=("age",))}, targets={"m": fdx.Number("marker")}
    )
    with pytest.raises(ConfigError, match="is for AUROC and C-index"):
        fdx.bootstrap_632plus(untrained, numbers)


def test_external_validation_says_what_lacks_and_what_moved(model):
    other = frame(80, 1).assign(age=lambda t: t.age + 20, sex="x").drop(columns="marker").assign(extra=1.0)
    lacking = cohort(other.assign(extra=np.arange(80.0)), numeric=("age", "extra"))
    with pytest.raises(DataError, match=r"'clinical' \(2 of 3\)"):
        fdx.external_validate(model, lacking)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = fdx.external_validate(model, lacking, coverage=0.5, replicates=20)
    assert found.coverage.to_dict("records") == [
        {"modality": "clinical", "needed": 3, "present": 2, "coverage": 2 / 3, "absent": "marker"}
    ]
    shift = found.shift.set_index("column")
    assert 1.5 < shift.loc["age", "shift"] < 2.7
    assert shift.loc["marker", "missing"] == 1.0
    assert shift.loc["sex", "unseen"] == 1.0
    notes = " ".join(found.report.notes)
    for said in ("2 of 3 columns", "clinical.age (+", "clinical.sex (100%)"):
        assert said in notes


def test_external_validation_refuses_training_patients_and_odd_settings(model):
    with pytest.raises(DataError, match="took part in training"):
        fdx.external_validate(model, cohort(frame()))
    for settings in ({"coverage": 0.0}, {"recalibrate": "all"}):
        with pytest.raises(ConfigError, match="Give coverage"):
            fdx.external_validate(model, cohort(frame(20, 1)), **settings)


def test_external_validation_is_of_a_fitted_fusion_model(model):
    tuned = fdx.Tuned(model, {"dim": [4]}, folds=2).fit(cohort(frame(40)))
    for other in (fdx.FusionModel(), tuned):
        with pytest.raises(ConfigError, match="of a fitted FusionModel"):
            fdx.external_validate(other, cohort(frame(20, 1)))


def asking(table, **targets):
    return fdx.Cohort.from_frame(table, modalities={"clinical": fdx.Table(numeric=("marker",))}, targets=targets)


def test_a_model_is_judged_on_the_targets_there_are():
    label, age = fdx.Classes("label", ("good", "bad")), fdx.Number("age")
    both = fdx.FusionModel(dim=8, training=QUICK).fit(asking(frame(), label=label, years=age))
    elsewhere = frame(30, 1)
    assert fdx.evaluate(both, asking(elsewhere, years=age), replicates=5).targets == ("years",)
    assert fdx.external_validate(both, asking(elsewhere, label=label), replicates=5).report.targets == ("label",)
    for other in (asking(elsewhere), asking(elsewhere, size=age)):
        with pytest.raises(DataError, match="no target that the model predicts: label, years"):
            fdx.evaluate(both, other)


def test_labels_that_the_cohort_lacks_are_told():
    table = frame().assign(one=np.resize([0, 1], 90), two=np.resize([0, 1, 1], 90))
    model = fdx.FusionModel(dim=8, training=QUICK).fit(asking(table, found=fdx.Labels(("one", "two"))))
    other = table.assign(patient_id="other " + table["patient_id"])
    with pytest.raises(DataError, match="'two' was predicted, which is none of one"):
        fdx.evaluate(model, asking(other, found=fdx.Labels(("one",))))


@pytest.mark.parametrize("name", ["clinical alone", "clinical (logistic regression)"])
def test_a_model_called_as_a_baseline_is_refused(name):
    modalities = {"clinical": fdx.Table(numeric=("age",)), "lab": fdx.Table(numeric=("marker",))}
    two = fdx.Cohort.from_frame(frame(), modalities=modalities, targets={"label": fdx.Classes("label")})
    with pytest.raises(ConfigError, match="may not be called as a baseline"):
        fdx.cross_validate({name: fdx.FusionModel(training=QUICK)}, two, 2)
    report = fdx.cross_validate({name: fdx.FusionModel(training=QUICK)}, two, 2, baselines=False, replicates=5)
    assert [result.model for result in report.results] == [name]


def test_fewer_permutations_than_none_are_refused():
    with pytest.raises(ConfigError, match="permutations=-1"):
        fdx.cross_validate(fdx.FusionModel(training=QUICK), cohort(frame(20)), 2, permutations=-1)


def test_folds_as_masks_or_counted_from_the_end_are_audited_as_such():
    first = np.arange(90) < 45
    told = [
        fdx.cross_validate(
            fdx.FusionModel(dim=8, training=QUICK), cohort(frame()), folds, baselines=False, replicates=5
        ).audit.set_index("code")["message"]["FDX001"]
        for folds in ([(first, ~first)], [(np.arange(90), np.arange(-45, 0))])
    ]
    assert pd.isna(told[0])
    assert told[1].startswith("45 patients both trained and tested on")


def test_recalibration_needs_five_patients_whose_truth_is_known(model):
    few = frame(30, 1)
    few.loc[4:, "label"] = None
    with pytest.raises(ConfigError, match="of five patients or more"):
        fdx.external_validate(model, cohort(few), recalibrate="slope")


def test_recalibration_stands_beside_the_frozen_model(model):
    found = fdx.external_validate(model, cohort(frame(80, 1)), recalibrate="slope", replicates=20)
    names = [result.model for result in found.report.results]
    assert names == ["fusion (gated)", "fusion (gated), recalibrated (slope)"]
    assert "cross-fitted" in " ".join(found.report.notes)


def test_recalibration_meets_the_frequency_and_leaves_the_true_odds():
    rng = np.random.default_rng(0)
    odds = rng.normal(-1, 1.5, 4000)
    yes = (rng.random(4000) < 1 / (1 + np.exp(-odds))).astype(int)
    truth = TargetValues(Classes("y"), {"label": yes}, np.ones(4000, dtype=bool), ("no", "yes"))

    def said(values):
        chance = 1 / (1 + np.exp(-values))
        return ClassPrediction(np.arange(4000).astype(str), ("no", "yes"), np.stack([1 - chance, chance], 1))

    up = recalibrated(said(odds + 1), truth, "intercept").probability[:, 1]
    assert abs(up.mean() - yes.mean()) < 0.01
    steep = recalibrated(said(3 * odds), truth, "slope").probability[:, 1]
    assert np.abs(steep - 1 / (1 + np.exp(-odds))).max() < 0.06


def test_recalibrated_survival_expects_the_events_observed():
    rng = np.random.default_rng(0)
    time = np.minimum(rng.exponential(10, 2000), 15.0)
    event = (time < 15).astype(int)
    steps = np.linspace(0.1, 15, 150)
    curves = np.exp(-np.outer(np.ones(2000), steps) / 5)  # twice the hazard there is
    said = SurvivalPrediction(np.arange(2000).astype(str), np.zeros(2000), steps, curves)
    truth = TargetValues(Survival("t", "e"), {"time": time, "event": event}, np.ones(2000, dtype=bool))
    moved = recalibrated(said, truth, "intercept")
    np.testing.assert_allclose(-np.log(moved.curves[:, -1]), 1.5, rtol=0.08)
    assert recalibrated(said, truth, "slope") is None
    numbers = TargetValues(Number("x"), {"value": time}, np.ones(2000, dtype=bool))
    assert recalibrated(NumberPrediction(said.ids, time), numbers, "intercept") is None


def test_632_plus_by_hand():
    # no overfitting: the plain .632; learnt by heart: only the patients not drawn count
    np.testing.assert_allclose(weighed(0.8, 0.8, 0.5), 0.8)
    np.testing.assert_allclose(weighed(1.0, 0.5, 0.5), 0.5)
    overfit = (0.3 - 0.1) / (0.5 - 0.1)
    weight = 0.632 / (1 - 0.368 * overfit)
    np.testing.assert_allclose(weighed(0.9, 0.7, 0.5), 0.9 * (1 - weight) + 0.7 * weight)
    assert weighed(0.9, 0.3, 0.5) == weighed(0.9, 0.5, 0.5), "worse than chance is chance"


def test_632_plus_needs_a_target_and_samples():
    for patients, replicates in ((cohort(frame(20)).select(targets=[]), 5), (cohort(frame(20)), 0)):
        with pytest.raises(ConfigError, match="needs a cohort with a target, and replicates"):
            fdx.bootstrap_632plus(fdx.FusionModel(training=QUICK), patients, replicates=replicates)
