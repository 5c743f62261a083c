"""Rank metrics and their variances against their definitions, pair by pair, on small random cases."""

import numpy as np
import pytest
from scipy.stats import binom

from fusiondx.evaluation.average_precision import average_precision_of
from fusiondx.evaluation.bootstrap import bootstrap_auroc, bootstrap_concordance, bootstrap_integrated_brier, resampled
from fusiondx.evaluation.concordance import concordance
from fusiondx.evaluation.delong import auroc_of
from fusiondx.evaluation.discrimination import auroc, average_precision, hand_till
from fusiondx.evaluation.multiclass import estimate_hand_till
from fusiondx.evaluation.survival_brier import brier_scores, trapezium
from fusiondx.survival.weights import Censoring

CASES = pytest.mark.parametrize("cases", [200, pytest.param(2000, marks=pytest.mark.slow)])


def drawn(rng):
    """Scores with ties of up to 40 patients, some of either class."""
    n = rng.integers(3, 41)
    score, positive = rng.integers(0, rng.integers(1, 15), n) / 7, rng.random(n) < rng.choice([0.1, 0.3, 0.8])
    positive[:2] = [True, False]
    return score, positive


def beats(a, b):
    return (a[:, None] > b) + 0.5 * (a[:, None] == b)


@CASES
def test_auroc_and_delongs_variance(cases):
    rng = np.random.default_rng(1)
    for _ in range(cases):
        score, positive = drawn(rng)
        wins = beats(score[positive], score[~positive])
        found, value = auroc_of(score, positive), wins.mean()
        assert found.value == pytest.approx(value, abs=1e-12)
        m, n = wins.shape
        up, down = ((wins.mean(axis=k) - value) for k in (1, 0))
        expected = (up @ up) / (m * max(m - 1, 1)) + (down @ down) / (n * max(n - 1, 1))
        assert found.variance == pytest.approx(expected, abs=1e-12)


@CASES
def test_average_precision_and_its_influence(cases):
    """By definition, and by counting a patient a little more often."""
    rng = np.random.default_rng(2)
    for _ in range(cases):
        score, positive = drawn(rng)
        reached = score[:, None] >= score[positive]
        precision = (reached & positive[:, None]).sum(axis=0) / reached.sum(axis=0)
        value, influence = average_precision_of(score, positive)
        assert value == pytest.approx(precision.mean(), abs=1e-12)
        assert value == pytest.approx(float(average_precision(score, positive)), abs=1e-12)
        more = np.ones(len(score)) + 1e-6 * np.eye(len(score))
        moved = (average_precision(score, positive, more) - value) / 1e-6
        assert influence == pytest.approx(moved, abs=1e-4)


@CASES
def test_hand_till(cases):
    rng = np.random.default_rng(3)
    for _ in range(cases // 4):
        n = rng.integers(6, 30)
        label = np.r_[0, 1, 2, rng.integers(0, 3, n - 3)]
        chance = rng.integers(0, 5, (n, 3)) / 4
        pairs = [
            beats(chance[label == a, a], chance[label == b, a]).mean() for a in range(3) for b in range(3) if a != b
        ]
        assert float(hand_till(chance, label)) == pytest.approx(np.mean(pairs), abs=1e-12)
        assert estimate_hand_till(chance, label).value == pytest.approx(np.mean(pairs), abs=1e-12)


def draws(replicates, patients, seed):
    return resampled(np.random.default_rng(np.random.SeedSequence(seed).spawn(1)[0]), replicates, patients)


@pytest.mark.parametrize("patients", [3, 25, 2_000])
def test_patients_are_drawn_with_replacement(patients):
    """One patient's number is binomial, two patients' are correlated as of a multinomial, and all add up."""
    sets, chance = 200_000 // patients, 1 / patients
    counts = resampled(np.random.default_rng(6), sets, patients).astype(float)
    assert (counts.sum(axis=1) == patients).all()
    known = binom.pmf(np.arange(5), patients, chance)
    found = np.array([(counts == number).mean() for number in range(5)])
    # numbers of one set are dependent, which makes these means vary less than those of independent ones would
    assert (np.abs(found - known) <= 4 * np.sqrt(known * (1 - known) / counts.size) + 1e-12).all()
    pairs = np.mean(counts[:, :-1] * counts[:, 1:])
    assert pairs == pytest.approx(1 - chance, abs=4 * np.sqrt(3 / counts.size))


def test_bootstrap_by_counts_is_that_of_auroc():
    """The same draws, with negative patients named first, both by ascending score."""
    rng = np.random.default_rng(4)
    for _ in range(50):
        score, positive = drawn(rng)
        order = np.lexsort((score, positive))
        expected = auroc(score[order], positive[order], draws(20, len(score), seed=9))
        np.testing.assert_allclose(bootstrap_auroc(score, positive, replicates=20, seed=9), expected, rtol=1e-12)


@pytest.mark.parametrize("tied", [False, True])
def test_bootstraps_of_survival_are_metrics_of_repeated_patients(tied):
    """G of the integrated Brier score is estimated anew from each replicate."""
    rng = np.random.default_rng(5)
    n, grid = 60, np.array([1.0, 3, 5, 8])
    risk, time, event = rng.normal(size=n), rng.exponential(10, n), rng.integers(0, 2 + tied, n)
    if tied:
        risk, time = risk.round(), np.ceil(time)
    survival = np.sort(rng.random((n, len(grid))), axis=1)[:, ::-1]
    order = np.lexsort((risk, event != 1, time))
    expected = concordance(risk[order], time[order], event[order] == 1, draws(30, n, seed=2))
    found = bootstrap_concordance(risk, time, event, replicates=30, seed=2)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    found = bootstrap_integrated_brier(survival, grid, time, event, replicates=30, seed=2)
    order = np.lexsort((event == 0, time))
    for value, drawn in zip(found, draws(30, n, seed=2), strict=True):
        here = np.repeat(order, drawn)
        scores = brier_scores(survival[here], grid, Censoring.of(time[here], event[here]))
        assert value == pytest.approx(scores @ trapezium(grid), abs=1e-12)
