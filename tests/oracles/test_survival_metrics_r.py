"""Survival metrics against R: survival, riskRegression, pec, prodlim and rms, frozen beside the script asked."""

import json
from pathlib import Path

import numpy as np
import pytest

from fusiondx.evaluation.concordance import concordance, harrell_c
from fusiondx.evaluation.dynamic_auc import dynamic_auc
from fusiondx.evaluation.groups import log_rank
from fusiondx.evaluation.influence import compare
from fusiondx.evaluation.proportions import Z95
from fusiondx.evaluation.restricted_mean import restricted_mean, restricted_mean_difference
from fusiondx.evaluation.survival_benefit import survival_net_benefit, survival_net_benefit_frame
from fusiondx.evaluation.survival_brier import brier_scores, integrated_brier, prediction_accuracy, survival_brier
from fusiondx.evaluation.survival_calibration import calibration_slope, observed_expected, smooth_calibration
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


def error(estimate, quantile=Z95):
    return (estimate.high - estimate.low) / (2 * quantile)


def paired_error(difference, judged):
    return error(difference, judged.quantile)


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
    assert compare(a, b).value == pytest.approx(said["difference"], **exactly)
    assert paired_error(compare(a, b), a) ** 2 == pytest.approx(said["difference_variance"], **exactly)


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
    square = rows(cohort["scores"]["brier"], model=model, times=horizon)
    assert dynamic_auc(*given).value == pytest.approx(auc["AUC"], **exactly)
    assert survival_brier(*given).value == pytest.approx(square["Brier"], **exactly)
    assert prediction_accuracy(*given).value == pytest.approx(square["IPA"], **exactly)


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
        assert paired_error(compare(a, b), a) * np.sqrt(n / (n - 1)) == pytest.approx(gap["se"], **close)


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
    for name in ("std_err", "prodlim_se"):
        assert np.sqrt(first.variance[place]) == pytest.approx(said[name], **exactly)


def test_calibration_slope_and_smooth_calibration(cohort):
    if cohort["competing"]:
        pytest.skip("R was asked of one cause")
    said, outcome = cohort["calibration"], (cohort["time"], cohort["event"])
    slope = calibration_slope(cohort["a"], *outcome)
    assert slope.value == pytest.approx(said["slope"], rel=1e-6)
    assert error(slope) == pytest.approx(said["slope_se"], rel=1e-6)
    smooth = smooth_calibration(cohort["predicted"]["a"][:, 1], *outcome, said["horizon"])
    assert smooth.ici.value == pytest.approx(said["ici"], rel=1e-6)
    assert smooth.e50 == pytest.approx(said["e50"], rel=1e-6)
    assert smooth.emax == pytest.approx(said["emax"], rel=1e-6)


def test_observed_over_expected(cohort):
    for place, horizon in enumerate(cohort["times"]):
        predicted = cohort["predicted"]["a"][:, place]
        said = cohort["incidence"]["first"] if cohort["competing"] else 1 - np.asarray(cohort["kaplan_meier"]["surv"])
        found = observed_expected(predicted, cohort["time"], cohort["event"], horizon)
        assert found.value == pytest.approx(said[place] / predicted.mean(), **exactly)


def test_net_benefit(cohort):
    if cohort["competing"]:
        pytest.skip("R was asked of one cause")
    given = cohort["predicted"]["a"][:, 1], cohort["time"], cohort["event"], cohort["times"][1]
    for threshold, said in zip((0.1, 0.2, 0.3, 0.5), cohort["benefit"], strict=True):
        assert survival_net_benefit(*given, threshold).value == pytest.approx(said, **exactly)
    frame = survival_net_benefit_frame(*given, (0.1, 0.2, 0.3, 0.5))
    assert frame["net_benefit"].to_numpy() == pytest.approx(cohort["benefit"], **exactly)


def test_restricted_means_and_the_log_rank_test(cohort):
    said, happened, group = cohort["restricted"], cohort["event"] == 1, cohort["a"] > cohort["a"].mean()
    parts = [restricted_mean(cohort["time"][group == g], happened[group == g], said["tau"]) for g in (False, True)]
    for part, name in zip(parts, ("low", "high"), strict=True):
        assert part.value == pytest.approx(said[name][0], **exactly)
        assert error(part) == pytest.approx(said[name][1], **exactly)
    gap = restricted_mean_difference(cohort["time"], happened, group, said["tau"])
    assert gap.value == pytest.approx(said["high"][0] - said["low"][0], **exactly)
    assert error(gap) == pytest.approx(np.hypot(said["high"][1], said["low"][1]), **exactly)
    assert log_rank(cohort["time"], happened, group).chi2 == pytest.approx(said["log_rank"], rel=1e-9)
