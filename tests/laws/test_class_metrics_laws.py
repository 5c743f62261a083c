"""What must hold of estimates for classes, whatever the patients."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit

from fusiondx import evaluation as ev
from fusiondx.core.predictions import ClassPrediction
from fusiondx.core.targets import Classes, TargetValues
from fusiondx.evaluation.delong import auroc_of
from fusiondx.evaluation.estimate import Estimate
from fusiondx.evaluation.proportions import wilson

laws = settings(max_examples=20, deadline=None)
ESTIMATES = {
    "auroc": ev.estimate_auroc,
    "average_precision": ev.estimate_average_precision,
    "brier": ev.estimate_brier,
    "brier_skill": ev.estimate_brier_skill,
    "intercept": ev.estimate_calibration_intercept,
    "slope": ev.estimate_calibration_slope,
    "observed_expected": ev.estimate_observed_expected,
    "ici": lambda p, y: ev.estimate_calibration_errors(p, y)[0],
    "ece": ev.estimate_ece,
    "net_benefit": lambda p, y: ev.estimate_net_benefit(p, y, 0.3),
    "sensitivity": lambda p, y: ev.judge_threshold(p, y, 0.3)[0],
    "ppv": lambda p, y: ev.judge_threshold(p, y, 0.3, prevalence=0.1)[4],
}
every = pytest.mark.parametrize("estimate", ESTIMATES.values(), ids=ESTIMATES)


@st.composite
def patients(draw, least=1):
    """Probabilities with ties, 0 and 1 among them, and labels, of up to 30 patients."""
    n = draw(st.integers(least, 30))
    chance = draw(st.lists(st.integers(0, draw(st.integers(1, 20))), min_size=n, max_size=n))
    return np.array(chance) / 20, np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n)))


def both(positive):
    return positive.any() and not positive.all()


@every
@laws
@given(patients())
def test_every_outcome_is_an_estimate_in_its_interval_or_a_reason(estimate, given_patients):
    with np.errstate(all="raise", under="ignore"):
        found = estimate(*given_patients)
    if isinstance(found, Estimate):
        assert found.low <= found.value + 1e-12
        assert found.value - 1e-12 <= found.high
        assert not np.isnan([found.value, found.low, found.high]).any()
    else:
        assert found.reason


@every
@laws
@given(patients(), st.randoms(use_true_random=False))
def test_order_of_patients_changes_nothing(estimate, given_patients, random):
    probability, positive = given_patients
    order = random.sample(range(len(positive)), len(positive))
    one, other = estimate(probability, positive), estimate(probability[order], positive[order])
    assert type(one) is type(other)
    if isinstance(one, Estimate):
        assert (one.value, one.low, one.high) == pytest.approx((other.value, other.low, other.high), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(
    "name", ["auroc", "average_precision", "brier", "brier_skill", "observed_expected", "sensitivity"]
)
@laws
@given(patients())
def test_everyone_twice_changes_no_value_and_narrows_no_less(name, given_patients):
    probability, positive = given_patients
    one, two = (ESTIMATES[name](np.tile(probability, k), np.tile(positive, k)) for k in (1, 2))
    if isinstance(one, Estimate):
        assert two.value == pytest.approx(one.value, abs=1e-12)
        assert two.high - two.low <= one.high - one.low + 1e-9


@laws
@given(patients())
def test_auroc_and_its_interval_only_know_the_order(given_patients):
    score, positive = given_patients
    for change in (lambda s: s * 1e-12, lambda s: s**3 - 5, np.exp):
        assert ev.estimate_auroc(change(score), positive) == ev.estimate_auroc(score, positive)


@laws
@given(patients())
def test_scores_turned_round_turn_the_auroc_and_its_interval(given_patients):
    score, positive = given_patients
    one, other = ev.estimate_auroc(score, positive), ev.estimate_auroc(-score, positive)
    if isinstance(one, Estimate):
        assert (1 - other.value, 1 - other.high, 1 - other.low) == pytest.approx(
            (one.value, one.low, one.high), abs=1e-9
        )


@laws
@given(patients())
def test_influences_add_up_to_nothing(given_patients):
    score, positive = given_patients
    if both(positive):
        assert auroc_of(score, positive).influence[positive].sum() == pytest.approx(0, abs=1e-12)
        from fusiondx.evaluation.average_precision import average_precision_of

        assert average_precision_of(score, positive)[1].sum() == pytest.approx(0, abs=1e-12)


@laws
@given(patients())
def test_a_model_does_not_differ_from_itself(given_patients):
    score, positive = given_patients
    found = ev.auroc_difference(score, score, positive)
    assert not isinstance(found, Estimate) or (found.value, found.low, found.high, found.p) == (0, 0, 0, 1)


@laws
@given(patients())
def test_corp_parts_add_up_to_the_brier_score(given_patients):
    parts = ev.brier_parts(*given_patients)
    assert parts.miscalibration - parts.discrimination + parts.uncertainty == pytest.approx(parts.brier, abs=1e-15)
    assert parts.miscalibration >= -1e-15
    assert parts.discrimination >= -1e-15


@laws
@given(patients())
def test_isotonic_risks_rise_and_keep_the_number_of_positives(given_patients):
    frame = ev.reliability_frame(*given_patients, replicates=2)
    assert (np.diff(frame["observed"]) >= -1e-12).all()
    assert (frame["observed"] * frame["patients"]).sum() == pytest.approx(given_patients[1].sum())


@laws
@given(patients(least=6))
def test_recalibrated_probabilities_are_calibrated(given_patients):
    probability, positive = np.clip(given_patients[0], 0.05, 0.95), given_patients[1]
    fitted = ev.recalibration(probability, positive)
    if isinstance(fitted, tuple) and 0.05 < abs(fitted[1]) < 5:
        mended = expit(fitted[0] + fitted[1] * logit(probability))
        assert ev.recalibration(mended, positive) == pytest.approx((0, 1), abs=1e-6)
        assert ev.estimate_calibration_intercept(mended, positive).value == pytest.approx(0, abs=1e-6)
        assert ev.estimate_observed_expected(mended, positive).value == pytest.approx(1, abs=1e-6)


def test_one_patient_of_many_rows_leaves_calibration_in_the_large_without_ends_of_its_own():
    """Ten of the thirteen positive rows are one patient's: no shift, however far, is rejected."""
    patient = np.array([0] * 10 + list(range(1, 40)))
    probability, positive = np.linspace(0.1, 0.6, 49), patient < 4
    found = ev.estimate_calibration_intercept(probability, positive, patient)
    assert "Wald" in found.method
    assert found.low < found.value < found.high < np.inf
    assert "score" in ev.estimate_calibration_intercept(probability, positive).method


@laws
@given(patients(least=2), st.data())
def test_calibration_in_the_large_ends_whoever_the_rows_are_of(given_patients, data):
    probability, positive = given_patients
    n = len(positive)
    patient = np.array(data.draw(st.lists(st.integers(0, n // 2), min_size=n, max_size=n)))
    found = ev.estimate_calibration_intercept(probability, positive, patient)
    assert isinstance(found, Estimate) == both(positive)


@laws
@given(patients())
def test_net_benefit_tends_to_the_prevalence_and_treating_all_is_its_bound_at_low_thresholds(given_patients):
    probability, positive = given_patients
    frame = ev.net_benefit_frame(np.maximum(probability, 0.05), positive, [1e-9, 0.04])
    assert frame["net_benefit"].to_numpy() == pytest.approx(frame["treat_all"].to_numpy())
    assert frame["net_benefit"].iloc[0] == pytest.approx(positive.mean(), abs=1e-8)
    assert (frame["net_benefit"] <= positive.mean() + 1e-12).all()


@laws
@given(patients(), st.floats(0.05, 0.95))
def test_predictive_values_at_the_patients_own_prevalence_are_those_counted(given_patients, threshold):
    probability, positive = given_patients
    if both(positive):
        counted = ev.judge_threshold(probability, positive, threshold)[4:]
        by_bayes = ev.judge_threshold(probability, positive, threshold, prevalence=positive.mean())[4:]
        for one, other in zip(counted, by_bayes, strict=True):
            assert type(one) is type(other)
            assert not isinstance(one, Estimate) or one.value == pytest.approx(other.value)


@laws
@given(patients(), st.sampled_from([0.5, 0.8, 0.95]))
def test_a_threshold_keeps_its_promise_on_the_patients_it_was_chosen_on(given_patients, least):
    score, positive = given_patients
    if both(positive):
        for rule, which in ((ev.SensitivityAtLeast(least), 0), (ev.SpecificityAtLeast(least), 1)):
            cut = ev.choose_threshold(score, positive, rule)
            assert ev.judge_threshold(score, positive, cut)[which].value >= least - 1e-12


def test_nobody_is_called_positive_where_nothing_else_keeps_a_promise():
    cut = ev.choose_threshold([0.9, 0.9, 0.9, 0.1], [0, 0, 1, 1], ev.SpecificityAtLeast(0.9))
    assert 0.9 < cut.value < 0.91
    assert ev.judge_threshold([0.9, 0.9, 0.9, 0.1], [0, 0, 1, 1], cut)[1].value == 1
    worse_than_nobody = ev.choose_threshold([0.9, 0.1], [0, 1], ev.MostNetBenefit(0.8))
    assert worse_than_nobody.value > 0.9


def test_a_calibration_error_is_at_most_1():
    found = ev.estimate_ece([0.98, 0.99, 1.0], [0, 0, 0])
    assert found.low <= found.value <= found.high <= 1


@laws
@given(st.integers(1, 60), st.data())
def test_wilson_turns_with_what_is_counted(n, data):
    hits = data.draw(st.integers(0, n))
    (low, high), (other_low, other_high) = wilson(hits, n), wilson(n - hits, n)
    assert (low, high) == pytest.approx((1 - other_high, 1 - other_low))
    assert 0 <= low <= hits / n <= high <= 1


@laws
@given(patients(least=4), st.randoms(use_true_random=False))
def test_frames_are_joined_by_id_and_folds_pooled_in_any_order(given_patients, random):
    probability, positive = given_patients
    ids = [f"P{i}" for i in range(len(positive))]
    said, truth = pd.Series(probability, ids), pd.Series(positive.astype(int), ids)
    mixed = truth.loc[random.sample(ids, len(ids))]
    straight = ev.score([ev.class_part(said, truth, classes=["0", "1"])])
    assert ev.score([ev.class_part(said, mixed, classes=["0", "1"])]) == straight


def halves(probability, label, ids):
    prediction = ClassPrediction(ids, ("no", "yes"), np.column_stack([1 - probability, probability]))
    truth = TargetValues(Classes("c"), {"label": label}, np.ones(len(ids), bool), ("no", "yes"))
    cut = np.arange(len(ids)) < len(ids) // 2
    return [(prediction.take(part), truth[part]) for part in (cut, ~cut)]


def test_pooled_comparison_is_delongs_and_a_repetition_adds_no_patients():
    rng = np.random.default_rng(0)
    ids, label = np.array([f"P{i}" for i in range(80)], dtype=object), (rng.random(80) < 0.4).astype(int)
    a, b = rng.random(80), rng.random(80)
    found = ev.pooled_difference(halves(a, label, ids), halves(b, label, ids), "auroc")
    straight = ev.auroc_difference(a, b, label)
    whole = ev.pooled_difference([ev.pool(halves(a, label, ids))], [ev.pool(halves(b, label, ids))], "auroc")
    assert (whole.value, whole.low, whole.high, whole.p) == pytest.approx(
        (straight.value, straight.low, straight.high, straight.p)
    )
    assert found.value == whole.value
    assert found.high - found.value == pytest.approx(np.sqrt(1.5) * (whole.high - whole.value))
    assert (found.n, found.events) == (80, label.sum())
    again = ev.pooled_difference(halves(a, label, ids) * 2, halves(b, label, ids) * 2, "auroc")
    assert (again.n, again.value) == (80, pytest.approx(found.value))
    assert again.high - again.low == pytest.approx(found.high - found.low, rel=0.02)
