"""AUROC, average precision and concordance against hand-worked cases, brute force, scikit-learn and scikit-survival."""

import json
import time as clock
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.metrics import roc_curve as sklearn_roc_curve

from fusiondx.errors import DataError
from fusiondx.evaluation.discrimination import auroc, average_precision, concordance, one_vs_rest, roc_curve

FROZEN = json.loads((Path(__file__).parent / "frozen" / "survival.json").read_text())


def brute_concordance(risk, time, event, counts):
    concordant = comparable = 0.0
    for i in np.flatnonzero(event):
        for j in range(len(risk)):
            if time[j] > time[i] or (time[j] == time[i] and not event[j]):
                comparable += counts[i] * counts[j]
                concordant += counts[i] * counts[j] * ((risk[i] > risk[j]) + 0.5 * (risk[i] == risk[j]))
    return concordant / comparable if comparable else np.nan


def brute_auroc(score, positive, counts):
    wins = (score[:, None] > score) + 0.5 * (score[:, None] == score)
    pairs = np.outer(counts * positive, counts * ~positive)
    return (wins * pairs).sum() / pairs.sum() if pairs.sum() else np.nan


def test_concordance_equals_brute_force():
    rng = np.random.default_rng(0)
    undefined = 0
    for _ in range(2000):
        n = rng.integers(1, 20)
        risk, time = rng.integers(0, rng.integers(1, 9), n) / 7, rng.integers(0, rng.integers(1, 9), n)
        event, counts = rng.random(n) < rng.choice([0, 0.2, 0.6, 1]), rng.integers(0, 3, (2, n))
        found = concordance(risk, time, event, counts)
        expected = [brute_concordance(risk, time, event, c) for c in counts]
        np.testing.assert_array_equal(found, expected)
        undefined += np.isnan(found).sum()
    assert 100 < undefined < 3000


def test_auroc_equals_brute_force():
    rng = np.random.default_rng(0)
    for _ in range(2000):
        n = rng.integers(1, 20)
        score, positive = rng.integers(0, rng.integers(1, 9), n) / 7, rng.random(n) < rng.choice([0, 0.3, 0.8, 1])
        counts = rng.integers(0, 3, (2, n))
        expected = [brute_auroc(score, positive, c) for c in counts]
        np.testing.assert_allclose(auroc(score, positive, counts), expected, rtol=1e-14)


@pytest.mark.parametrize("name", FROZEN)
def test_concordance_equals_scikit_survival(name):
    patients = {key: np.asarray(values) for key, values in FROZEN[name]["patients"].items()}
    found = concordance(patients["risk"], patients["time"], patients["event"])
    assert float(found) == pytest.approx(FROZEN[name]["c_index"], rel=1e-14)


def test_concordance_by_hand():
    """Who is comparable at one time: event with censored, not event with event."""
    risk = np.array([3.0, 2.0, 1.0])
    assert concordance(risk, np.array([5, 5, 5]), np.array([1, 0, 0])) == 1
    assert np.isnan(concordance(risk[:2], np.array([5, 5]), np.array([1, 1])))
    # (a, b), (a, c), (b, c): two in order, one tie
    assert concordance(np.array([2.0, 1.0, 1.0]), np.array([1, 2, 3]), np.array([1, 1, 0])) == pytest.approx(2.5 / 3)


def test_concordance_compares_exactly():
    risk = np.array([3.0, 2.0, 1.0]) * 1e-300
    assert concordance(risk, np.array([1, 2, 3]), np.array([1, 1, 1])) == 1


@pytest.mark.parametrize("metric", [auroc, average_precision])
def test_nothing_to_tell_apart_is_nan_without_a_warning(metric, recwarn):
    score = np.array([0.1, 0.2])
    assert np.isnan(metric(score, np.array([True, True])))
    assert np.isnan(metric(score, np.array([False, False])))
    assert np.isnan(metric(score, np.array([True, False]), np.array([0, 0])))
    assert not recwarn.list


def test_ranking_metrics_equal_scikit_learn():
    rng = np.random.default_rng(1)
    for _ in range(200):
        n = rng.integers(4, 40)
        score, counts = rng.integers(0, rng.integers(2, 30), n) / 3, rng.integers(0, 3, n)
        positive = rng.random(n) < 0.4
        if len(set(positive[counts > 0])) == 2:
            given = positive, score
            assert float(auroc(score, positive, counts)) == pytest.approx(roc_auc_score(*given, sample_weight=counts))
            expected = average_precision_score(*given, sample_weight=counts)
            assert float(average_precision(score, positive, counts)) == pytest.approx(expected)


def test_multi_class_auroc_equals_scikit_learn():
    rng = np.random.default_rng(2)
    probability = rng.dirichlet(np.ones(4), 80).round(1) + 1e-3
    probability /= probability.sum(axis=1, keepdims=True)
    label = rng.integers(0, 4, 80)
    expected = roc_auc_score(label, probability, multi_class="ovr", average="macro")
    assert float(one_vs_rest(auroc, probability, label)) == pytest.approx(expected)
    # A class that does not occur is left out
    seen = label != 2
    expected = np.mean([roc_auc_score(label[seen] == k, probability[seen, k]) for k in (0, 1, 3)])
    assert float(one_vs_rest(auroc, probability[seen], label[seen])) == pytest.approx(expected)


def test_roc_curve_equals_scikit_learn_and_holds_the_auroc():
    rng = np.random.default_rng(3)
    score, positive = rng.integers(0, 12, 60) / 5, rng.random(60) < 0.4
    for found, expected in zip(
        roc_curve(score, positive), sklearn_roc_curve(positive, score, drop_intermediate=False), strict=True
    ):
        np.testing.assert_allclose(found, expected)
    false, true, _ = roc_curve(score, positive)
    assert np.diff(false) @ (true[1:] + true[:-1]) / 2 == pytest.approx(float(auroc(score, positive)))


@pytest.mark.parametrize("score", [np.array([0, 3, 1, 200], dtype=np.uint8), np.array([0, 1, 0, 1]) == 1, [0, 3, 1, 2]])
def test_roc_curve_takes_scores_of_any_kind(score):
    false, true, _ = roc_curve(score, [0, 1, 0, 1])
    assert np.diff(false) @ (true[1:] + true[:-1]) / 2 == 1


@pytest.mark.parametrize(("score", "positive"), [([0.1, np.nan], [0, 1]), ([0.1, 0.2], [0, 2]), ([0.1], [0, 1])])
def test_roc_curve_refuses_what_is_no_score_or_label(score, positive):
    with pytest.raises(DataError):
        roc_curve(score, positive)


def test_concordance_grows_with_n_log_n():
    """Sixteen times the patients may cost some twenty times as much; a matrix of pairs would cost 256 times."""
    rng = np.random.default_rng(0)

    def seconds(n):
        patients = rng.normal(size=n), rng.integers(0, 100, n), rng.random(n) < 0.5
        best = np.inf
        for _ in range(5):
            start = clock.process_time()
            concordance(*patients)
            best = min(best, clock.process_time() - start)
        return best

    assert seconds(64_000) < 60 * seconds(4_000)
