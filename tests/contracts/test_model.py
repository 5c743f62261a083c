"""Does FusionModel keep scikit-learn's promises?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score

import fusiondx as fdx
from fusiondx.errors import ConfigError, DataError

QUICK = fdx.Training(epochs=2, batch_size=16)
EAGER = fdx.Training(epochs=6, batch_size=16, learning_rate=0.02, validation=0)
MODALITIES = {
    "clinical": fdx.Table(numeric=("age", "size"), categorical=("sex",)),
    "omics": fdx.Table(numeric=("g1", "g2", "g3")),
}


def frame(patients: int = 60, seed: int = 0) -> pd.DataFrame:
    """Age decides the diagnosis, g1 the survival, size the number."""
    random = np.random.default_rng(seed)
    table = pd.DataFrame(random.normal(size=(patients, 5)), columns=["age", "size", "g1", "g2", "g3"])
    return table.assign(
        patient_id=[f"{row:03d}" for row in range(patients)],
        sex=random.choice(["female", "male"], patients),
        label=np.where(table["age"] + 0.2 * table["g2"] > 0, "yes", "no"),
        months=10 * np.exp(-table["g1"]),
        event=np.arange(patients) % 3 != 0,
    )


def cohort(table: pd.DataFrame | None = None, targets: tuple[str, ...] = ("label",)) -> fdx.Cohort:
    asked = {"label": fdx.Classes("label", ("no", "yes")), "survival": fdx.Survival("months", "event")}
    table = frame() if table is None else table
    table = table.assign(event=table["event"].astype(int))
    return fdx.Cohort.from_frame(table, modalities=MODALITIES, targets={name: asked[name] for name in targets})


def model(**settings: Any) -> fdx.FusionModel:
    return fdx.FusionModel(**{"dim": 8, "training": QUICK, **settings})


def answers(fitted: fdx.FusionModel, patients: fdx.Cohort) -> np.ndarray:
    return np.asarray(fitted.predict_proba(patients))


@pytest.fixture(scope="module")
def everyone() -> fdx.Cohort:
    return cohort()


@pytest.fixture(scope="module")
def fitted(everyone: fdx.Cohort) -> fdx.FusionModel:
    return model(training=EAGER).fit(everyone)


# -- parameters -----------------------------------------------------------------------------------------------------

SETTINGS = {
    "encoders": {"omics": fdx.SNN(hidden=(8,)), "clinical": "mlp"},
    "fusion": fdx.Gated(dropout=0.4),
    "heads": {"label": "diagnosis"},
    "dim": 16,
    "training": QUICK,
    "seed": 7,
}


def test_the_constructor_stores_its_arguments_untouched() -> None:
    made = fdx.FusionModel(**SETTINGS)
    assert all(getattr(made, name) is value for name, value in SETTINGS.items())
    assert set(vars(made)) == set(SETTINGS)


def test_nonsense_is_only_refused_by_fit(everyone: fdx.Cohort) -> None:
    made = fdx.FusionModel(fusion="nothing of the kind")
    with pytest.raises(ConfigError, match=r"fusion: unknown kind 'nothing of the kind'"):
        made.fit(everyone)


def test_clone_copies_the_settings_and_not_the_fit(fitted: fdx.FusionModel) -> None:
    for original in (fdx.FusionModel(**SETTINGS), fitted):
        copy = clone(original)
        assert copy is not original
        assert copy.get_params(deep=False) == original.get_params(deep=False)
        assert not [name for name in vars(copy) if name.endswith("_")]


def test_parameters_are_seen_and_set_inside_specs_and_mappings() -> None:
    made = fdx.FusionModel(**SETTINGS)
    assert made.get_params()["fusion__dropout"] == 0.4
    assert made.get_params()["encoders__omics__hidden"] == (8,)
    assert made.get_params()["training__epochs"] == 2
    assert "fusion__dropout" not in made.get_params(deep=False)
    returned = made.set_params(fusion__dropout=0.1, encoders__omics__hidden=(4, 2), training__epochs=5, seed=1)
    assert returned is made
    assert made.fusion == fdx.Gated(dropout=0.1)
    assert made.encoders == {"omics": fdx.SNN(hidden=(4, 2)), "clinical": "mlp"}
    assert made.training == QUICK.replace(epochs=5)
    assert made.seed == 1


def test_setting_inside_leaves_shared_settings_alone() -> None:
    made = fdx.FusionModel(**SETTINGS)
    made.set_params(encoders__omics__dropout=0.0, encoders__clinical="snn")
    assert SETTINGS["encoders"] == {"omics": fdx.SNN(hidden=(8,)), "clinical": "mlp"}


def test_outer_parameters_are_set_before_inner_ones() -> None:
    made = fdx.FusionModel().set_params(fusion__dropout=0.3, fusion=fdx.Concat())
    assert made.fusion == fdx.Concat(dropout=0.3)


def test_inner_parameters_are_set_where_the_outer_ones_were_left_out() -> None:
    made = fdx.FusionModel().set_params(encoders__omics="snn", heads__label="diagnosis", training__epochs=5)
    assert (made.encoders, made.heads) == ({"omics": "snn"}, {"label": "diagnosis"})
    assert made.training == fdx.Training(epochs=5)


@pytest.mark.parametrize("wrong", ["fusoin", "fusion__droput", "encoders__imaging__hidden", "dim__size"])
def test_unknown_parameters_are_refused_by_name(wrong: str) -> None:
    with pytest.raises(ValueError, match="has no parameter"):
        fdx.FusionModel(**SETTINGS).set_params(**{wrong: 1})


def test_what_get_params_gives_set_params_takes() -> None:
    made = fdx.FusionModel(**SETTINGS)
    other = fdx.FusionModel().set_params(**made.get_params())
    assert other.get_params() == made.get_params()


@pytest.mark.parametrize(
    ("setting", "wrong"),
    [("dim", 0), ("dim", "wide"), ("dim", 2.5), ("dim", True), ("seed", -1), ("seed", None), ("seed", 1.5)],
)
def test_sizes_and_seeds_out_of_range_are_config_errors(everyone: fdx.Cohort, setting: str, wrong: object) -> None:
    with pytest.raises(ConfigError, match=f"{setting}.*Give a whole number"):
        model(**{setting: wrong}).fit(everyone)


def test_training_takes_settings_only(everyone: fdx.Cohort) -> None:
    with pytest.raises(ConfigError, match=r"training: .*Training\("):
        model(training={"epochs": 1}).fit(everyone)


def test_only_a_cohort_can_be_fitted_and_predicted(fitted: fdx.FusionModel) -> None:
    with pytest.raises(DataError, match=r"Cohort\.from_frame"):
        model().fit(frame())
    with pytest.raises(DataError, match=r"Cohort\.from_frame"):
        fitted.predict(frame())


# -- fit and predict ------------------------------------------------------------------------------------------------


def test_fit_returns_self_and_sets_only_names_with_an_underscore(everyone: fdx.Cohort) -> None:
    made = model()
    assert made.fit(everyone) is made
    set_by_fit = set(vars(made)) - set(made.get_params(deep=False))
    assert {"networks_", "preparations_", "targets_", "history_", "cohort_"} <= set_by_fit
    assert [name for name in set_by_fit if not name.endswith("_")] == []
    assert made.get_params(deep=False) == model().get_params(deep=False)


@pytest.mark.parametrize("ask", ["predict", "predict_proba", "predict_risk", "embed", "score"])
def test_nothing_is_predicted_before_fitting(everyone: fdx.Cohort, ask: str) -> None:
    with pytest.raises(NotFittedError):
        getattr(model(), ask)(everyone)


def test_nothing_else_works_before_fitting(everyone: fdx.Cohort, tmp_path: Any) -> None:
    with pytest.raises(NotFittedError):
        model().predict_survival(everyone, [1.0])
    with pytest.raises(NotFittedError):
        model().save(tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others(everyone: fdx.Cohort) -> None:
    first, again, other = (answers(model(seed=s).fit(everyone), everyone) for s in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.allclose(first, other, atol=1e-4)


def test_fitting_twice_forgets_the_first_time(everyone: fdx.Cohort) -> None:
    made = model().fit(cohort(frame(seed=5)))
    assert np.array_equal(answers(made.fit(everyone), everyone), answers(model().fit(everyone), everyone))


def test_random_numbers_elsewhere_neither_disturb_nor_are_disturbed(everyone: fdx.Cohort) -> None:
    torch.manual_seed(1)
    np.random.seed(1)
    torch_before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()
    first = answers(model().fit(everyone), everyone)
    assert torch.equal(torch.get_rng_state(), torch_before)
    assert np.array_equal(np.random.get_state()[1], numpy_before)
    torch.manual_seed(2)
    np.random.seed(2)
    assert np.array_equal(first, answers(model().fit(everyone), everyone))


def test_predictions_do_not_depend_on_batch_size(
    fitted: fdx.FusionModel, everyone: fdx.Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = answers(fitted, everyone)
    monkeypatch.setattr("fusiondx.model.PREDICT_SIZE", 7)
    np.testing.assert_allclose(answers(fitted, everyone), whole, atol=1e-5)


def test_predictions_do_not_depend_on_the_order_or_company_of_patients(
    fitted: fdx.FusionModel, everyone: fdx.Cohort
) -> None:
    whole, order = answers(fitted, everyone), np.random.default_rng(0).permutation(len(everyone))
    np.testing.assert_allclose(answers(fitted, everyone[order]), whole[order], atol=1e-5)
    for patient in (0, 17, 59):
        np.testing.assert_allclose(answers(fitted, everyone[[patient]]), whole[[patient]], atol=1e-5)


def test_predictions_do_not_need_or_see_the_answers(fitted: fdx.FusionModel, everyone: fdx.Cohort) -> None:
    table = frame()
    wrong = cohort(table.assign(label=np.where(table["label"] == "yes", "no", "yes")))
    whole = answers(fitted, everyone)
    assert np.array_equal(answers(fitted, wrong), whole)
    assert np.array_equal(answers(fitted, everyone.select(targets=[])), whole)


def test_predictions_are_named_by_patient_and_class(fitted: fdx.FusionModel, everyone: fdx.Cohort) -> None:
    some = everyone[[5, 3]]
    table = fitted.predict(some)["label"].to_frame()
    assert table.index.tolist() == ["005", "003"]
    assert table.columns.tolist() == ["predicted", "probability[no]", "probability[yes]"]
    np.testing.assert_allclose(answers(fitted, some).sum(axis=1), 1)


def test_embeddings_are_one_finite_vector_per_patient_and_member(everyone: fdx.Cohort) -> None:
    vectors = model(training=QUICK.replace(members=2)).fit(everyone).embed(everyone)
    assert vectors.shape == (60, 16)
    assert np.isfinite(vectors).all()
    assert not np.allclose(vectors[:, :8], vectors[:, 8:])


def test_members_are_averaged(everyone: fdx.Cohort) -> None:
    both = model(training=QUICK.replace(members=2)).fit(everyone)
    logits = []
    for network in both.networks_:
        alone = clone(both).fit(everyone)
        alone.networks_ = [network]
        logits.append(np.log(answers(alone, everyone)))
    mean = np.exp(np.mean(logits, axis=0))
    np.testing.assert_allclose(answers(both, everyone), mean / mean.sum(axis=1, keepdims=True), atol=1e-5)
    assert both.history_["member"].tolist() == [0, 0, 1, 1]


# -- with scikit-learn's own tools ----------------------------------------------------------------------------------


def test_y_replaces_the_first_target(everyone: fdx.Cohort, fitted: fdx.FusionModel) -> None:
    y = everyone.y()
    shuffled, swapped = np.random.default_rng(0).permutation(y), np.where(y == "yes", "no", "yes")
    given, other, opposite = (model(training=EAGER).fit(everyone, labels) for labels in (y, shuffled, swapped))
    assert np.array_equal(answers(fitted, everyone), answers(given, everyone))
    assert fitted.score(everyone) > 0.9
    assert fitted.score(everyone) > other.score(everyone) + 0.1
    assert opposite.score(everyone) < 0.1
    assert opposite.score(everyone, swapped) > 0.9


def test_cross_val_score_also_of_a_table_sorted_by_label(everyone: fdx.Cohort) -> None:
    sorted_ = cohort(frame().sort_values("label"))
    for patients, cv in ((everyone, 3), (sorted_, sorted_.folds(3))):
        scores = cross_val_score(model(training=EAGER), patients, patients.y(), cv=cv, error_score="raise")
        assert scores.shape == (3,)
        assert scores.min() > 0.75


GAPS = [None, None, *[0, 1, 2] * 19, 1]
QUESTIONS = {
    "survival": fdx.Survival("months", "event"),
    "cause": fdx.CompetingRisks("months", "cause", ("tumour", "other")),
    "whole": fdx.Number("whole"),
    "gaps": fdx.Number("gaps"),
    "labels": fdx.Labels(("some", "most")),
    "grade": fdx.Classes("gaps", ("0", "1", "2"), ordered=True),
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_cross_val_score_of_every_kind_of_target(name: str) -> None:
    table = frame().assign(
        event=lambda d: d["event"].astype(int), cause=np.arange(60) % 3, whole=np.arange(60.0), gaps=GAPS
    )
    yes = {"some": [None, *[0, 1] * 29, 0], "most": [0, 1, 1] * 20}
    asked = {name: QUESTIONS[name], "label": fdx.Classes("label")}
    patients = fdx.Cohort.from_frame(table.assign(**yes), modalities=MODALITIES, targets=asked)
    for heads in (None, {"label": "diagnosis"}):
        scores = cross_val_score(model(heads=heads), patients, patients.y(), cv=3, error_score="raise")
        assert np.isfinite(scores).all()


def test_cross_val_score_on_the_cohort_s_own_folds(everyone: fdx.Cohort) -> None:
    scores = cross_val_score(model(training=EAGER), everyone, everyone.y(), cv=everyone.folds(3), error_score="raise")
    assert scores.min() > 0.75


def test_cross_val_score_of_survival() -> None:
    patients = cohort(targets=("survival",))
    folds = patients.folds(3)
    scores = cross_val_score(model(training=EAGER), patients, patients.y(), cv=folds, error_score="raise")
    assert scores.min() > 0.7


def test_grid_search_over_fusions_and_inside_them(everyone: fdx.Cohort) -> None:
    search = GridSearchCV(model(), {"fusion": ["concat", "gated", "mean"]}, cv=2, error_score="raise")
    search.fit(everyone, everyone.y())
    assert search.best_params_["fusion"] in ("concat", "gated", "mean")
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_estimator_.predict_proba(everyone).shape == (60, 2)
    inner = GridSearchCV(model(fusion=fdx.Gated()), {"fusion__dropout": [0.0, 0.5]}, cv=2, error_score="raise")
    inner.fit(everyone, everyone.y())
    assert inner.best_estimator_.fusion.dropout == inner.best_params_["fusion__dropout"]
