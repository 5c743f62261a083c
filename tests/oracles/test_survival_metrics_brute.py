"""Rank metrics of survival against sums over all pairs, on small random patients with many ties."""

import numpy as np
import pytest

from fusiondx.evaluation.antolini import antolini_c
from fusiondx.evaluation.concordance import harrell_c
from fusiondx.evaluation.dynamic_auc import dynamic_auc, dynamic_aucs
from fusiondx.evaluation.estimate import Undefined
from fusiondx.evaluation.inversions import Inversions
from fusiondx.evaluation.uno import uno_c
from fusiondx.survival.weights import Censoring

CASES = pytest.mark.parametrize("cases", [200, pytest.param(2000, marks=pytest.mark.slow)])


def small(seed):
    rng = np.random.default_rng(seed)
    n = rng.integers(1, 30)
    time = rng.integers(0, rng.integers(2, 20), n).astype(float)
    event = np.where(rng.random(n) < rng.choice([0, 0.2, 0.6, 1]), rng.integers(1, rng.choice([2, 3]), n), 0)
    return rng, rng.integers(0, rng.integers(1, 12), n) / 7, time, event


def not_censored(time, event, moment, just_before):
    """G, factor by factor."""
    left = 1.0
    for t in sorted(set(time[event == 0])):
        if t < moment or (t == moment and not just_before):
            present = ((time > t) | ((time == t) & (event == 0))).sum()
            left *= 1 - ((time == t) & (event == 0)).sum() / present
    return left


def pairs(time, event):
    """Whether the patient of the row had the event first, as far as can be told."""
    later = (time > time[:, None]) | ((time == time[:, None]) & (event != 1))
    return later & (event == 1)[:, None] & ~np.eye(len(time), dtype=bool)


def wins(mine, other):
    return (mine > other) + 0.5 * (mine == other)


def agrees(judged, won, weight):
    if weight.sum() == 0:
        assert isinstance(judged, Undefined)
        assert judged.reason
    else:
        assert judged.value == pytest.approx((won * weight).sum() / weight.sum(), rel=1e-12)


@CASES
def test_harrell_and_uno_equal_sums_over_pairs(cases):
    for seed in range(cases):
        rng, risk, time, event = small(seed)
        comparable, won = pairs(time, event), wins(risk[:, None], risk)
        agrees(harrell_c(risk, time, event), won, comparable)
        tau = rng.integers(0, 20)
        left = np.array([not_censored(time, event, t, True) for t in time])
        weight = np.divide(1, left**2, where=left > 0, out=np.zeros_like(left)) * (time <= tau)
        agrees(uno_c(risk, time, event, tau), won, comparable * weight[:, None])


@CASES
def test_dynamic_auc_equals_sums_over_pairs(cases):
    for seed in range(cases):
        rng, risk, time, event = small(seed)
        horizon = float(rng.integers(0, 20))
        left = np.array([not_censored(time, event, t, True) for t in time])
        end = not_censored(time, event, horizon, False)
        weight = np.where(event != 0, np.divide(1, left, where=left > 0, out=np.zeros_like(left)), 0.0)
        case = (time <= horizon) & (event == 1)
        other = np.where(time > horizon, 1 / end if end else 0.0, np.where(event > 1, weight, 0.0))
        pair = np.outer(case * weight, other) if end and (time > horizon).any() else np.zeros((len(time), len(time)))
        agrees(dynamic_auc(risk, time, event, horizon), wins(risk[:, None], risk), pair)
        found = dynamic_aucs(risk, np.array([horizon]), Censoring.of(time, event))[0]
        assert (
            np.isnan(found)
            if not pair.any()
            else found == pytest.approx((wins(risk[:, None], risk) * pair).sum() / pair.sum())
        )


@CASES
def test_antolini_equals_sums_over_pairs(cases):
    for seed in range(cases):
        rng, _, time, event = small(seed)
        times = np.unique(rng.integers(1, 20, rng.integers(1, 8))).astype(float)
        survival = np.sort(rng.integers(0, 6, (len(time), len(times))) / 5, axis=1)[:, ::-1]
        full = np.concatenate([np.ones((len(time), 1)), survival], axis=1)
        at_event = full[:, np.searchsorted(times, time, side="right")]
        won = wins(-np.diag(at_event)[:, None], -at_event.T)
        agrees(antolini_c(survival, times, time, event), won, pairs(time, event))


@pytest.mark.parametrize("n", [1, 2, 63, 64, 65, 130, 700, 4200])
def test_inversions_equal_a_matrix_of_pairs(n):
    rng = np.random.default_rng(n)
    rank, weight = rng.permutation(n), rng.random((2, n))
    lower_later = (np.arange(n) > np.arange(n)[:, None]) & (rank < rank[:, None])
    inversions = Inversions.of(rank)
    pairs = lower_later @ weight[0], lower_later.T @ weight[1]
    for found, expected in zip(inversions.sums(*weight), pairs, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)
    first = rng.random(n) < 0.5
    expected = ((weight * first) * (weight @ lower_later.T)).sum(axis=1)
    np.testing.assert_allclose(inversions.total(weight.T, first), expected, rtol=1e-10, atol=1e-12)
