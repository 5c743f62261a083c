"""Are regressions and forests what their libraries would make of the same numbers?"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.tree import DecisionTreeRegressor

import fusiondx as fdx
from fusiondx.baselines import ClinicalBaseline
from fusiondx.classical.linear import PENALTIES, fit_linear
from fusiondx.classical.model import ClassicalModel
from fusiondx.classical.trees import LEAP, exposure, fit_trees, planted
from fusiondx.classical.view import principal
from fusiondx.core.targets import Classes, CompetingRisks, Labels, Number, Survival, TargetValues
from fusiondx.errors import DataError
from fusiondx.evaluation.discrimination import auroc
from fusiondx.survival.regression import fit_cox

PATIENTS = 200
KNOWN = np.ones(PATIENTS, dtype=bool)
RNG = np.random.default_rng(0)
COLUMNS = RNG.normal(size=(PATIENTS, 5))
TIME = RNG.exponential(size=PATIENTS) * np.exp(-COLUMNS[:, 0])
CAUSE = RNG.integers(0, 3, PATIENTS)


def classes(labels: Any, names: tuple[str, ...]) -> TargetValues:
    return TargetValues(Classes("c", names), {"label": np.asarray(labels)}, KNOWN, names)


def only(penalty: float) -> Any:
    """All of one penalty."""
    return np.eye(len(PENALTIES))[PENALTIES.index(penalty)]


@pytest.mark.parametrize("names", [("a", "b"), ("a", "b", "c")])
def test_logistic_regression_is_scikit_learns(names: tuple[str, ...]) -> None:
    label = np.digitize(COLUMNS[:, 0] + RNG.normal(size=PATIENTS), [0, 0.8][: len(names) - 1])
    answers = fit_linear(COLUMNS, classes(label, names), only(10.0))(COLUMNS)
    theirs = LogisticRegression(C=0.1, max_iter=1000).fit(COLUMNS, label).predict_log_proba(COLUMNS)
    assert answers.sum(axis=1) == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose(answers, theirs - theirs.mean(axis=1, keepdims=True), atol=1e-6)


def test_a_class_without_patients_is_improbable_not_impossible() -> None:
    answers = fit_linear(COLUMNS, classes((COLUMNS[:, 0] > 0).astype(int), ("a", "b", "never")), only(1.0))(COLUMNS)
    assert np.isfinite(answers).all()
    assert (answers[:, 2] < answers[:, :2].max(axis=1)).all()


def test_labels_are_learnt_one_by_one_from_those_who_have_them_told() -> None:
    yes = (COLUMNS[:, :2] > 0).astype(int)
    told = RNG.random((PATIENTS, 2)) < 0.8
    truth = TargetValues(Labels(("l", "m")), {"label": yes, "told": told}, told.any(axis=1), ("l", "m"))
    answers = fit_linear(COLUMNS, truth, only(1.0))(COLUMNS)
    for j in range(2):
        theirs = LogisticRegression(C=1.0, max_iter=1000).fit(COLUMNS[told[:, j]], yes[told[:, j], j])
        np.testing.assert_allclose(answers[:, j], theirs.decision_function(COLUMNS), atol=1e-6)


def test_hazards_of_causes_are_cox_regressions_to_which_other_causes_are_censoring() -> None:
    truth = TargetValues(CompetingRisks("t", "e", ("x", "y")), {"time": TIME, "event": CAUSE}, KNOWN, ("x", "y"))
    fitted = fit_linear(COLUMNS, truth, only(10.0))
    for k in range(2):
        np.testing.assert_allclose(fitted.weights[:, k], fit_cox(COLUMNS, TIME, k + 1 == CAUSE, 10.0))
    np.testing.assert_allclose(fitted(COLUMNS).mean(axis=0), 0, atol=1e-9)


def test_numbers_are_ridge_regressions_of_the_standardised_value() -> None:
    value = 5 + 3 * COLUMNS[:, 0] + RNG.normal(size=PATIENTS)
    truth = TargetValues(Number("v"), {"value": value}, KNOWN)
    theirs = Ridge(alpha=10.0).fit(COLUMNS, value).predict(COLUMNS)
    answers = fit_linear(COLUMNS, truth, only(10.0))(COLUMNS)[:, 0]
    np.testing.assert_allclose(answers, (theirs - value.mean()) / value.std())


def test_strong_penalties_count_where_there_is_nothing_and_weak_ones_where_there_is_much() -> None:
    wide = np.concatenate([COLUMNS, RNG.normal(size=(PATIENTS, 40))], axis=1)
    noise = classes(RNG.integers(0, 2, PATIENTS), ("a", "b"))
    signal = classes((COLUMNS.sum(axis=1) > 0).astype(int), ("a", "b"))
    strong = np.array(PENALTIES) >= 100
    for truth, expected in ((noise, 1.0), (signal, 0.0)):
        shares = fit_linear(wide, truth).shares
        assert shares.sum() == pytest.approx(1)
        assert shares[strong].sum() == pytest.approx(expected, abs=0.1)


def test_penalties_that_are_as_likely_are_averaged() -> None:
    truth = classes((COLUMNS[:, 0] + 2 * RNG.normal(size=PATIENTS) > 0).astype(int), ("a", "b"))
    both = (only(10.0) + only(100.0)) / 2
    mean = (fit_linear(COLUMNS, truth, only(10.0)).weights + fit_linear(COLUMNS, truth, only(100.0)).weights) / 2
    np.testing.assert_allclose(fit_linear(COLUMNS, truth, both).weights, mean)


def test_planted_trees_say_what_scikit_learns_say() -> None:
    columns = COLUMNS.astype(np.float32)
    trees = [DecisionTreeRegressor(max_depth=3, random_state=n).fit(columns, COLUMNS[:, n]) for n in range(3)]
    forest = planted([tree.tree_ for tree in trees], start=1.0)
    theirs = 1.0 + 0.05 * sum(tree.predict(columns) for tree in trees)
    np.testing.assert_allclose(forest(columns.astype(np.float64)), theirs, atol=1e-6)


def test_boosting_learns_what_no_line_separates() -> None:
    label = (COLUMNS[:, 0] * COLUMNS[:, 1] > 0).astype(int)
    train, test = np.arange(0, PATIENTS, 2), np.arange(1, PATIENTS, 2)
    truth = classes(label, ("a", "b"))[train]
    trees, line = fit_trees(COLUMNS[train], truth), fit_linear(COLUMNS[train], truth)
    assert float(auroc(trees(COLUMNS[test])[:, 1], label[test])) > 0.75
    assert float(auroc(line(COLUMNS[test])[:, 1], label[test])) < 0.65


def test_boosted_hazards_start_at_everybodys_and_rank_patients() -> None:
    event = (CAUSE > 0).astype(int)
    truth = TargetValues(Survival("t", "e"), {"time": TIME, "event": event}, KNOWN)
    # total exposure to the Nelson-Aalen hazard is the number of events, but for its floor
    assert exposure(TIME, event == 1, np.zeros(PATIENTS)).sum() == pytest.approx(event.sum(), rel=0.02)
    answers = fit_trees(COLUMNS, truth)(COLUMNS)[:, 0]
    assert np.corrcoef(answers, COLUMNS[:, 0])[0, 1] > 0.7
    assert np.abs(answers).max() < 100 * LEAP


@pytest.mark.parametrize("fit", [fit_linear, fit_trees])
def test_hazards_are_compared_within_strata(fit: Any) -> None:
    """Harmful within both hospitals, the column is lower where far more die."""
    random = np.random.default_rng(0)
    second = np.arange(300) % 2
    own = random.normal(size=300)
    time = random.exponential(np.exp(-0.7 * own - 4 * second))
    fields = {"time": time, "event": np.ones(300, dtype=int), "stratum": second}
    column = (own - 2 * second)[:, None]
    truth = TargetValues(Survival("t", "e", strata="s"), fields, np.ones(300, dtype=bool), ("A", "B"))
    answers = fit(column, truth)(column)[:, 0]
    for hospital in (0, 1):
        assert np.corrcoef(answers[second == hospital], own[second == hospital])[0, 1] > 0.7
    # a stratum nobody had an event in tells nothing
    silent = replace(truth, fields={**fields, "event": 1 - second})
    one = truth[np.flatnonzero(second == 0)]
    expected = fit(column[second == 0], one)(column)[:, 0]
    assert np.corrcoef(fit(column, silent)(column)[:, 0], expected)[0, 1] > 0.8


def test_components_keep_their_spread_and_stop_at_the_rank() -> None:
    low = RNG.normal(size=(40, 3)) @ RNG.normal(size=(3, 300))
    directions = principal(low, 20)
    assert directions.shape == (300, 3)
    spread = ((low - low.mean(axis=0)) @ directions).var(axis=0, ddof=1)
    assert spread.mean() == pytest.approx(1.0)
    assert (np.diff(spread) < 0).all()
    assert principal(low[:, :20], 20).shape == (20, 0)


def clinical(**columns: Any) -> fdx.Cohort:
    """30 patients, the last 15 with a table, and the answer asked for."""
    age = np.where(np.arange(30) < 15, np.nan, COLUMNS[:30, 0])
    frame = pd.DataFrame(
        {"patient_id": [f"P{i:02}" for i in range(30)], "age": age, "marker": COLUMNS[:30, 1]} | columns
    )
    tables = {"clinical": fdx.Table(numeric=("age",)), "omics": fdx.Table(numeric=("marker",))}
    asked = fdx.Survival("months", "event") if "months" in columns else fdx.Classes("grade", classes=("low", "high"))
    return fdx.Cohort.from_frame(frame, modalities=tables, targets={"answer": asked})


@pytest.mark.parametrize("learner", ["ridge", "trees"])
def test_a_baseline_of_nobody_is_refused(learner: Any) -> None:
    grade = np.where(np.arange(30) < 15, np.array(["low", "high"])[np.arange(30) % 2], None)
    with pytest.raises(DataError, match="No training patient has clinical and a known answer"):
        ClassicalModel(("clinical",), learner).fit(clinical(grade=grade))


@pytest.mark.filterwarnings("error")
def test_a_baseline_of_one_event_is_fitted_without_a_word() -> None:
    ClinicalBaseline("omics").fit(clinical(months=TIME[:30], event=[1] + [0] * 29))
