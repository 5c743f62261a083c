"""On pure noise, does the interval of the whole pipeline contain chance about as often as it says?"""

import warnings

import pytest

import fusiondx as fdx
from fusiondx.data.synthetic import simulate_null
from fusiondx.validation import cross_validate, train_test

CHANCE = 0.5


def held_out(seed):
    """Of the AUROC of a fusion model on half of 240 patients of noise; all that is fitted is fitted on the others."""
    cohort = simulate_null(240, seed=seed).select(targets=["label"])
    report, _ = train_test(model(seed), *cohort.split(0.5, seed=seed), baselines=False, replicates=300, seed=seed)
    return report.results[0].estimates[0]


def three_folds(seed):
    """Of its mean over folds, of 120 patients of noise."""
    cohort = simulate_null(120, seed=seed).select(targets=["label"])
    report = cross_validate(model(seed), cohort, folds=3, baselines=False, replicates=300, seed=seed, audit=None)
    return report.results[0].estimates[0]


def model(seed):
    return fdx.FusionModel(dim=8, training=fdx.Training(epochs=3, validation=0), seed=seed)


@pytest.mark.slow
@pytest.mark.parametrize("interval", [held_out, three_folds])
def test_the_interval_contains_chance_in_92_to_98_of_100_runs(interval):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = [interval(seed) for seed in range(100)]
    inside = sum(one.low <= CHANCE <= one.high for one in found)
    mean = sum(one.value for one in found) / len(found)
    assert 92 <= inside <= 98, f"{inside} of 100, mean AUROC {mean:.3f}"
    assert 0.48 < mean < 0.52
