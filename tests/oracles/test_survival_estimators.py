"""Survival curves and Cox regression against lifelines, scikit-survival and hand-worked cases."""

import json
from pathlib import Path

import numpy as np
import pytest

from fusiondx.survival.estimators import at_risk, breslow, censoring, kaplan_meier, life_table, nelson_aalen
from fusiondx.survival.regression import fit_cox, log_likelihood

FROZEN = json.loads((Path(__file__).parent / "frozen" / "survival.json").read_text())
STRATA = json.loads((Path(__file__).parent / "frozen" / "strata.json").read_text())


@pytest.fixture(params=FROZEN)
def frozen(request):
    case = FROZEN[request.param]
    patients = {name: np.asarray(values) for name, values in case["patients"].items()}
    return case | patients | {"x": np.column_stack([patients[f"x{j}"] for j in range(3)])}


def test_curves_equal_lifelines_and_scikit_survival(frozen):
    outcome = frozen["time"], frozen["event"]
    np.testing.assert_allclose(kaplan_meier(*outcome).at(frozen["times"]), frozen["kaplan_meier"], atol=1e-12)
    hazard = nelson_aalen(*outcome).at(frozen["times"])
    np.testing.assert_allclose(hazard, frozen["nelson_aalen"], atol=1e-12)
    np.testing.assert_allclose(hazard, frozen["nelson_aalen_lifelines"], atol=1e-12)


def test_greenwood_variance_equals_lifelines(frozen):
    curve = kaplan_meier(frozen["time"], frozen["event"])
    place = np.isin(frozen["times"], curve.times)
    np.testing.assert_allclose(curve.variance, np.asarray(frozen["greenwood"])[place], atol=1e-12)


def test_breslow_equals_scikit_survival(frozen):
    given = frozen["breslow"]
    times, hazard = breslow(given["log_hazard"], frozen["time"], frozen["event"])
    assert times.tolist() == sorted(set(frozen["time"][frozen["event"] == 1]))
    np.testing.assert_allclose(hazard, np.interp(times, given["times"], given["hazard"]), rtol=1e-10)


@pytest.mark.parametrize("penalty", ["0.0", "0.5", "20.0"])
def test_cox_coefficients_equal_scikit_survival_and_lifelines(frozen, penalty):
    outcome = frozen["time"], frozen["event"], float(penalty)
    np.testing.assert_allclose(fit_cox(frozen["x"], *outcome), frozen["cox_ridge"][penalty], atol=1e-7)
    standard = frozen["x"] / frozen["x"].std(axis=0, ddof=1)
    np.testing.assert_allclose(fit_cox(standard, *outcome), frozen["cox_ridge_lifelines"][penalty], atol=1e-5)


def test_cox_coefficients_are_the_maximum(frozen):
    """The penalised likelihood, written out patient by patient, is lower all around the fit."""
    penalty = 2.0
    beta = fit_cox(frozen["x"], frozen["time"], frozen["event"], penalty)

    def value(coefficients):
        likelihood = efron(frozen["x"] @ coefficients, frozen["time"], frozen["event"])
        return likelihood - penalty / 2 * np.sum(coefficients**2)

    nudges = 1e-4 * np.vstack([np.eye(3), -np.eye(3)])
    assert all(value(beta + nudge) < value(beta) for nudge in nudges)


def test_cox_converges_quadratically(frozen):
    """As Newton's method does with the right second derivatives, those of tied events included."""
    given = frozen["x"], frozen["time"], frozen["event"], 0.5
    np.testing.assert_allclose(fit_cox(*given, iterations=6), fit_cox(*given), rtol=1e-9)


@pytest.mark.parametrize("name", STRATA)
def test_stratified_cox_coefficients_equal_lifelines(name):
    patients = {key: np.asarray(values) for key, values in FROZEN[name]["patients"].items()}
    x = np.column_stack([patients[f"x{j}"] for j in range(3)])
    given = patients["time"], patients["event"]
    beta = fit_cox(x, *given, 0.0, strata=patients["group"])
    np.testing.assert_allclose(beta, STRATA[name]["beta"], atol=1e-5)
    likelihood = log_likelihood(x @ beta, *given, patients["group"])
    assert likelihood == pytest.approx(STRATA[name]["log_likelihood"], rel=1e-9)
    own = [patients["group"] == s for s in np.unique(patients["group"])]
    assert likelihood == pytest.approx(sum(log_likelihood(x[m] @ beta, *(v[m] for v in given)) for m in own))
    np.testing.assert_array_equal(fit_cox(x, *given, 2.0, strata=np.full(len(x), 7)), fit_cox(x, *given, 2.0))


def efron(log_hazard, time, event):
    total = 0.0
    for moment in set(time[event == 1]):
        tied = log_hazard[(time == moment) & (event == 1)]
        risk, leaving = np.exp(log_hazard[time >= moment]).sum(), np.exp(tied).sum()
        total += tied.sum() - sum(np.log(risk - k / len(tied) * leaving) for k in range(len(tied)))
    return total


def test_cox_is_finite_where_there_is_no_maximum():
    time, event = np.arange(1.0, 9.0), np.ones(8)
    separable = -np.arange(8.0)[:, None]
    assert np.isfinite(fit_cox(separable, time, event, 0.0)).all()
    assert fit_cox(separable, time, event, 0.0)[0] > 5
    rng = np.random.default_rng(0)
    column = rng.normal(size=8)
    twins = fit_cox(np.column_stack([column, column, np.ones(8)]), time, event, 0.0)
    np.testing.assert_allclose(twins, [*np.repeat(fit_cox(column[:, None], time, event, 0.0) / 2, 2), 0], atol=1e-8)
    wild = fit_cox(rng.normal(size=(8, 3)) * [1e8, 1e-8, 1], time, event, 1e-3)
    assert np.isfinite(wild).all()
    assert not fit_cox(column[:, None], time, np.zeros(8), 1.0).any()


def test_cox_survives_an_outlier_whose_hazard_dwarfs_all_others():
    """A patient far out who dies first: the others decide, as if it were not there; at worst to fewer digits."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(100, 1))
    time = rng.exponential(np.exp(-x[:, 0]))
    without = fit_cox(x[1:], time[1:], np.ones(99), 0.0)
    for far, digits in ((2e3, 1e-6), (1e6, 0.05)):
        x[0], time[0] = far, 0
        with np.errstate(all="raise", under="ignore"):
            np.testing.assert_allclose(fit_cox(x, time, np.ones(100), 0.0), without, rtol=digits)


def test_kaplan_meier_by_hand():
    """Two events and a censoring at time 2 of four: the censored patient is at risk, 1/2 is left."""
    time, event = [2, 2, 2, 5], [1, 1, 0, 1]
    curve = kaplan_meier(time, event)
    assert curve.times.tolist() == [2, 5]
    assert curve.values.tolist() == [0.5, 0]
    assert curve.variance.tolist() == [0.25 * 2 / (4 * 2), 0]
    assert curve.at([0, 2, 3, 9]).tolist() == [1, 0.5, 0.5, 0]
    assert curve.before([2, 5]).tolist() == [1, 0.5]
    assert at_risk(time, [0, 2, 2.1, 5, 6]).tolist() == [4, 4, 1, 1, 0]
    assert nelson_aalen(time, event).values.tolist() == [0.5, 1.5]


def test_censoring_by_hand():
    """At time 2 the two events go first, so one of two patients is censored there."""
    curve = censoring([2, 2, 2, 5], [1, 1, 0, 1])
    assert curve.times.tolist() == [2]
    assert curve.values.tolist() == [0.5]


def test_censoring_weights_sum_to_the_patients(frozen):
    """The convention's own check (R's riskRegression): weights at any horizon add up to n."""
    time, event = frozen["time"], frozen["event"] == 1
    left = censoring(time, event)
    for horizon in np.quantile(time, [0.2, 0.5, 0.7]):
        events = 1 / left.before(time[event & (time <= horizon)])
        survivors = (time > horizon).sum() / left.at(horizon)
        assert events.sum() + survivors == pytest.approx(len(time))


def test_breslow_by_hand():
    times, hazard = breslow(np.log([1, 2, 3, 4]), [1, 2, 2, 3], [1, 1, 0, 1])
    assert times.tolist() == [1, 2, 3]
    np.testing.assert_allclose(hazard, [1 / 10, 1 / 10 + 1 / 9, 1 / 10 + 1 / 9 + 1 / 4])


@pytest.mark.parametrize("shift", [-1000.0, 1000.0])
def test_breslow_of_large_log_hazards_is_finite(shift):
    _, hazard = breslow(np.array([0.0, 1.0, 2.0]) + shift, [1, 2, 3], [1, 1, 1])
    assert np.isfinite(hazard).all()
    assert (hazard >= 0).all()


def test_life_table_counts_patients_as_often_as_told():
    time, event, counts = np.array([3, 1, 3, 2]), np.array([1, 0, 0, 1]), np.array([2, 0, 1, 3])
    told, repeated = life_table(time, event, counts), life_table(time.repeat(counts), event.repeat(counts))
    for name in ("events", "censored", "at_risk"):
        np.testing.assert_array_equal(getattr(told, name)[1:], getattr(repeated, name))


def test_a_column_of_rounding_errors_leaves_the_others_their_coefficients() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 3))
    time, event = rng.exponential(size=80) * np.exp(-x[:, 0]), rng.random(80) < 0.7
    beside = np.concatenate([x, 1e-17 * rng.normal(size=(80, 2))], axis=1)
    np.testing.assert_allclose(fit_cox(beside, time, event, 1.0)[:3], fit_cox(x, time, event, 1.0), atol=1e-6)
