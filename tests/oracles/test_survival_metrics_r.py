"""Survival metrics against R: survival, riskRegression, pec, prodlim and rms, frozen beside the script asked."""

import json
from pathlib import Path

import numpy as np
import pytest

from fusiondx.evaluation.concordance import concordance, harrell_c
from fusiondx.evaluation.dynamic_auc import dynamic_auc
from fusiondx.evaluation.influence import compare
from fusiondx.evaluation.survival_brier import brier_scores, integrated_brier, prediction_accuracy, survival_brier
from fusiondx.evaluation.uno import uno_c
from fusiondx.survival.competing import incidence
from fusiondx.survival.estimators import at_risk, kaplan_meier
from fusiondx.survival.weights import Censoring

COHORTS = json.loads((Path(__file__).parent / "frozen" / "r" / "survival.json").read_text())["cohorts"]
exactly = {"rel": 1e-10, "abs": 1e-12}


@pytest.fixture(params=COHORTS)
def cohort(request):
    said = dict(COHORTS[request.param])
    said |= {name: np.asarray(values, dtype=float) for name, values in said["patients"].items()}
    said["predicted"] = {model: np.asarray(values) for model, values in said["predicted"].items()}
    return said | {"competing": (said["event"] > 1).any(), "tied": len(set(said["time"])) < len(said["time"])}


def rows(table, **keys):
    """Where all columns of a frozen table have these values."""
    (place,) = [i for i in range(len(table["times"])) if all(table[name][i] == value for name, value in keys.items())]
    return {name: column[place] for name, column in table.items()}


def test_the_cohorts_are_as_hard_as_they_should_be():
    assert len(COHORTS) >= 8
    assert min(len(c["patients"]["time"]) for c in COHORTS.values()) == 20
    assert max(np.mean(np.equal(c["patients"]["event"], 0)) for c in COHORTS.values()) >= 0.85
    assert max(1 - len(set(c["patients"]["time"])) / len(c["patients"]["time"]) for c in COHORTS.values()) > 0.95


def test_harrell_c_and_its_variance(cohort):
    judged, said = harrell_c(cohort["a"], cohort["time"], cohort["event"]), cohort["concordance"]
    assert judged.value == pytest.approx(said["harrell"], **exactly)
    assert judged.standard_error**2 == pytest.approx(said["variance"], **exactly)
    assert concordance(cohort["a"], cohort["time"], cohort["event"] == 1) == pytest.approx(said["harrell"], **exactly)


def test_paired_difference_of_harrell_c(cohort):
    a, b = (harrell_c(cohort[model], cohort["time"], cohort["event"]) for model in "ab")
    said = cohort["concordance"]
    assert compare(a, b).difference.value == pytest.approx(said["difference"], **exactly)
    assert compare(a, b).standard_error ** 2 == pytest.approx(said["difference_variance"], **exactly)


def test_uno_c(cohort):
    happened = (cohort["event"] == 1) * 1
    judged = uno_c(cohort["a"], cohort["time"], happened, cohort["concordance"]["tau"])
    assert judged.value == pytest.approx(cohort["concordance"]["uno"], **exactly)


@pytest.mark.parametrize("model", ["a", "b"])
@pytest.mark.parametrize("place", range(3))
def test_dynamic_auc_and_brier_score(cohort, model, place):
    horizon, predicted = cohort["times"][place], cohort["predicted"][model][:, place]
    given = predicted, cohort["time"], cohort["event"], horizon
    auc = rows(cohort["scores"]["auc"], model=model, times=horizon)
    error = rows(cohort["scores"]["brier"], model=model, times=horizon)
    assert dynamic_auc(*given).value == pytest.approx(auc["AUC"], **exactly)
    assert survival_brier(*given).value == pytest.approx(error["Brier"], **exactly)
    assert prediction_accuracy(*given).value == pytest.approx(error["IPA"], **exactly)


@pytest.mark.parametrize("place", range(3))
def test_standard_errors_of_auc_and_brier_score(cohort, place):
    """riskRegression divides by n - 1; its influence of G is exact to order 1/n without tied times only."""
    if cohort["tied"] and (cohort["event"] == 0).any():
        pytest.skip("tied times: held by derivatives instead")
    n, horizon = len(cohort["time"]), cohort["times"][place]
    close = {"rel": 1e-9 if (cohort["event"] == 1).all() else 3 / n**1.5 + 1e-4}
    both = [(cohort["predicted"][m][:, place], cohort["time"], cohort["event"], horizon) for m in "ab"]
    for metric, table in ((dynamic_auc, "auc"), (survival_brier, "brier")):
        a, b = (metric(*given) for given in both)
        said = rows(cohort["scores"][table], model="a", times=horizon)
        assert a.standard_error * np.sqrt(n / (n - 1)) == pytest.approx(said["se"], **close)
        gap = rows(cohort["scores"][f"{table}_difference"], times=horizon)
        assert compare(a, b).standard_error * np.sqrt(n / (n - 1)) == pytest.approx(gap["se"], **close)


def test_brier_scores_of_pec_and_their_integral(cohort):
    if cohort["competing"]:
        pytest.skip("pec was asked of one cause")
    times, survival = np.asarray(cohort["times"], dtype=float), 1 - cohort["predicted"]["a"]
    found = brier_scores(survival, times, Censoring.of(cohort["time"], cohort["event"]))
    assert found == pytest.approx(cohort["pec"]["brier"], **exactly)
    judged = integrated_brier(survival, times, cohort["time"], cohort["event"])
    kept = times <= judged.horizon
    whole = np.trapezoid(np.asarray(cohort["pec"]["brier"])[kept], times[kept]) / np.ptp(times[kept])
    assert judged.value == pytest.approx(whole, **exactly)


def test_kaplan_meier_its_error_and_numbers_at_risk(cohort):
    curve, said = kaplan_meier(cohort["time"], cohort["event"] == 1), cohort["kaplan_meier"]
    assert curve.at(cohort["times"]) == pytest.approx(said["surv"], **exactly)
    place = np.searchsorted(curve.times, cohort["times"], side="right") - 1
    seen = np.asarray(said["surv"]) > 0
    assert np.sqrt(curve.variance[place])[seen] == pytest.approx(np.asarray(said["std_err"], float)[seen], **exactly)
    assert at_risk(cohort["time"], cohort["times"]).tolist() == said["at_risk"]


def test_cumulative_incidence_and_its_error(cohort):
    if not cohort["competing"]:
        pytest.skip("no competing events")
    said = cohort["incidence"]
    for cause, name in ((1, "first"), (2, "second")):
        found = incidence(cohort["time"], cohort["event"], cause)
        assert found.at(cohort["times"]) == pytest.approx(said[name], **exactly)
    first = incidence(cohort["time"], cohort["event"])
    place = np.searchsorted(first.times, cohort["times"], side="right") - 1
    for error in ("std_err", "prodlim_se"):
        assert np.sqrt(first.variance[place]) == pytest.approx(said[error], **exactly)
