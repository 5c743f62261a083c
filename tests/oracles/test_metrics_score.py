"""Scores and their bootstrap intervals against the bootstrap written out, patient by patient."""

import time as clock
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, roc_auc_score

from fusiondx.core.predictions import (
    CausePrediction,
    ClassPrediction,
    CompetingPrediction,
    LabelsPrediction,
    MaskPrediction,
    NumberPrediction,
    SurvivalPrediction,
)
from fusiondx.core.targets import Classes, CompetingRisks, Labels, Masks, Number, Survival, TargetValues
from fusiondx.errors import ConfigError, DataError
from fusiondx.evaluation.comparison import repeated_folds
from fusiondx.evaluation.dynamic_auc import dynamic_auc
from fusiondx.evaluation.estimate import Estimate, Undefined
from fusiondx.evaluation.folds import spread_over
from fusiondx.evaluation.influence import estimate
from fusiondx.evaluation.metrics import METRICS, metrics_for, primary_metric
from fusiondx.evaluation.parts import class_part, label_part, number_part, survival_part
from fusiondx.evaluation.pooled import pool, pooled_difference
from fusiondx.evaluation.score import difference, score, score_one
from fusiondx.evaluation.survival_brier import integrated_brier, prediction_accuracy
from fusiondx.evaluation.uno import uno_c


def names(n):
    return np.array([f"P{i:03}" for i in range(n)], dtype=object)


def diagnosis(ids, positive, label, known=None):
    known = np.ones(len(ids), bool) if known is None else known
    prediction = ClassPrediction(ids, ("no", "yes"), np.column_stack([1 - positive, positive]))
    return prediction, TargetValues(Classes("c"), {"label": label}, known, ("no", "yes"))


def prognosis(ids, risk, time, event):
    prediction = SurvivalPrediction(ids, risk, np.array([1.0]), np.full((len(ids), 1), 0.5))
    return prediction, TargetValues(Survival("t", "e"), {"time": time, "event": event}, np.ones(len(ids), bool))


def number(ids, value, truth):
    return NumberPrediction(ids, value), TargetValues(Number("v"), {"value": truth}, np.ones(len(ids), bool))


def by_name(outcomes):
    return {outcome.metric: outcome for outcome in outcomes}


@pytest.fixture
def folds():
    """60 patients in two repetitions of three folds."""
    rng = np.random.default_rng(0)
    ids, label = names(60), rng.random(60) < 0.4
    cuts = [fold for _ in range(2) for fold in np.array_split(rng.permutation(60), 3)]
    chance = [np.clip(0.3 + 0.3 * label[fold] + 0.2 * rng.normal(size=20), 0, 1) for fold in cuts]
    return [diagnosis(ids[fold], p, label[fold].astype(int)) for fold, p in zip(cuts, chance, strict=True)]


def test_value_is_the_mean_over_parts(folds):
    found = by_name(score(folds, replicates=50))
    truth = [(part[1].fields["label"], part[0].probability[:, 1]) for part in folds]
    assert found["auroc"].value == pytest.approx(np.mean([roc_auc_score(*pair) for pair in truth]))
    assert found["accuracy"].value == pytest.approx(np.mean([accuracy_score(y, p > 0.5) for y, p in truth]))
    events = sum(y.sum() for y, _ in truth[:3])
    assert (found["auroc"].n, found["auroc"].events) == (60, events)
    assert "mean over 6 of 6 folds" in found["auroc"].method
    assert "50 replicates" in found["auroc"].method


def test_interval_is_the_patient_bootstrap_written_out(folds):
    """The same draws, but patients repeated row by row in every fold; then spread, as folds share training patients."""
    rng = np.random.default_rng(7)
    aurocs = []
    for _ in range(60):
        counts = dict(zip(names(60), np.bincount(rng.integers(60, size=60), minlength=60), strict=True))
        each = []
        for prediction, truth in folds:
            rows = np.repeat(np.arange(20), [counts[i] for i in prediction.ids])
            if len(set(truth.fields["label"][rows])) == 2:
                each.append(roc_auc_score(truth.fields["label"][rows], prediction.probability[rows, 1]))
        aurocs.append(np.mean(each))
    found = by_name(score(folds, replicates=60, seed=7))["auroc"]
    spread = found.value + spread_over(6) * (np.quantile(aurocs, [0.025, 0.975]) - found.value)
    assert [found.low, found.high] == pytest.approx(spread)
    assert "spread for folds" in found.method
    assert spread_over(1) == 1


def test_a_mean_stays_in_the_range_of_its_folds():
    label = np.tile(np.arange(20) % 2, 3)
    chance = np.where(np.arange(60) == 1, 0.1, 0.2 + 0.6 * label)
    cuts = np.split(np.arange(60), 3)
    found = by_name(score([diagnosis(names(60)[fold], chance[fold], label[fold]) for fold in cuts], replicates=50))
    assert found["auroc"].low < found["auroc"].high == 1
    assert found["brier"].low >= 0


@pytest.mark.slow
@pytest.mark.parametrize("signal", [0.0, 1.0])
def test_cross_validation_covers_what_models_reach(signal):
    """A model as unstable as there is: the difference of class means in 20 columns. See docs/evaluation.md."""
    rng, held = np.random.default_rng(5), []
    for _ in range(400):
        label = np.arange(240) % 2
        columns = rng.normal(size=(240, 20))
        columns[label == 1, 0] += signal
        parts = []
        for test in np.split(rng.permutation(240), 3):
            train = np.setdiff1d(np.arange(240), test)
            weight = columns[train][label[train] == 1].mean(axis=0) - columns[train][label[train] == 0].mean(axis=0)
            chance = 1 / (1 + np.exp(-columns[test] @ weight))
            parts.append(diagnosis(names(240)[test], chance, label[test]))
        held.append(by_name(score(parts, replicates=200))["auroc"])
    truth = 0.5 if not signal else np.mean([found.value for found in held])
    assert 0.89 <= np.mean([found.low <= truth <= found.high for found in held]) <= 0.98


def test_difference_is_the_paired_bootstrap_written_out():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=30)
    a, b = (number(names(30), truth + s * rng.normal(size=30), truth) for s in (1.0, 2.0))
    gap = (a[0].value - truth) ** 2 - (b[0].value - truth) ** 2
    draws = np.random.default_rng(3).integers(30, size=(500, 30))
    found = difference([a], [b], "mse", replicates=500, seed=3)
    assert found.value == pytest.approx(gap.mean())
    assert [found.low, found.high] == pytest.approx(np.quantile(gap[draws].mean(axis=1), [0.025, 0.975]))
    back = difference([b], [a], "mse", replicates=500, seed=3)
    assert [back.value, back.low, back.high] == pytest.approx([-found.value, -found.high, -found.low])


def test_difference_of_a_model_and_itself_is_nothing(folds):
    for metric in metrics_for(folds[0][0]):
        if METRICS[metric].fitted:
            continue
        found = difference(folds, folds, metric, replicates=20)
        assert (found.value, found.low, found.high) == (0, 0, 0)


def test_a_fold_without_the_metric_is_left_out_and_named(folds):
    (bare, _), *others = folds[:3]
    folds = [diagnosis(bare.ids, bare.probability[:, 1], np.zeros(20, int)), *others]
    found = by_name(score(folds, replicates=20))
    assert "mean over 2 of 3 folds" in found["auroc"].method
    assert "mean over 3 of 3 folds" in found["accuracy"].method
    alone = by_name(score([folds[0], folds[1]], replicates=20))
    assert (alone["auroc"].n, alone["accuracy"].n) == (20, 40)  # patients it rests on
    assert alone["auroc"].events == folds[1][1].fields["label"].sum()
    given = [(part[1].fields["label"], part[0].probability[:, 1]) for part in folds[1:]]
    assert found["auroc"].value == pytest.approx(np.mean([roc_auc_score(*pair) for pair in given]))


def test_patients_of_unknown_truth_are_left_out():
    rng = np.random.default_rng(0)
    chance, label, known = rng.random(40), rng.integers(0, 2, 40), np.arange(40) < 30
    whole = diagnosis(names(40), np.where(known, chance, np.nan), np.where(known, label, 99), known)
    cut = diagnosis(names(30), chance[:30], label[:30])
    assert score([whole], replicates=50) == score([cut], replicates=50)
    # Also a fold of which nothing is known
    nothing = diagnosis(names(5), np.full(5, 0.5), np.zeros(5, int), np.zeros(5, bool))
    assert "mean over 1 of 2 folds" in score([cut, nothing], replicates=5)[0].method
    alone = by_name(score([nothing], replicates=5))
    assert all(outcome == Undefined(name, "no patient whose truth is known", 0, 0) for name, outcome in alone.items())


@pytest.mark.parametrize(
    ("part", "metric", "reason"),
    [
        (prognosis(names(41), np.arange(41.0), np.ones(41), np.zeros(41)), "c_index", "no events among 41 patients"),
        (prognosis(names(2), np.ones(2), np.ones(2), np.ones(2)), "c_index", "no two comparable patients among 2"),
        (diagnosis(names(9), np.full(9, 0.5), np.zeros(9, int)), "auroc", "no positive patients among 9 patients"),
        (diagnosis(names(9), np.full(9, 0.5), np.ones(9, int)), "auroc", "no negative patients among 9 patients"),
        (number(names(3), np.ones(3), np.ones(3)), "r2", "no two different true values among 3 patients"),
    ],
)
def test_undefined_says_why(part, metric, reason, recwarn):
    found = by_name(score([part], replicates=20))[metric]
    assert isinstance(found, Undefined)
    assert reason in found.reason
    assert isinstance(difference([part], [part], metric, replicates=20), Undefined)
    assert not recwarn.list


def test_what_nobody_was_called_is_not_laid_on_the_classes():
    fold = diagnosis(names(4), np.full(4, 0.2), np.array([0, 0, 1, 1]))
    found = by_name(score([fold, fold], replicates=5))
    assert found["precision"].reason == "no patient is called positive in any of 2 folds"
    assert found["mcc"].reason == "no two classes that are both called in any of 2 folds"


def test_replicates_without_the_metric_are_counted():
    ids, chance = names(12), np.linspace(0.1, 0.9, 6)
    parts = [diagnosis(ids[of], chance, np.array([0, 0, 0, 0, 0, 1])) for of in (slice(0, 6), slice(6, 12))]
    found = by_name(score(parts, replicates=200))["auroc"]
    assert found.value == found.low == found.high == 1
    assert "of them undefined and left out" in found.method


def test_three_classes_have_no_events():
    rng = np.random.default_rng(0)
    classes, label = ("a", "b", "c"), rng.integers(0, 3, 50)
    prediction = ClassPrediction(names(50), classes, rng.dirichlet(np.ones(3), 50))
    truth = TargetValues(Classes("c"), {"label": label}, np.ones(50, bool), classes)
    found = by_name(score([(prediction, truth)], replicates=20))
    expected = roc_auc_score(label, prediction.probability, multi_class="ovr")
    assert found["auroc"].value == pytest.approx(expected)
    assert all(isinstance(outcome, Estimate) and outcome.events is None for outcome in found.values())


def test_a_label_known_in_nobody_is_left_out_of_that_fold():
    rng = np.random.default_rng(0)
    chance, has = rng.random((40, 2)), np.stack([np.resize([0, 1], 40), np.resize([0, 0, 1], 40)], axis=1)
    told = np.stack([np.ones(40, bool), np.arange(40) >= 20], axis=1)
    found = LabelsPrediction(names(40), ("a", "b"), chance)
    truth = TargetValues(Labels(("a", "b")), {"label": has, "told": told}, np.ones(40, bool), ("a", "b"))
    halves = np.split(np.arange(40), 2)
    macro = score([(found.take(half), truth[half]) for half in halves], replicates=20)[0]
    first, second = (
        [roc_auc_score(has[half, j], chance[half, j]) for j in range(2) if told[half, j].all()] for half in halves
    )
    assert (len(first), len(second)) == (1, 2)
    assert macro.value == pytest.approx(np.mean([np.mean(first), np.mean(second)]))


def test_score_one_is_higher_for_better():
    truth = np.arange(10.0)
    assert score_one(*number(names(10), truth, truth)) == 1
    assert score_one(*prognosis(names(10), -truth, truth, np.ones(10))) == 1
    assert score_one(*diagnosis(names(10), truth / 10, (truth > 4).astype(int))) == 1
    with pytest.raises(DataError, match="no events among 10 patients"):
        score_one(*prognosis(names(10), truth, truth, np.zeros(10)))


def test_every_metric_named_is_given_and_no_other(folds):
    outcome = {"time": np.arange(3.0), "event": np.ones(3, int)}
    course = (
        CompetingPrediction(names(3), ("a",), np.arange(3.0)[:, None], np.empty(0), np.empty((3, 1, 0))),
        TargetValues(CompetingRisks("t", "e", ("a",)), outcome, np.ones(3, bool), ("a",)),
    )
    parts = {
        ClassPrediction: folds[0],
        LabelsPrediction: (
            LabelsPrediction(names(3), ("a",), np.arange(3.0)[:, None] / 3),
            TargetValues(
                Labels(("a",)), {"label": np.eye(3, 1), "told": np.ones((3, 1), bool)}, np.ones(3, bool), ("a",)
            ),
        ),
        SurvivalPrediction: prognosis(names(3), np.arange(3.0), np.arange(3.0), np.ones(3)),
        CompetingPrediction: course,
        CausePrediction: (course[0].of_cause("a"), course[1].of_cause("a")),
        NumberPrediction: number(names(3), np.arange(3.0), np.arange(3.0)),
        MaskPrediction: (
            MaskPrediction(names(3), np.ones(3), np.ones(3)),
            TargetValues(Masks("mri"), {"value": np.ones(3)}, np.ones(3, bool)),
        ),
    }
    given = [outcome.metric for part in parts.values() for outcome in score([part], replicates=2)]
    assert given == [name for name, metric in METRICS.items() if metric.classes != "several"]
    primary = [primary_metric(about) for about in (*parts, *(truth for _, truth in parts.values()))]
    assert primary == ["auroc", "macro_auroc", "c_index", "mean_cause_c_index", "cause_c_index", "mse", "dice"] * 2


def test_what_does_not_fit_is_refused(folds):
    (prediction, truth), *_ = folds
    with pytest.raises(DataError, match="nothing to judge"):
        score([])
    with pytest.raises(DataError, match="20 predictions for 5 truths"):
        score([(prediction, truth[np.arange(5)])])
    with pytest.raises(DataError, match="different kinds"):
        score([number(names(20), np.ones(20), np.ones(20)), (prediction, truth)])
    with pytest.raises(DataError, match="not a finite number for 1 patient: P001"):
        score([number(names(3), np.array([1, np.nan, 2]), np.ones(3))])
    with pytest.raises(DataError, match="twice in one held-out set: P000"):
        score([number(names(3)[[0, 0, 1]], np.ones(3), np.ones(3))])
    with pytest.raises(DataError, match="classes"):
        score([(prediction, TargetValues(truth.spec, truth.fields, truth.known, ("yes", "no")))])
    with pytest.raises(ConfigError, match="replicates is 0"):
        score(folds, replicates=0)


def test_times_and_numbers_of_another_unit_are_refused():
    ids = np.arange(3).astype(str)
    times = {"time": np.array([1.0, 2.0, 3.0]), "event": np.array([1, 0, 1])}
    said = SurvivalPrediction(ids, np.zeros(3), np.array([2.0]), np.full((3, 1), 0.5), unit="months")
    with pytest.raises(DataError, match="in months, truths in days"):
        score([(said, TargetValues(Survival("t", "e", unit="days"), times, np.ones(3, dtype=bool)))])
    size = NumberPrediction(ids, np.arange(3.0), unit="mm")
    for unit in ("mm", ""):
        score([(size, TargetValues(Number("size", unit=unit), {"value": np.ones(3)}, np.ones(3, dtype=bool)))])
    with pytest.raises(DataError, match="in mm, truths in cm"):
        score([(size, TargetValues(Number("size", unit="cm"), {"value": np.ones(3)}, np.ones(3, dtype=bool)))])


def test_parts_that_ask_different_things_are_refused():
    rng = np.random.default_rng(0)
    chance, time, event = rng.dirichlet(np.ones(3), 9), rng.exponential(size=9), np.resize([1, 2, 0], 9)

    def classes(order):
        return class_part(chance[:, : len(order)] / chance[:, : len(order)].sum(1)[:, None], ["a"] * 9, classes=order)

    def labels(order):
        return label_part(chance, np.ones((9, 3)), labels=order)

    def competing(causes, unit="months"):
        said = CompetingPrediction(names(9), causes, chance[:, :2], np.ones(1), chance[:, :2, None], unit)
        fields = {"time": time, "event": event}
        return said, TargetValues(CompetingRisks("t", "e", causes, unit), fields, np.ones(9, bool), causes)

    def cause(name):
        said, truth = competing(("x", "y"))
        return said.of_cause(name), truth.of_cause(name)

    def number(unit):
        return number_part(time, time, unit=unit)

    for what, one, other in (
        ("classes", classes("abc"), classes("acb")),
        ("classes", classes("ab"), classes("abc")),
        ("labels", labels("abc"), labels("acb")),
        ("causes", competing(("x", "y")), competing(("y", "x"))),
        ("unit, true unit", competing(("x", "y")), competing(("x", "y"), "days")),
        ("true cause", cause("x"), cause("y")),
        ("unit", number("mm"), number("cm")),
        ("unit", survival_part(time, time, event > 0), survival_part(time, time, event > 0, unit="days")),
    ):
        for judge in (score, pool):
            with pytest.raises(DataError, match=f"Held-out sets differ in {what}"):
                judge([one, other])


def test_what_is_no_probability_is_refused_and_not_clipped():
    rng = np.random.default_rng(0)
    chance, time, event = rng.dirichlet(np.ones(3), 9), rng.exponential(size=9), np.resize([1, 2, 0], 9)
    several = class_part(chance, np.resize(["a", "b", "c"], 9), ids=names(9))
    course = survival_part(time, time, event > 0, times=[1.0], survival=chance[:, :1], ids=names(9))
    causes = {"causes": ("x", "y"), "risk": chance[:, :2], "times": np.ones(1), "incidence": chance[:, :2, None]}
    competing = CompetingPrediction(names(9), **causes)
    truth = TargetValues(CompetingRisks("t", "e", ("x", "y")), course[1].fields, np.ones(9, bool), ("x", "y"))
    parts = {
        "probability": [several, label_part(chance, np.resize([0, 1], (9, 3)), ids=names(9))],
        "curves": [course],
        "incidence": [(competing, truth), (competing.of_cause("x"), truth.of_cause("x"))],
    }
    for field, given in parts.items():
        for said, answer in given:
            for number in (-0.1, 1.1, np.nan):
                wrong = getattr(said, field).copy()
                wrong[4] = number
                with pytest.raises(DataError, match="for 1 patient: P004"):
                    score([(replace(said, **{field: wrong}), answer)])
            known = np.arange(9) != 4
            score([(replace(said, **{field: wrong}), replace(answer, known=known))], replicates=2)
            score([(replace(said, **{field: getattr(said, field) + 1e-8}), answer)], replicates=2)


def test_patients_without_ids_are_others_in_every_part():
    """As with ids that differ; paired row by row where two models are judged on the same parts."""
    rng = np.random.default_rng(0)
    label, ids = np.resize([0, 0, 1], 120), names(120)
    a, b = (np.clip(0.3 * label + 0.7 * rng.random(120), 0, 1) for _ in range(2))

    def parts(said, ids=None):
        cuts = np.split(np.arange(120), 3)
        return [class_part(said[cut], label[cut], ids=None if ids is None else ids[cut]) for cut in cuts]

    for said, named in zip(score(parts(a), replicates=200), score(parts(a, ids), replicates=200), strict=True):
        assert (said.n, said.events, said.value) == (120, 40, named.value)
        assert said.high - said.low == pytest.approx(named.high - named.low, rel=0.2)
    for compare in (difference, pooled_difference):
        found, named = compare(parts(a), parts(b), "auroc"), compare(parts(a, ids), parts(b, ids), "auroc")
        assert (found.n, found.events, found.value) == (120, 40, named.value)
        assert compare(parts(a), parts(a), "auroc").high == 0
    whole = pool([pool(parts(a)[:2]), pool(parts(a)[2:])])
    assert len(set(whole[0].ids)) == 120
    with pytest.raises(DataError, match="other patients in a than in b"):
        difference(parts(a), parts(b, ids), "auroc")
    with pytest.raises(DataError, match="patients without ids"):
        repeated_folds(parts(a), parts(b), "auroc")


def test_a_patient_has_one_truth_in_all_parts(folds):
    first, other = diagnosis(names(4), np.ones(4) / 2, np.array([0, 1, 0, 1])), np.array([0, 0, 0, 1])
    for judge in (score, pool):
        with pytest.raises(DataError, match=r"1 patient of another truth .*: P001. Give"):
            judge([first, diagnosis(names(4), np.ones(4) / 2, other)])
        judge([first, diagnosis(names(4), np.ones(4) / 2, other, known=np.arange(4) != 1)])
    told = np.array([[True, False], [True, True]])
    found = LabelsPrediction(names(2), ("a", "b"), np.ones((2, 2)) / 2)
    labels = [
        (found, TargetValues(Labels(("a", "b")), {"label": label, "told": told}, np.ones(2, bool), ("a", "b")))
        for label in (np.array([[1, 0], [0, 1]]), np.array([[1, 1], [0, 1]]), np.array([[1, 1], [0, 0]]))
    ]
    score(labels[:2], replicates=2)
    with pytest.raises(DataError, match=r"1 patient of another truth .*: P001. Give"):
        score(labels, replicates=2)


def test_difference_refuses_other_patients_truths_and_metrics(folds):
    part, other = folds[0], folds[1]
    with pytest.raises(DataError, match="1 has other patients in a than in b"):
        difference([part], [other], "auroc")
    rows = np.arange(20)[::-1]
    with pytest.raises(DataError, match="another order"):
        difference([part], [(part[0].take(rows), part[1][rows])], "auroc")
    with pytest.raises(DataError, match="6 held-out sets against 5"):
        difference(folds, folds[1:], "auroc")
    flipped = diagnosis(part[0].ids, part[0].probability[:, 1], 1 - part[1].fields["label"])
    with pytest.raises(DataError, match="other truths"):
        difference([part], [flipped], "auroc")
    with pytest.raises(ConfigError, match="Did you mean 'auroc'"):
        difference([part], [part], "auorc")


def test_score_is_quick():
    """A second of processor time for 25 folds of 60 patients with 1000 replicates, with slack."""
    rng = np.random.default_rng(0)
    ids, risk, time, event = names(300), rng.normal(size=300), rng.exponential(size=300), rng.random(300) < 0.4
    cuts = [fold for _ in range(5) for fold in np.array_split(rng.permutation(300), 5)]
    parts = [prognosis(ids[fold], risk[fold], time[fold], event[fold]) for fold in cuts]
    start = clock.process_time()
    score(parts)
    assert clock.process_time() - start < 2


def test_survival_metrics_of_one_set_and_of_folds():
    """One set is judged as its functions judge it; of folds, each patient adds up."""
    rng = np.random.default_rng(0)
    ids, time, event = names(80), rng.exponential(size=80), (rng.random(80) < 0.6).astype(int)
    times = np.linspace(0.1, 1.5, 9)
    curves = np.exp(-np.outer(np.exp(rng.normal(size=80)), times))
    prediction = SurvivalPrediction(ids, -curves[:, 0], times, curves)
    part = prediction, TargetValues(Survival("t", "e"), {"time": time, "event": event}, np.ones(80, bool))
    found, horizon = by_name(score([part], replicates=2)), float(np.median(time[event == 1]))
    expected = {
        "uno_c": uno_c(prediction.risk, time, event),
        "dynamic_auc": dynamic_auc(prediction.risk, time, event, horizon),
        "ibs": integrated_brier(curves, times, time, event),
        "ipa": prediction_accuracy(1 - prediction.survival([horizon])[:, 0], time, event, horizon),
    }
    assert {name: estimate(judged) for name, judged in expected.items()} == {name: found[name] for name in expected}
    twice = by_name(score([part, part], replicates=2))
    for name in expected:
        assert (twice[name].value, twice[name].n) == (pytest.approx(found[name].value), 80)
        wider = estimate(replace(expected[name], each=spread_over(2) * expected[name].each))
        assert (twice[name].low, twice[name].high) == pytest.approx((wider.low, wider.high))
        assert "mean over 2 of 2 folds" in twice[name].method
