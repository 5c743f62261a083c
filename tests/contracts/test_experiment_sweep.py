"""Is a sweep confined to training patients, is all it tried recorded, and is what it chose what is judged?"""

import numpy as np
import pandas as pd
import pytest

import fusiondx as fdx
from fusiondx.errors import ConfigError, DataError, RunError
from fusiondx.experiment import running
from fusiondx.experiment.file import Experiment, Model, at, read_experiment
from fusiondx.experiment.sweep import Optuna, Range, Sweep
from fusiondx.experiment.tuning import Tuned
from fusiondx.model import FusionModel
from fusiondx.training import Training

SMALL = Model(dim=4, training=Training(epochs=1, validation=0))
OVER = {"model.fusion.kind": ["gated", "mean"], "model.dim": [2, 4]}


@pytest.fixture(scope="module")
def cohort():
    random = np.random.default_rng(0)
    table = pd.DataFrame(random.normal(size=(48, 2)), columns=["a", "b"])
    table = table.assign(patient_id=[f"P{n:02d}" for n in range(48)], y=np.where(table["a"] > 0, "yes", "no"))
    modalities = {"first": fdx.Table(numeric=("a",)), "second": fdx.Table(numeric=("b",))}
    return fdx.Cohort.from_frame(table, modalities=modalities, targets={"y": fdx.Classes("y")})


@pytest.fixture
def seen(monkeypatch):
    """The patients each training saw, and the settings."""
    found, fit = [], FusionModel.fit
    monkeypatch.setattr(
        FusionModel, "fit", lambda model, cohort: found.append((model, set(cohort.ids))) or fit(model, cohort)
    )
    return found


def test_every_point_is_tried_on_inner_folds_and_the_best_trained_on_all(cohort, seen):
    train, test = cohort.split(0.25)
    tuned = Tuned(SMALL, Sweep(over=OVER, folds=2)).fit(train)
    *tried, (last, everybody) = seen
    assert len(tried) == 4 * 2
    assert everybody == set(train.ids)
    assert not any(ids & set(test.ids) for _, ids in seen)
    assert all(ids < everybody for _, ids in tried)
    best = tuned.trials_.loc[tuned.trials_["value"].idxmax()]
    assert tuned.trials_["chosen"].tolist() == (tuned.trials_["value"] == best["value"]).tolist()
    assert (last.fusion.kind, str(last.dim)) == (best["model.fusion.kind"], best["model.dim"])
    assert tuned.parameters_ == last.parameters_
    assert set(tuned.predict(test)) == {"y"}


def test_an_experiment_with_a_sweep_judges_it_beside_the_model_as_written(cohort):
    sweep = Sweep(over={"model.dim": [2, 3]}, folds=2)
    experiment = Experiment(cohort="c", folds={"k": 2}, model=SMALL, sweep=sweep, evaluation={"replicates": 5})
    report, models = running.judged(experiment, cohort)
    assert [r.model for r in report.results if r.role == "model"] == ["tuned", "as written"]
    trials = report.trials["tuned"]
    assert trials.groupby("fold").size().tolist() == [2, 2]
    assert trials.groupby("fold")["chosen"].sum().tolist() == [1, 1]
    assert list(models) == ["tuned", "as written"]
    assert models["tuned"].model_.dim in (2, 3)


@pytest.mark.parametrize(
    ("over", "method", "message"),
    [
        ("{evaluation.seed: [1]}", "grid", "a sweep tries settings of the model"),
        ("{model.dim: []}", "grid", "give at least one value"),
        ("{model.dim: {low: 2, high: 8}}", "grid", "a grid needs a list of values or a step"),
        ("{model.dim: {low: 8, high: 2}}", "optuna", "low must be below high"),
        ("{model.dim: {low: 0, high: 2, log: true}}", "optuna", "needs a low above 0"),
        ("{model.dim: [1]}", "gird", "sweep.method: unknown kind 'gird'. Did you mean 'grid'?"),
    ],
)
def test_a_mistake_in_a_sweep_is_told(tmp_path, over, method, message):
    path = tmp_path / "e.yaml"
    path.write_text(f"cohort: c\nfolds: {{k: 2}}\nsweep: {{over: {over}, method: {method}}}")
    with pytest.raises(ConfigError) as caught:
        read_experiment(path)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("point", "message"),
    [
        ({"model.fusion.drpout": 0.1}, "sweep.over: model.fusion.drpout: unknown key. Did you mean 'dropout'?"),
        ({"model.training.epochs": 0}, "sweep.over: model.training.epochs: 0 does not fit. Give 1 or more."),
    ],
)
def test_a_setting_that_makes_no_sense_is_told_with_its_place(point, message):
    with pytest.raises(ConfigError) as caught:
        at(SMALL, point)
    assert message in str(caught.value)


def test_ranges_are_whole_where_both_ends_are():
    assert Range(low=2, high=8, step=2).values == (2, 4, 6, 8)
    assert Range(low=0.0, high=0.3, step=0.1).values == pytest.approx((0, 0.1, 0.2, 0.3))
    assert [Range(low=2, high=8).whole, Range(low=2, high=8.5).whole] == [True, False]


def test_a_sweep_that_cannot_be_judged_says_why(cohort):
    one = cohort.with_target("y", np.array(["yes"] * 47 + ["no"]))
    with pytest.raises(DataError, match=r"None of 1 trials of the sweep could be judged: .+"):
        Tuned(SMALL, Sweep(over={"model.dim": [2]}, folds=2)).fit(one[:47])


@pytest.mark.parametrize("pruner", ["none", "median"])
def test_optuna_keeps_its_trials_and_goes_on_where_it_was_stopped(cohort, seen, tmp_path, pruner):
    pytest.importorskip("optuna")
    over = {"model.fusion": ["gated", {"kind": "mean"}], "model.training.learning_rate": {"low": 1e-3, "high": 0.1}}
    method = Optuna(trials=2, pruner=pruner, storage=f"sqlite:///{tmp_path}/trials.db")
    first = Tuned(SMALL, Sweep(over=over, folds=2, method=method)).fit(cohort)
    before = len(seen)
    more = Tuned(SMALL, Sweep(over=over, folds=2, method=method.replace(trials=3))).fit(cohort)
    assert len(seen) - before <= 2 + 1, "one more trial, and the best one"
    assert len(more.trials_) == 3
    pd.testing.assert_frame_equal(more.trials_.drop(columns="chosen")[:2], first.trials_.drop(columns="chosen"))
    assert set(more.trials_["state"]) <= {"complete", "pruned"}
    assert more.model_.training.learning_rate == pytest.approx(more.point_["model.training.learning_rate"])


def test_a_storage_that_cannot_be_used_is_told(cohort, tmp_path):
    pytest.importorskip("optuna")
    method = Optuna(trials=1, storage=f"sqlite:///{tmp_path}/nowhere/trials.db")
    with pytest.raises(RunError, match=r"sweep\.method\.storage: sqlite"):
        Tuned(SMALL, Sweep(over={"model.dim": [2]}, folds=2, method=method)).fit(cohort)
