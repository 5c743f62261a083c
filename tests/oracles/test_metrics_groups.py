"""Risk groups and the log-rank test against lifelines, scikit-survival and hand-worked cases."""

import json
from pathlib import Path

import numpy as np
import pytest

from fusiondx.errors import DataError
from fusiondx.evaluation.groups import log_rank, risk_groups, survival_by_group
from fusiondx.evaluation.restricted_mean import restricted_mean_difference
from fusiondx.survival.estimators import kaplan_meier

FROZEN = json.loads((Path(__file__).parent / "frozen" / "survival.json").read_text())


@pytest.mark.parametrize("name", FROZEN)
@pytest.mark.parametrize("oracle", ["log_rank", "log_rank_sksurv"])
def test_log_rank_equals_lifelines_and_scikit_survival(name, oracle):
    patients = {key: np.asarray(values) for key, values in FROZEN[name]["patients"].items()}
    test = log_rank(patients["time"], patients["event"], patients["group"])
    assert test.chi2 == pytest.approx(FROZEN[name][oracle]["chi2"], rel=1e-9)
    assert test.p == pytest.approx(FROZEN[name][oracle]["p"], rel=1e-9)
    assert test.degrees == 2


def test_log_rank_by_hand():
    """Groups a: 1, 3 and b: 2+, 4. One expected of a at time 1 (2 of 4), at 3 (1 of 2), none at 4."""
    test = log_rank(np.array([1, 3, 2, 4]), np.array([1, 1, 0, 1]), np.array(["a", "a", "b", "b"]))
    assert test.chi2 == pytest.approx((2 - 1.0) ** 2 / (1 / 4 + 1 / 4))


def test_log_rank_needs_groups_and_events():
    with pytest.raises(DataError, match="two groups"):
        log_rank(np.array([1, 2]), np.array([1, 1]), np.array([0, 0]))
    with pytest.raises(DataError, match="one event"):
        log_rank(np.array([1, 2]), np.array([0, 0]), np.array([0, 1]))


def test_a_competing_event_counts_as_censoring():
    time, group = np.arange(1.0, 9), np.arange(8) % 2
    rivals, censored = np.array([1, 2, 1, 1, 2, 1, 0, 1]), np.array([1, 0, 1, 1, 0, 1, 0, 1])
    assert log_rank(time, rivals, group) == log_rank(time, censored, group)
    shown, same = survival_by_group(time, rivals, group, [2]), survival_by_group(time, censored, group, [2])
    assert [shown[g].events for g in (0, 1)] == [2, 3]
    for g in (0, 1):
        np.testing.assert_array_equal(shown[g].curve.values, same[g].curve.values)


@pytest.mark.parametrize(
    "wrong",
    [
        {"time": [1.0, np.nan, 3.0, 4.0]},
        {"time": [1.0, np.inf, 3.0, 4.0]},
        {"event": [1, np.nan, 0, 1]},
        {"event": [1, np.inf, 0, 1]},
        {"group": [0, np.nan, 0, 1]},
        {"group": [0, np.inf, 0, 1]},
        {"group": ["a", None, "a", "b"]},
        {"group": [0, 1]},
    ],
)
def test_what_cannot_be_grouped_is_refused(wrong):
    given = {"time": [1.0, 2.0, 3.0, 4.0], "event": [1, 1, 0, 1], "group": [0, 1, 0, 1]} | wrong
    for judge in (log_rank, lambda **it: survival_by_group(**it, at=[1]), restricted_mean_difference):
        with pytest.raises(DataError):
            judge(**given)


def test_groups_have_any_name_and_arrays_any_type():
    shown = survival_by_group([1, 2, 3], [1, 0, 1], ["low", "high", "low"], [0, 2])
    assert {name: found.patients for name, found in shown.items()} == {"high": 1, "low": 2}
    assert log_rank([1, 2, 3], [1, 0, 1], ["low", "high", "low"]).degrees == 1


@pytest.mark.parametrize(("risk", "cuts"), [([0.1, np.nan], [0.5]), ([0.1, np.inf], [0.5]), ([0.1], [np.nan])])
def test_a_risk_that_is_no_number_is_in_no_group(risk, cuts):
    with pytest.raises(DataError, match=r"not a finite number|cut point is missing"):
        risk_groups(risk, cuts)


def test_groups_by_cut_points():
    """A patient at a cut point belongs below it, so a training median halves the training patients."""
    assert risk_groups([-1.0, 0.0, 0.5, 2.0], [0.0]).tolist() == [0, 0, 1, 1]
    assert risk_groups([-1.0, 0.5, 2.0], [1.0, 0.0]).tolist() == [0, 1, 2]
    risk = np.random.default_rng(0).normal(size=50)
    assert np.bincount(risk_groups(risk, np.median(risk))).tolist() == [25, 25]


def test_survival_by_group():
    time, event, group = np.array([1.0, 2, 3, 4, 5]), np.array([1, 0, 1, 1, 0]), np.array([0, 2, 0, 2, 2])
    shown = survival_by_group(time, event, group, [0, 2, 4])
    assert list(shown) == [0, 2]
    assert (shown[2].patients, shown[2].events) == (3, 1)
    assert shown[0].at_risk.tolist() == [2, 1, 0]
    assert shown[2].at_risk.tolist() == [3, 3, 2]
    np.testing.assert_array_equal(shown[2].curve.values, kaplan_meier([2, 4, 5], [0, 1, 0]).values)
