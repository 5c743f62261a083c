"""Metrics of classes against R: pROC, rms, stats. Closed forms to 1e-10, fitted ones to 1e-6.

`frozen/r/classification.json` holds ten data sets, and what `classification.R` beside it said of them.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.special import logit, ndtri

from fusiondx.evaluation import confusion as secondary
from fusiondx.evaluation.brier import estimate_brier
from fusiondx.evaluation.calibration import (
    calibration_curve,
    estimate_calibration_errors,
    estimate_calibration_intercept,
    estimate_calibration_slope,
    recalibration,
)
from fusiondx.evaluation.corp import brier_parts
from fusiondx.evaluation.delong import auroc_difference, auroc_of, newcombe_variance, score_interval
from fusiondx.evaluation.estimate import Undefined
from fusiondx.evaluation.logistic import fit_logistic
from fusiondx.evaluation.multiclass import estimate_hand_till, estimate_one_vs_rest
from fusiondx.evaluation.net_benefit import net_benefit_frame
from fusiondx.evaluation.operating_points import Youden, choose_threshold, judge_threshold, rates

FROZEN = json.loads((Path(__file__).parent / "frozen" / "r" / "classification.json").read_text())
Z = ndtri(0.975)


@pytest.fixture(params=FROZEN["binary"])
def case(request):
    patients, expected = (FROZEN["binary"][request.param][key] for key in ("patients", "expected"))
    a, b, p = (np.array(patients[name]) for name in ("a", "b", "p"))
    return np.array(patients["label"]) == 1, a, b, p, expected


def close(expected, tolerance=1e-10):
    return pytest.approx(expected, rel=tolerance, abs=tolerance)


def test_auroc_and_delong(case):
    label, a, b, _, expected = case
    found, other = auroc_of(a, label), auroc_of(b, label)
    assert found.value == close(expected["auc"])
    assert found.variance == close(expected["variance"])
    assert found.influence @ other.influence == close(expected["covariance"])
    wald = found.value + Z * np.sqrt(found.variance) * np.array([-1, 1])
    assert np.clip(wald, 0, 1) == close(np.clip(expected["delong_ci"], 0, 1))


def test_paired_delong_test(case):
    label, a, b, _, expected = case
    found = auroc_difference(a, b, label)
    assert found.value == close(expected["auc"] - expected["auc_b"])
    assert found.value / ((found.high - found.low) / 2 / Z) == close(expected["z"])
    assert found.p == close(expected["p_value"])


def test_newcombes_interval_where_delong_adds_nothing(case):
    """With DeLong's variance equal to the expected one, the interval is Newcombe's method 5."""
    label, _, _, _, expected = case
    m, n, value = int(label.sum()), int((~label).sum()), expected["auc"]
    assert score_interval(value, newcombe_variance(value, m, n), m, n) == close(tuple(expected["newcombe"]))


def test_thresholds(case):
    label, a, _, _, expected = case
    cuts, sensitivity, specificity = rates(a, label)
    assert sensitivity == close(np.array(expected["sensitivities"])[: len(cuts)])
    assert specificity == close(np.array(expected["specificities"])[: len(cuts)])
    best = np.flatnonzero(cuts == choose_threshold(a, label, Youden()).value)[0]
    assert sensitivity[best] + specificity[best] == close(expected["youden"])


def test_a_threshold_judged(case):
    label, _, _, p, expected = case
    for outcome in judge_threshold(p, label, expected["cut"]):
        if outcome.metric in expected:
            assert (outcome.value, outcome.low, outcome.high) == close(tuple(expected[outcome.metric]))
    tp, fp, fn, tn = expected["table"]
    table = np.array([[tn, fp], [fn, tp]], dtype=float)
    accuracy = secondary.estimate_accuracy(table)
    assert (accuracy.value, accuracy.low, accuracy.high) == close(tuple(expected["accuracy"]))
    assert secondary.estimate_mcc(table).value == close(expected["mcc"])
    assert secondary.estimate_f1(table).value == close(expected["f1"])


def test_calibration_in_the_large(case):
    label, _, _, p, expected = case
    value, se = expected["in_the_large"]
    assert estimate_calibration_intercept(p, label).value == close(value, 1e-6)
    fit = fit_logistic(np.ones((len(p), 1)), label, offset=logit(np.clip(p, 1e-6, 1 - 1e-6)))
    assert np.sqrt(fit.covariance[0, 0]) == close(se, 1e-6)


def test_calibration_slope(case):
    label, _, _, p, expected = case
    found = estimate_calibration_slope(p, label)
    assert (found.value, (found.high - found.low) / 2 / Z) == close(
        (expected["joint"][1], expected["joint_se"][1]), 1e-6
    )
    assert recalibration(p, label) == close(tuple(expected["joint"]), 1e-6)
    by_rms = expected["val_prob"]
    assert recalibration(p, label) == pytest.approx((by_rms["Intercept"], by_rms["Slope"]), abs=2e-4)  # its own stop


def test_brier_and_its_parts(case):
    label, _, _, p, expected = case
    parts = brier_parts(p, label)
    assert estimate_brier(p, label).value == close(expected["brier"])
    assert parts.brier == close(expected["val_prob"]["Brier"])
    assert parts.brier - parts.miscalibration == close(expected["brier_refined"])


def test_calibration_curve(case):
    label, _, _, p, expected = case
    if "curve" not in expected:
        found = calibration_curve(p, label)
        assert isinstance(found, Undefined) or not len(found.knots)
        return
    assert calibration_curve(p, label).knots == close(np.array(expected["knots"]))
    for outcome in estimate_calibration_errors(p, label):
        assert outcome.value == close(expected["curve"][outcome.metric], 1e-6)


def test_net_benefit(case):
    label, _, _, p, expected = case
    found = net_benefit_frame(p, label, expected["thresholds"])
    assert found["net_benefit"].to_numpy() == close(np.array(expected["net_benefit"]))


@pytest.mark.parametrize("given", FROZEN["several"])
def test_several_classes(given):
    label, p = np.array(given["label"]), np.array(given["p"])
    assert estimate_hand_till(p, label).value == close(given["hand_till"])
    assert estimate_one_vs_rest("auroc", p, label).value == close(np.mean(given["one_vs_rest"]))
