"""Comparisons of models: Holm, Nadeau and Bengio, paired differences against hand-worked and known values."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fusiondx.core.predictions import ClassPrediction, CompetingPrediction, SurvivalPrediction
from fusiondx.core.targets import Classes, CompetingRisks, Survival, TargetValues
from fusiondx.errors import ConfigError, DataError
from fusiondx.evaluation.comparison import compare, corrected_resampled, holm, pooled, repeated_folds
from fusiondx.evaluation.estimate import Estimate, Undefined
from fusiondx.evaluation.score import score


def test_holm_by_hand():
    # 4 x .01, 3 x .02 = .06, 2 x .03 = .06, 1 x .04 raised to what went before
    np.testing.assert_allclose(holm([0.04, 0.01, 0.03, 0.02]), [0.06, 0.04, 0.06, 0.06])
    np.testing.assert_allclose(holm([0.5, np.nan, 0.9]), [1.0, np.nan, 1.0])
    assert holm([]).shape == (0,)
    with pytest.raises(DataError, match="not between 0 and 1"):
        holm([0.1, 1.2])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_holm_is_bonferroni_closed_over_all_subsets(p):
    """A hypothesis falls where every intersection with others falls by Bonferroni (Marcus et al. 1976)."""
    subsets = [s for r in range(1, len(p) + 1) for s in itertools.combinations(range(len(p)), r)]
    closed = [max(min(1.0, len(s) * min(p[k] for k in s)) for s in subsets if j in s) for j in range(len(p))]
    np.testing.assert_allclose(holm(p), closed)


def part(ids, score_, label):
    chance = np.asarray(score_, dtype=float)
    truth = TargetValues(Classes("y"), {"label": np.asarray(label)}, np.ones(len(ids), dtype=bool), ("no", "yes"))
    return ClassPrediction(np.array(ids, dtype=object), ("no", "yes"), np.stack([1 - chance, chance], 1)), truth


def folds(seed, noise, k=3, n=90, repeats=1):
    label = np.resize([0, 1], n)
    found = []
    for repeat in range(repeats):
        order = np.random.default_rng(100 + repeat).permutation(n)
        values = label + np.random.default_rng((seed, repeat)).normal(scale=noise, size=n)
        found += [
            part([f"P{i}" for i in at], 1 / (1 + np.exp(-values[at])), label[at]) for at in np.array_split(order, k)
        ]
    return found


def test_a_corrected_interval_by_hand():
    found = corrected_resampled([0.1, 0.2, 0.3, 0.2], trained=80, tested=20)
    assert isinstance(found, Estimate)
    error = np.sqrt((1 / 4 + 20 / 80) * np.var([0.1, 0.2, 0.3, 0.2], ddof=1))
    np.testing.assert_allclose([found.low, found.high], stats.t.interval(0.95, 3, loc=0.2, scale=error))
    np.testing.assert_allclose(found.p, 2 * stats.t(3).sf(0.2 / error))


def test_a_corrected_interval_is_that_of_a_t_test_where_nothing_overlaps():
    values = np.random.default_rng(0).normal(0.1, 1, 12)
    found = corrected_resampled(values, trained=10**9, tested=1)
    test = stats.ttest_1samp(values, 0)
    np.testing.assert_allclose([found.p, found.low, found.high], [test.pvalue, *test.confidence_interval()], rtol=1e-6)


def test_differences_that_say_nothing():
    assert isinstance(corrected_resampled([0.1, np.nan], 80, 20), Undefined)
    same = corrected_resampled([0.0, 0.0], 80, 20)
    assert (same.value, same.low, same.high, same.p) == (0, 0, 0, 1)
    with pytest.raises(ConfigError, match="trained=0"):
        corrected_resampled([0.1, 0.2], 0, 20)


def test_repeated_folds_take_their_sizes_from_the_parts():
    a, b = folds(0, 1.0, repeats=2), folds(1, 3.0, repeats=2)
    each = [score([x])[0].value - score([y])[0].value for x, y in zip(a, b, strict=True)]
    found, by_hand = repeated_folds(a, b, "auroc"), corrected_resampled(each, 60, 30, "auroc")
    np.testing.assert_allclose([found.value, found.low, found.p], [by_hand.value, by_hand.low, by_hand.p])
    with pytest.raises(ConfigError, match="No metric 'c_index'"):
        repeated_folds(a, b, "c_index")


def test_the_baseline_is_the_first_comparison_and_p_values_are_adjusted():
    models = {"good": folds(0, 0.7), "clinical": folds(1, 3.0), "other": folds(2, 0.7)}
    found = compare(models, "auroc", baseline="clinical", replicates=400)
    assert [(one.model, one.versus) for one in found] == [
        ("good", "clinical"),
        ("other", "clinical"),
        ("good", "other"),
    ]
    raw = [one.difference.p for one in found]
    np.testing.assert_allclose([one.p_holm for one in found], holm(raw))
    assert found[0].p_holm < 0.05 < found[2].p_holm
    for one in found:
        assert (one.difference.p < 0.05) == (one.difference.low > 0 or one.difference.high < 0)
    with pytest.raises(ConfigError, match="no model 'clinic'"):
        compare(models, "auroc", baseline="clinic")
    with pytest.raises(ConfigError, match="two or more"):
        compare({"clinical": folds(1, 3.0)}, "auroc", baseline="clinical")


@pytest.mark.slow
def test_the_type_one_error_of_a_paired_difference():
    """Two models of equal worth, 400 times: the test at 5 % rejects about as often."""
    rejected = sum(
        compare({"a": folds(s, 1.5), "b": folds(s + 1000, 1.5)}, "auroc", baseline="b", replicates=199)[0].p_holm
        <= 0.05
        for s in range(400)
    )
    assert 8 <= rejected <= 34, f"{rejected} of 400"


def test_pooled_curves_keep_their_values_on_the_times_of_all_folds():
    """Of folds whose curves step at different times, as often, whatever holds the curves."""
    at, answer = np.array([0.5, 1.5, 2.5, 4.0]), {"time": np.ones(2), "event": np.ones(2, int)}
    parts = []
    for ids, grid in ((["A", "B"], [1.0, 2.0]), (["C", "D"], [1.0, 2.0, 3.0]), (["E", "F"], [2.0, 3.0])):
        incidence = np.linspace(0.1, 0.4, 4 * len(grid)).reshape(2, 2, -1)
        said = CompetingPrediction.of_incidence(np.array(ids), ("a", "b"), np.array(grid), incidence, "months")
        truth = TargetValues(CompetingRisks("t", "e", ("a", "b")), answer, np.ones(2, bool), ("a", "b"))
        parts.append((said, truth))
    whole, _ = pooled(parts)
    np.testing.assert_array_equal(whole.times, [1, 2, 3])
    for cause in ("a", "b"):
        of_cause, _ = pooled([(said.of_cause(cause), truth.of_cause(cause)) for said, truth in parts])
        each = np.concatenate([said.cumulative_incidence(cause, at) for said, _ in parts])
        np.testing.assert_array_equal(whole.cumulative_incidence(cause, at), each)
        np.testing.assert_array_equal(of_cause.cumulative_incidence(at), each)
    alive = [
        SurvivalPrediction(said.ids, said.risk[:, 0], said.times, 1 - said.incidence.sum(axis=1)) for said, _ in parts
    ]
    answers = TargetValues(Survival("t", "e"), answer, np.ones(2, bool))
    found, _ = pooled([(said, answers) for said in alive])
    np.testing.assert_array_equal(found.survival(at), np.concatenate([said.survival(at) for said in alive]))
    bare = SurvivalPrediction(np.array(["G", "H"]), np.ones(2), np.empty(0), np.empty((2, 0)))
    assert pooled([(alive[0], answers), (bare, answers)])[0].curves.shape == (4, 0)


def test_pooled_folds_are_one_set():
    parts = folds(0, 1.0)
    said, truth = pooled(parts)
    assert len(said) == len(truth) == 90
    for one, answer in parts:
        np.testing.assert_array_equal(said.of(one.ids).probability, one.probability)
        at = [list(said.ids).index(id) for id in one.ids]
        np.testing.assert_array_equal(truth.fields["label"][at], answer.fields["label"])
    with pytest.raises(DataError, match="in several folds"):
        pooled(folds(0, 1.0, repeats=2))
