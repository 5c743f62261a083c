"""What must hold of survival statistics and metrics, whatever the patients."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fusiondx.core.predictions import ClassPrediction, SurvivalPrediction
from fusiondx.core.targets import Classes, Survival, TargetValues
from fusiondx.evaluation import classification, deviation
from fusiondx.evaluation.discrimination import auroc, average_precision, concordance, one_vs_rest
from fusiondx.evaluation.groups import log_rank
from fusiondx.evaluation.score import score
from fusiondx.survival.estimators import breslow, censoring, kaplan_meier, nelson_aalen
from fusiondx.survival.likelihood import cox_loss
from fusiondx.survival.regression import fit_cox

laws = settings(max_examples=25, deadline=None)


@st.composite
def patients(draw):
    """Risks, times, events and counts of up to 25 patients, with ties."""
    n = draw(st.integers(1, 25))

    def column(least, most):
        return np.array(draw(st.lists(st.integers(least, most), min_size=n, max_size=n)))

    return column(-20, 20) / 4, column(1, 9).astype(float), column(0, 1), column(0, 3)


METRICS = {
    "concordance": lambda risk, time, event, counts=None: concordance(risk, time, event, counts),
    "auroc": lambda risk, time, event, counts=None: auroc(risk, event == 1, counts),
    "average_precision": lambda risk, time, event, counts=None: average_precision(risk, event == 1, counts),
    "one_vs_rest": lambda risk, time, event, counts=None: one_vs_rest(
        auroc, np.column_stack([risk, -risk, risk**2]), time.astype(int) % 3, counts
    ),
    "balanced_accuracy": lambda risk, time, event, counts=None: classification.balanced_accuracy(
        classification.confusion_matrix(event, (risk > 0).astype(int), 2, counts)
    ),
    "f1": lambda risk, time, event, counts=None: classification.f1(
        classification.confusion_matrix(time.astype(int) % 3, (risk.astype(int)) % 3, 3, counts)
    ),
    "mse": lambda risk, time, event, counts=None: deviation.mean_squared_error(risk, time, counts),
    "mae": lambda risk, time, event, counts=None: deviation.mean_absolute_error(risk, time, counts),
    "r2": lambda risk, time, event, counts=None: deviation.r_squared(risk, time, counts),
}
every_metric = pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
RANKED = ("concordance", "auroc", "average_precision")
MONOTONE = {"tiny": lambda r: r * 1e-12, "huge": lambda r: r * 1e12, "exp": np.exp, "cubed": lambda r: r**3 - 5}


@every_metric
@laws
@given(patients())
def test_counts_are_repetition(metric, given_patients):
    *columns, counts = given_patients
    repeated = metric(*(column.repeat(counts) for column in columns)) if counts.sum() else np.nan
    np.testing.assert_allclose(metric(*columns, counts), repeated, rtol=1e-9, atol=1e-9)


@every_metric
@laws
@given(patients(), st.integers(2, 4))
def test_everyone_doubled_changes_nothing(metric, given_patients, times):
    *columns, _ = given_patients
    np.testing.assert_allclose(
        metric(*(np.tile(column, times) for column in columns)), metric(*columns), rtol=1e-9, atol=1e-9
    )


@every_metric
@laws
@given(patients(), st.randoms(use_true_random=False))
def test_order_of_patients_changes_nothing(metric, given_patients, random):
    *columns, _ = given_patients
    order = list(range(len(columns[0])))
    random.shuffle(order)
    np.testing.assert_allclose(metric(*(column[order] for column in columns)), metric(*columns), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["concordance", "auroc"])
@laws
@given(patients())
def test_risk_reversed_is_one_minus(name, given_patients):
    risk, time, event, counts = given_patients
    found, turned = METRICS[name](risk, time, event, counts), METRICS[name](-risk, time, event, counts)
    np.testing.assert_allclose(turned, 1 - found, atol=1e-12)


@pytest.mark.parametrize("name", RANKED)
@pytest.mark.parametrize("change", MONOTONE.values(), ids=MONOTONE)
@laws
@given(patients())
def test_only_the_order_of_risks_counts(name, change, given_patients):
    risk, *rest = given_patients
    np.testing.assert_array_equal(METRICS[name](change(risk), *rest), METRICS[name](risk, *rest))


@laws
@given(patients(), st.sampled_from([1 / 365.25, 12.0, 1e-9]))
def test_unit_of_time_changes_nothing(given_patients, unit):
    risk, time, event, _ = given_patients
    np.testing.assert_array_equal(concordance(risk, time * unit, event), concordance(risk, time, event))
    losses = [cox_loss(*map(torch.tensor, (risk, t, event))).item() for t in (time, time * unit)]
    assert losses[0] == losses[1]


@laws
@given(patients(), st.floats(-500, 500))
def test_shifted_hazards_change_no_loss_and_move_the_baseline(given_patients, shift):
    log_hazard, time, event, _ = given_patients
    losses = [cox_loss(*map(torch.tensor, (h, time, event))).item() for h in (log_hazard, log_hazard + shift)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-9)
    assert losses[0] >= -1e-12
    (times, hazard), (_, moved) = breslow(log_hazard, time, event), breslow(log_hazard + shift, time, event)
    np.testing.assert_allclose(moved * np.exp(shift), hazard, rtol=1e-9)
    assert times.tolist() == sorted(set(time[event == 1]))
    assert (np.diff(hazard) > 0).all()


@laws
@given(patients())
def test_breslow_without_covariates_is_nelson_aalen(given_patients):
    _, time, event, _ = given_patients
    np.testing.assert_allclose(breslow(np.zeros(len(time)), time, event)[1], nelson_aalen(time, event).values)


@laws
@given(patients())
def test_survival_curves_fall_within_zero_and_one(given_patients):
    _, time, event, counts = given_patients
    for estimator in (kaplan_meier, censoring):
        curve = estimator(time, event)
        values = np.concatenate([[curve.start], curve.values])
        assert ((values >= 0) & (values <= 1)).all()
        assert (np.diff(values) < 0).all()
        assert (curve.variance >= 0).all()
        repeated = estimator(time.repeat(counts), event.repeat(counts))
        np.testing.assert_allclose(estimator(time, event, counts).at(np.arange(10)), repeated.at(np.arange(10)))


@laws
@given(patients())
def test_cox_regression_obeys_scale_sign_and_order(given_patients):
    risk, time, event, _ = given_patients
    x = np.column_stack([risk, np.sin(7 * np.arange(len(risk)))])
    beta = fit_cox(x, time, event, 1.0)
    np.testing.assert_allclose(fit_cox(-x[::-1] + 3, time[::-1], event[::-1], 1.0), -beta, atol=1e-6)
    np.testing.assert_allclose(fit_cox(10 * x, time, event, 100.0), beta / 10, atol=1e-6)


@laws
@given(patients())
def test_log_rank_is_the_same_for_any_names_and_order(given_patients):
    risk, time, event, _ = given_patients
    group = risk.astype(int) % 3
    if len(set(group)) < 2 or not event.any():
        return
    test = log_rank(time, event, group)
    assert 0 <= test.p <= 1
    renamed = log_rank(time[::-1], event[::-1], np.array(["z", "a", "m"])[group][::-1])
    assert renamed.chi2 == pytest.approx(test.chi2, abs=1e-9)


def prognosis(ids, risk, time, event):
    times = np.geomspace(0.1, 10, 12)
    curves = np.exp(-np.exp(risk - np.mean(risk))[:, None] * times / np.median(time))
    prediction = SurvivalPrediction(ids, risk, times, curves)
    return prediction, TargetValues(Survival("t", "e"), {"time": time, "event": event}, np.ones(len(ids), bool))


def diagnosis(ids, positive, label):
    prediction = ClassPrediction(ids, ("no", "yes"), np.column_stack([1 - positive, positive]))
    return prediction, TargetValues(Classes("c"), {"label": label}, np.ones(len(ids), bool), ("no", "yes"))


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_intervals_contain_their_estimates(seed):
    rng = np.random.default_rng(seed)
    ids, label = np.arange(80).astype(str).astype(object), rng.permutation(np.repeat([0, 1], 40))
    chance = 1 / (1 + np.exp(-(label + rng.normal(size=80))))
    parts = diagnosis(ids, chance, label), prognosis(ids, chance, rng.exponential(size=80), label)
    for outcome in score([parts[0]], replicates=200, seed=seed) + score([parts[1]], replicates=200, seed=seed):
        assert outcome.low < outcome.value < outcome.high


def test_order_of_rows_and_parts_changes_no_interval():
    rng = np.random.default_rng(0)
    ids = np.array([f"P{i}" for i in range(40)], dtype=object)
    columns = rng.normal(size=40), rng.integers(1, 9, 40), rng.random(40) < 0.5
    folds = np.array_split(rng.permutation(40), 2)
    straight, *others = score([prognosis(ids[f], *(c[f] for c in columns)) for f in folds], replicates=100)
    back = [prognosis(ids[f[::-1]], *(c[f[::-1]] for c in columns)) for f in folds[::-1]]
    turned, *again = score(back, replicates=100)
    assert [turned.value, turned.low, turned.high] == pytest.approx([straight.value, straight.low, straight.high])
    for one, other in zip(others, again, strict=True):
        assert (one.value, one.low, one.high) == pytest.approx((other.value, other.low, other.high))


def test_seed_decides():
    rng = np.random.default_rng(0)
    part = prognosis(np.arange(30).astype(str).astype(object), rng.normal(size=30), rng.random(30), np.ones(30))
    assert score([part], replicates=50, seed=1) == score([part], replicates=50, seed=1)
    assert score([part], replicates=50, seed=1) != score([part], replicates=50, seed=2)


@pytest.mark.parametrize("kind", ["diagnosis", "prognosis", "folds"])
def test_null_predictions_cover_chance(kind):
    """Of 100 models that know nothing, about 95 have an interval that holds 0.5; never fewer than 86."""
    covered = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        ids, event = np.arange(100).astype(str).astype(object), rng.permutation(np.repeat([0, 1], [60, 40]))
        risk, time = rng.random(100), rng.exponential(size=100)
        folds = [np.arange(100)] if kind != "folds" else np.array_split(rng.permutation(100), 5)
        if kind == "diagnosis":
            parts = [diagnosis(ids, risk, event)]
        else:
            parts = [prognosis(ids[f], risk[f], time[f], event[f]) for f in folds]
        outcome = score(parts, replicates=200, seed=seed)[0]
        covered += outcome.low <= 0.5 <= outcome.high
    assert 86 <= covered <= 100
