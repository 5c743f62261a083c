"""What must hold of survival metrics, whatever the patients."""

import warnings

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fusiondx.errors import DataError
from fusiondx.evaluation.a_calibration import ACalibration, a_calibration, d_calibration
from fusiondx.evaluation.antolini import antolini_c
from fusiondx.evaluation.concordance import harrell_c
from fusiondx.evaluation.discrimination import auroc
from fusiondx.evaluation.dynamic_auc import dynamic_auc, dynamic_aucs, integrated_auc
from fusiondx.evaluation.estimate import Estimate, Undefined
from fusiondx.evaluation.groups import cut_points, risk_groups
from fusiondx.evaluation.influence import Influence, compare, estimate
from fusiondx.evaluation.restricted_mean import restricted_mean, restricted_mean_difference
from fusiondx.evaluation.survival_benefit import survival_net_benefit
from fusiondx.evaluation.survival_brier import (
    brier_scores,
    integrated_brier,
    integrated_errors,
    prediction_accuracy,
    survival_brier,
)
from fusiondx.evaluation.survival_calibration import (
    calibration_groups,
    calibration_slope,
    observed_expected,
    smooth_calibration,
)
from fusiondx.evaluation.uno import uno_c
from fusiondx.survival.competing import incidence
from fusiondx.survival.estimators import kaplan_meier
from fusiondx.survival.weights import AtHorizon, Censoring

laws = settings(max_examples=5, deadline=None)
GRID = np.array([1.0, 3.0, 4.5, 6.0])


@st.composite
def patients(draw, causes=1):
    """Risks, times and events of 6 to 25 patients, with ties."""
    n = draw(st.integers(6, 25))

    def column(least, most):
        return np.array(draw(st.lists(st.integers(least, most), min_size=n, max_size=n)))

    return column(-8, 8) / 4, column(1, 9).astype(float), column(0, causes)


def chance(risk, at):
    return 1 - np.exp(-np.asarray(at) / 8 * np.exp(risk))


def curves(risk, times=GRID):
    return np.stack([1 - chance(risk, t) for t in times], axis=1)


RANKED = {
    "harrell": lambda risk, time, event, unit=1.0: harrell_c(risk, time, event),
    "uno": lambda risk, time, event, unit=1.0: uno_c(risk, time, event, 6 * unit),
    "auc": lambda risk, time, event, unit=1.0: dynamic_auc(risk, time, event, 4.5 * unit),
    "iauc": lambda risk, time, event, unit=1.0: integrated_auc(risk, time, event, GRID * unit),
}
JUDGES = RANKED | {
    "antolini": lambda risk, time, event, unit=1.0: antolini_c(curves(risk), GRID * unit, time, event),
    "brier": lambda risk, time, event, unit=1.0: survival_brier(chance(risk, 4.5), time, event, 4.5 * unit),
    "ipa": lambda risk, time, event, unit=1.0: prediction_accuracy(chance(risk, 4.5), time, event, 4.5 * unit),
    "ibs": lambda risk, time, event, unit=1.0: integrated_brier(curves(risk), GRID * unit, time, event),
    "o_e": lambda risk, time, event, unit=1.0: observed_expected(chance(risk, 4.5), time, event, 4.5 * unit),
    "benefit": lambda risk, time, event, unit=1.0: survival_net_benefit(
        chance(risk, 4.5), time, event, 4.5 * unit, 0.3
    ),
}
every_judge = pytest.mark.parametrize("judge", JUDGES.values(), ids=JUDGES)
every_ranked = pytest.mark.parametrize("judge", RANKED.values(), ids=RANKED)


def defined(judged):
    assume(isinstance(judged, Influence))
    return judged


@every_judge
@laws
@given(patients(causes=2))
def test_influences_are_derivatives_and_sum_to_zero(judge, some):
    """One patient more or less among 40 copies of everyone moves the value as its influence says."""
    if judge is JUDGES["iauc"]:
        some = (*some[:2], np.minimum(some[2], 1))
    judged = defined(judge(*some))
    assert judged.each.sum() == pytest.approx(0, abs=1e-12)
    if judge in (JUDGES["iauc"], JUDGES["ibs"]):
        return  # what holds of each horizon holds of their mean, but 40 copies are followed for longer
    who, copies = int(np.argmax(np.abs(judged.each))), 40
    many = [np.tile(column, copies) for column in some]
    more = judge(*(np.append(column, column[who]) for column in many)).value
    less = judge(*(np.delete(column, who) for column in many)).value
    assert (more - less) / 2 * copies == pytest.approx(judged.each[who], abs=2e-3 * (1 + abs(judged.each[who])))


@every_judge
@laws
@given(patients(causes=2))
def test_everyone_twice_keeps_the_value_and_halves_the_variance(judge, some):
    once = defined(judge(*some))
    twice = defined(judge(*(np.tile(column, 2) for column in some)))
    assume(once.horizon == twice.horizon and once.convention == twice.convention)
    assert twice.value == pytest.approx(once.value, abs=1e-12)
    assert twice.standard_error == pytest.approx(once.standard_error / np.sqrt(2), abs=1e-9)


@every_judge
@laws
@given(patients(causes=2), st.randoms(use_true_random=False))
def test_order_of_patients_changes_nothing(judge, some, random):
    judged = defined(judge(*some))
    order = list(range(len(some[0])))
    random.shuffle(order)
    turned = judge(*(column[order] for column in some))
    assert turned.value == pytest.approx(judged.value, abs=1e-12)
    np.testing.assert_allclose(turned.each, judged.each[order], atol=1e-12)


@every_judge
@laws
@given(patients(causes=2), st.sampled_from([1 / 32, 64.0]))
def test_unit_of_time_changes_nothing(judge, some, unit):
    judged = defined(judge(*some))
    risk, time, event = some
    assert judge(risk, time * unit, event, unit).value == judged.value


@every_judge
@laws
@given(patients(causes=2))
def test_intervals_hold_their_values_and_comparison_with_oneself_finds_nothing(judge, some):
    judged = defined(judge(*some))
    shown = estimate(judged)
    assert shown.low <= shown.value <= shown.high
    assert shown.n == len(some[0])
    itself = compare(judged, judged)
    assert (itself.value, itself.low, itself.high, itself.p) == (0, 0, 0, 1)


def test_an_auc_of_perfect_order_is_1_and_no_more():
    """Weights that differ are summed in another order by rank than by patient."""
    for seed in range(40):
        rng = np.random.default_rng(seed)
        time, event = rng.exponential(size=40).round(2) + 0.01, rng.integers(0, 3, 40)
        by = np.quantile(time, [0.3, 0.5, 0.7])
        for judged in (dynamic_auc(-time, time, event != 0, by[1]), integrated_auc(-time, time, event != 0, by)):
            shown = estimate(judged)
            assert shown.value == pytest.approx(1)
            assert shown.value <= shown.high <= 1
        assert (dynamic_aucs(-time, by, Censoring.of(time, (event != 0).astype(int))) <= 1).all()


@every_judge
@laws
@given(patients(causes=2))
def test_single_precision_is_near(judge, some):
    judged = defined(judge(*some))
    assert judge(*(column.astype(np.float32) for column in some)).value == pytest.approx(judged.value, abs=1e-5)


@every_ranked
@pytest.mark.parametrize("change", [lambda r: r * 1e-12, lambda r: r * 1e12, np.exp], ids=["tiny", "huge", "exp"])
@laws
@given(patients(causes=2))
def test_only_the_order_of_risks_counts(judge, change, some):
    risk, *rest = some
    plain = defined(judge(risk, *rest))
    assert judge(change(risk), *rest).value == plain.value


@every_ranked
@laws
@given(patients(causes=2))
def test_risk_reversed_is_one_minus(judge, some):
    risk, *rest = some
    plain = defined(judge(risk, *rest))
    assert judge(-risk, *rest).value == pytest.approx(1 - plain.value, abs=1e-12)


@laws
@given(patients(causes=2), st.sampled_from([1.0, 4.0, 6.5]))
def test_weights_sum_to_the_patients(some, horizon):
    censoring = Censoring.of(*some[1:])
    assume(censoring.at(horizon) > 0)
    assert AtHorizon(censoring, horizon).weight.sum() == pytest.approx(len(some[0]))


@laws
@given(patients())
def test_without_censoring_metrics_are_the_plain_ones(some):
    risk, time, _ = some
    event = np.ones(len(time), dtype=int)
    by = time <= 4.5
    assume(by.any() and not by.all())
    assert dynamic_auc(risk, time, event, 4.5).value == pytest.approx(float(auroc(risk, by)))
    assert survival_brier(chance(risk, 4.5), time, event, 4.5).value == pytest.approx(
        np.mean((chance(risk, 4.5) - by) ** 2)
    )
    assert uno_c(risk, time, event, time.max()).value == pytest.approx(harrell_c(risk, time, event).value)
    assert restricted_mean(time, event, 100.0).value == pytest.approx(time.mean())


@laws
@given(patients(causes=2))
def test_what_everyone_shares_says_nothing_more_than_itself(some):
    """The same probability for all: IPA 0, Brier p(1 - p), O:E 1, no net benefit beyond treating all."""
    _, time, event = some
    everyone = float(incidence(time, event).at(4.5))
    same = np.full(len(time), everyone)
    defined(prediction_accuracy(same, time, event, 4.5))
    assert prediction_accuracy(same, time, event, 4.5).value == pytest.approx(0, abs=1e-9)
    assert survival_brier(same, time, event, 4.5).value == pytest.approx(everyone * (1 - everyone))
    assert observed_expected(same, time, event, 4.5).value == pytest.approx(1)
    assert survival_net_benefit(np.ones(len(time)), time, event, 4.5, 1e-9).value == pytest.approx(everyone, abs=1e-8)
    assert survival_net_benefit(np.zeros(len(time)), time, event, 4.5, 0.5).value == 0


@laws
@given(patients(causes=3))
def test_incidences_and_survival_add_up_to_one(some):
    _, time, event = some
    at = np.arange(0.0, 11.0)
    total = sum(incidence(time, event, cause).at(at) for cause in (1, 2, 3))
    np.testing.assert_allclose(total + kaplan_meier(time, event != 0).at(at), 1, atol=1e-12)
    alone = incidence(time, event != 0)
    np.testing.assert_allclose(alone.variance, kaplan_meier(time, event != 0).variance, atol=1e-12)


@laws
@given(patients())
def test_antolini_is_harrell_where_curves_do_not_cross(some):
    risk, time, event = some
    grid = np.arange(1.0, 10.0)
    judged = defined(antolini_c(curves(risk, grid), grid, time, event))
    plain = harrell_c(risk, time, event)
    assert judged.value == pytest.approx(plain.value)
    np.testing.assert_allclose(judged.each, plain.each, atol=1e-12)


@laws
@given(patients(causes=2))
def test_many_horizons_at_once_are_each_alone(some):
    risk, time, event = some
    censoring, survival = Censoring.of(time, event), curves(risk)
    judged = integrated_brier(survival, GRID, time, event)
    for place, horizon in enumerate(GRID):
        alone = survival_brier(1 - survival[:, place], time, event, horizon)
        if isinstance(alone, Influence):
            assert brier_scores(survival, GRID, censoring)[place] == pytest.approx(alone.value)
    if isinstance(judged, Influence) and judged.horizon == GRID[-1]:
        assert integrated_errors(survival, GRID, censoring).mean() == pytest.approx(judged.value)


@laws
@given(patients())
def test_a_and_d_calibration_count_everyone_once_whatever_the_clock(some):
    risk, time, event = some
    grid = np.arange(1.0, 10.0)
    found = a_calibration(curves(risk, grid), grid, time, event)
    assume(isinstance(found, ACalibration))
    assert found.observed.sum() == event.sum()
    assert 0 <= found.p <= 1
    assert a_calibration(curves(risk, grid), grid**2, time**2, event).chi2 == pytest.approx(found.chi2)
    assert d_calibration(curves(risk, grid), grid, time, event).share.sum() == pytest.approx(1)


def test_a_patient_censored_where_its_curve_has_reached_0_is_in_the_lowest_part():
    curve = [[0.5, 0.0], [0.5, 0.0]]
    assert d_calibration(curve, [1.0, 2.0], [3.0, 3.0], [0, 1]).share.tolist() == [1] + [0] * 9


def test_a_calibration_rejects_one_in_twenty_right_models_and_most_wrong_ones():
    rng = np.random.default_rng(0)
    grid = np.linspace(0.5, 40, 80)
    rejections = {0.0: [], 0.5: []}
    for _ in range(100):
        risk, end = rng.normal(size=200), rng.exponential(8, 200)
        latent = rng.exponential(8 * np.exp(-risk))
        for shift, found in rejections.items():
            tested = a_calibration(curves(risk + shift, grid), grid, np.minimum(latent, end), latent <= end)
            found.append(tested.p < 0.05)
    assert 0.005 < np.mean(rejections[0.0]) < 0.11
    assert np.mean(rejections[0.5]) > 0.8


def test_groups_are_cut_on_training_patients():
    training = np.arange(100.0)
    assert np.bincount(risk_groups(training, cut_points(training, 4))).tolist() == [25, 25, 25, 25]
    with pytest.raises(DataError, match="Cut points"):
        cut_points([])


def test_censoring_from_training_patients_is_said_and_used():
    rng = np.random.default_rng(1)
    risk, time, event = rng.normal(size=60), rng.exponential(4, 60), rng.integers(0, 2, 60)
    train = rng.exponential(4, 200), rng.integers(0, 2, 200)
    for judge in (
        lambda given: uno_c(risk, time, event, 3.0, given),
        lambda given: dynamic_auc(risk, time, event, 3.0, given),
        lambda given: survival_brier(chance(risk, 3.0), time, event, 3.0, given),
        lambda given: integrated_brier(curves(risk), GRID, time, event, given),
        lambda given: prediction_accuracy(chance(risk, 3.0), time, event, 3.0, given),
    ):
        own, trained = judge(None), judge(train)
        assert "G from training patients" in trained.convention
        assert "G from the patients judged" in own.convention
        assert own.value != trained.value
        # Where G is that of the patients judged, but does not move with them, only the error differs
        assert judge((time, event)).value == pytest.approx(own.value)


def test_nothing_is_said_beyond_the_follow_up_of_training_patients():
    """Their last is an event at 5, so that G stops there without being 0."""
    rng = np.random.default_rng(1)
    risk, time, event = rng.normal(size=60), np.linspace(0.2, 12, 60), np.arange(60) % 3 > 0
    train = np.append(rng.uniform(0, 5, 50), 5.0), np.append(rng.integers(0, 2, 50), 1)
    for judged in (
        uno_c(risk, time, event, 6.0, train),
        dynamic_auc(risk, time, event, 6.0, train),
        survival_brier(chance(risk, 6.0), time, event, 6.0, train),
        prediction_accuracy(chance(risk, 6.0), time, event, 6.0, train),
    ):
        assert "G is estimated from ends at 5, before 6" in judged.reason
    assert uno_c(risk, time, event, train=train).horizon <= 5
    assert integrated_brier(curves(risk), GRID, time, event, train).horizon == 4.5
    assert integrated_auc(risk, time, event, GRID, train).convention.startswith("3 of 4 horizons")
    np.testing.assert_array_equal(np.isnan(dynamic_aucs(risk, GRID, Censoring.of(time, event, train))), GRID > 5)


FOUR = np.array([0.3, 0.1, -0.2, -0.4]), np.array([1.0, 2, 3, 4]), np.array([1, 0, 1, 1])
TIMED = {
    "uno": lambda at: uno_c(*FOUR, tau=at),
    "auc": lambda at: dynamic_auc(*FOUR, at),
    "iauc": lambda at: integrated_auc(*FOUR, [2.0, at]),
    "brier": lambda at: survival_brier(chance(FOUR[0], 2), *FOUR[1:], at),
    "ipa": lambda at: prediction_accuracy(chance(FOUR[0], 2), *FOUR[1:], at),
    "o_e": lambda at: observed_expected(chance(FOUR[0], 2), *FOUR[1:], at),
    "groups": lambda at: calibration_groups(chance(FOUR[0], 2), *FOUR[1:], at),
    "smooth": lambda at: smooth_calibration(chance(FOUR[0], 2), *FOUR[1:], at),
    "benefit": lambda at: survival_net_benefit(chance(FOUR[0], 2), *FOUR[1:], at, 0.3),
    "mean": lambda at: restricted_mean(*FOUR[1:], at),
    "means": lambda at: restricted_mean_difference(*FOUR[1:], np.arange(4) % 2, at),
}


@pytest.mark.parametrize("at", [np.nan, -1.0, np.inf])
@pytest.mark.parametrize("judge", TIMED)
def test_a_time_to_judge_at_is_finite_and_not_negative(judge, at):
    with pytest.raises(DataError, match="Give a time of 0 or more"):
        TIMED[judge](at)


def test_patients_censored_early_say_little_of_a_groups_share():
    """45 of 50 are censored at 0.1, and none of the five left has the event: 0 events in 5 patients, not in 50."""
    time, event = np.repeat([0.1, 9.0], [45, 5]), np.zeros(50)
    (group,) = calibration_groups(np.full(50, 0.2), time, event, 1.0)
    said = group.observed
    assert (said.value, said.low, said.n, said.events) == (0, 0, 50, 0)
    assert 0.45 < said.high < 0.7


@pytest.mark.parametrize(("early", "share"), [(0.85, 0.2), (0.7, 0.2), (0.85, 0.05), (0.0, 0.1)])
def test_a_groups_interval_holds_its_share_however_many_are_censored_early(early, share):
    rng, held = np.random.default_rng(0), []
    for _ in range(400):
        latent = rng.exponential(-1 / np.log1p(-share), 50)
        end = np.where(rng.random(50) < early, rng.uniform(0, 0.1, 50), 9.0)
        (group,) = calibration_groups(np.full(50, 0.2), np.minimum(latent, end), latent <= end, 1.0)
        if isinstance(group.observed, Estimate):
            held.append(group.observed.low <= share <= group.observed.high)
    assert np.mean(held) > 0.91


UNFIT = {
    "nobody": ([], [], []),
    "one patient": ([1.0], [2.0], [1]),
    "no events": ([1.0, 2.0], [3.0, 4.0], [0, 0]),
    "all at once": ([1.0, 2.0, 0.0], [2.0, 2.0, 2.0], [1, 1, 1]),
    "gone before": ([1.0, 2.0, 0.0], [0.5, 0.2, 0.3], [1, 0, 0]),
    "only rivals": ([1.0, 2.0, 0.0], [0.5, 2.0, 9.0], [2, 2, 0]),
    "time zero": ([1.0, 2.0, 0.0], [0.0, 0.0, 9.0], [1, 0, 0]),
}
OTHERS = {
    "slope": lambda risk, time, event: calibration_slope(risk, time, event),
    "smooth": lambda risk, time, event: smooth_calibration(chance(risk, 4.5), time, event, 4.5),
    "a": lambda risk, time, event: a_calibration(curves(risk), GRID, time, event),
    "d": lambda risk, time, event: d_calibration(curves(risk), GRID, time, event),
    "groups": lambda risk, time, event: calibration_groups(chance(risk, 4.5), time, event, 4.5),
    "mean": lambda risk, time, event: restricted_mean(time, event, 4.5),
    "means": lambda risk, time, event: restricted_mean_difference(time, event, np.arange(len(time)) % 2, 4.5),
}


@pytest.mark.parametrize("case", UNFIT)
@pytest.mark.parametrize("judge", [*JUDGES, *OTHERS])
def test_what_cannot_be_computed_is_said(judge, case):
    with warnings.catch_warnings(), np.errstate(all="raise", under="ignore"):
        warnings.simplefilter("error")
        risk, time, event = (np.asarray(column, dtype=float) for column in UNFIT[case])
        said = (JUDGES | OTHERS)[judge](risk, time, event)
    for one in said if isinstance(said, tuple) else [said]:
        if isinstance(one, Influence):
            one = estimate(one)
        assert one.reason if isinstance(one, Undefined) else not hasattr(one, "low") or one.low <= one.value <= one.high
        assert "nan" not in str(one)


BAD = {
    "missing risk": ([np.nan, 1.0], [1.0, 2.0], [1, 0]),
    "infinite risk": ([np.inf, 1.0], [1.0, 2.0], [1, 0]),
    "negative time": ([0.0, 1.0], [-1.0, 2.0], [1, 0]),
    "missing time": ([0.0, 1.0], [np.nan, 2.0], [1, 0]),
    "half an event": ([0.0, 1.0], [1.0, 2.0], [0.5, 0]),
    "negative event": ([0.0, 1.0], [1.0, 2.0], [-1, 0]),
    "infinite event": ([0.0, 1.0], [1.0, 2.0], [np.inf, 0]),
    "no event's number": ([0.0, 1.0], [1.0, 2.0], [1e300, 1]),
    "words for times": ([0.0, 1.0], ["soon", "late"], [1, 0]),
    "words for events": ([0.0, 1.0], [1.0, 2.0], ["death", "none"]),
    "too few events": ([0.0, 1.0], [1.0, 2.0], [1]),
    "too few risks": ([0.0], [1.0, 2.0], [1, 0]),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("judge", RANKED)
def test_input_that_cannot_be_judged_is_refused(judge, case):
    with pytest.raises(DataError):
        RANKED[judge](*BAD[case])


@pytest.mark.parametrize("judge", ["brier", "ipa", "o_e", "benefit", "smooth", "groups"])
def test_only_one_probability_per_patient_is_judged_at_a_horizon(judge):
    with pytest.raises(DataError, match=r"shape \(3, 2\), not \(3,\)"):
        (JUDGES | OTHERS)[judge](np.zeros((3, 2)), [1.0, 2.0, 9.0], [1, 0, 0])


def test_a_message_counts_what_it_names():
    with pytest.raises(DataError, match="2 predicted probabilities missing or outside 0 to 1, in rows 0, 2"):
        survival_brier([np.nan, 0.1, 2.0], [1.0, 2.0, 9.0], [1, 0, 0], 4.5)
    with pytest.raises(DataError, match="1 time negative, missing or infinite, in row 1"):
        harrell_c([0.0, 1.0], [1.0, -2.0], [1, 0])


@pytest.mark.parametrize(
    ("survival", "times"),
    [
        ([[1.2, 0.5], [0.9, 0.5]], [1, 2]),
        ([[np.nan, 0.5], [0.9, 0.5]], [1, 2]),
        ([[0.4, 0.5], [0.9, 0.5]], [1, 2]),
        ([[0.6, 0.5], [0.9, 0.5]], [1, 1]),
        ([[0.6, 0.5], [0.9, 0.5]], [1, np.inf]),
        ([[0.6, 0.5], [0.9, 0.5]], [1]),
    ],
)
@pytest.mark.parametrize("judge", [integrated_brier, antolini_c, a_calibration, d_calibration])
def test_curves_that_cannot_be_are_refused(judge, survival, times):
    with pytest.raises(DataError):
        judge(survival, times, [1.0, 3.0], [1, 0])


def test_columns_move_with_times_that_are_not_in_order():
    rng = np.random.default_rng(0)
    risk, time, event = rng.normal(size=40), rng.exponential(6, 40), rng.integers(0, 2, 40)
    turned = integrated_brier(curves(risk)[:, ::-1], GRID[::-1], time, event)
    assert turned.value == integrated_brier(curves(risk), GRID, time, event).value


def test_different_questions_are_not_compared():
    rng = np.random.default_rng(0)
    risk, time, event = rng.normal(size=40), rng.exponential(6, 40), rng.integers(0, 2, 40)
    with pytest.raises(DataError, match="one metric"):
        compare(dynamic_auc(risk, time, event, 2.0), dynamic_auc(risk, time, event, 3.0))
    missing = dynamic_auc(risk, time, event, 1e9)
    assert compare(harrell_c(risk, time, event), missing) is missing
    assert isinstance(estimate(harrell_c(risk, time, event)), Estimate)


@pytest.mark.parametrize(
    ("risk", "time", "event"),
    [
        (np.linspace(-3, 1, 30), np.arange(1.0, 31), np.arange(30) == 4),
        (np.array([-1.5, -0.4, 0.8]), np.array([3.0, 2.0, 1.0]), np.ones(3)),
        (np.linspace(1, -3, 30), np.arange(1.0, 31), np.ones(30)),
        (np.repeat([2.0, -9.0], 15), np.arange(1.0, 31), np.ones(30)),
    ],
    ids=["one event", "three patients", "in perfect order", "two groups apart"],
)
def test_a_calibration_curve_that_outcomes_leave_open_has_a_wide_interval(risk, time, event):
    with warnings.catch_warnings(), np.errstate(all="raise", under="ignore"):
        warnings.simplefilter("error")
        found = smooth_calibration(-np.expm1(-np.exp(risk)), time, event.astype(int), float(np.median(time)))
    assert 0 <= found.ici.low <= found.ici.value <= found.ici.high <= 1
    assert found.ici.low == 0
