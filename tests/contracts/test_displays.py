"""Is every display what it claims: a frame of numbers that is drawn, from arrays and from a model alike?"""

import numpy as np
import pandas as pd
import pytest

from fusiondx.core.predictions import ClassPrediction, SurvivalPrediction
from fusiondx.core.targets import Classes, Survival, TargetValues
from fusiondx.errors import ConfigError, DataError
from fusiondx.evaluation.a_calibration import a_calibration, d_calibration
from fusiondx.evaluation.delong import estimate_auroc
from fusiondx.evaluation.dynamic_auc import dynamic_auc
from fusiondx.evaluation.net_benefit import estimate_net_benefit
from fusiondx.reporting.displays import (
    ACalibrationDisplay,
    CalibrationDisplay,
    DCalibrationDisplay,
    DecisionCurveDisplay,
    DistributionDisplay,
    IncidenceDisplay,
    KaplanMeierDisplay,
    OverTimeDisplay,
    RocDisplay,
    SurvivalCalibrationDisplay,
)
from fusiondx.survival.competing import incidence
from fusiondx.survival.estimators import kaplan_meier

BINARY = (CalibrationDisplay, DecisionCurveDisplay, DistributionDisplay, RocDisplay)
TIMES = np.array([6.0, 12.0, 24.0])


def simulated():
    rng = np.random.default_rng(8)
    latent, limit = rng.normal(size=200), rng.uniform(5, 60, 200)
    time = rng.exponential(25 * np.exp(-latent))
    alive = np.exp(-np.outer(np.exp(latent), TIMES / 25))
    return latent, latent + rng.normal(size=200) > 0, np.minimum(time, limit), (time <= limit).astype(int), alive


LATENT, POSITIVE, TIME, EVENT, ALIVE = simulated()
CHANCE = 1 / (1 + np.exp(-LATENT))


class Cohort:
    """As much of a cohort as a display asks for."""

    known = np.ones(200, dtype=bool)
    targets = {
        "diagnosis": TargetValues(Classes("d"), {"label": POSITIVE.astype(int)}, known, ("no", "yes")),
        "survival": TargetValues(Survival("t", "e"), {"time": TIME, "event": EVENT}, known),
    }


class Model:
    """As much of a fitted model as a display asks for."""

    def predict(self, cohort):
        ids = np.arange(200).astype(str)
        return {
            "diagnosis": ClassPrediction(ids, ("no", "yes"), np.stack([1 - CHANCE, CHANCE], axis=1)),
            "survival": SurvivalPrediction(ids, LATENT, TIMES, ALIVE),
        }


def displays():
    for kind in BINARY:
        yield kind.from_predictions(CHANCE, POSITIVE, name="m")
    for metric in ("dynamic_auc", "survival_brier", "ipa"):
        yield OverTimeDisplay.from_predictions(1 - ALIVE, TIMES, TIME, EVENT, metric=metric)
    yield SurvivalCalibrationDisplay.from_predictions(1 - ALIVE[:, 1], TIME, EVENT, 12.0)
    yield DecisionCurveDisplay.from_survival(1 - ALIVE[:, 1], TIME, EVENT, 12.0)
    yield KaplanMeierDisplay.from_predictions(LATENT, TIME, EVENT, cuts=[0.0])
    yield DistributionDisplay.from_survival(1 - ALIVE[:, 1], TIME, EVENT, 12.0)
    yield ACalibrationDisplay.from_predictions(ALIVE, TIMES, TIME, EVENT)
    yield DCalibrationDisplay.from_predictions(ALIVE, TIMES, TIME, EVENT)
    yield IncidenceDisplay.from_predictions(1 - ALIVE, TIMES, TIME, EVENT)


@pytest.fixture(scope="module")
def every():
    return list(displays())


def test_all_are_frames_that_can_be_drawn(every):
    for display in every:
        frame = display.frame()
        assert len(frame) > 2
        axes = display.plot()
        assert axes.get_xlabel()
        assert axes.get_ylabel()
        again = display.plot(axes)
        assert again is axes
        del frame[frame.columns[1]]
        assert display.frame().shape[1] == frame.shape[1] + 1, "a copy"


def test_a_model_and_its_predictions_give_the_same():
    for kind in BINARY:
        by_hand, asked = (
            kind.from_predictions(CHANCE, POSITIVE),
            kind.from_estimator(Model(), Cohort(), target="diagnosis"),
        )
        pd.testing.assert_frame_equal(by_hand.frame(), asked.frame())
    asked = OverTimeDisplay.from_estimator(Model(), Cohort(), TIMES, target="survival", metric="ipa")
    by_hand = OverTimeDisplay.from_predictions(1 - ALIVE, TIMES, TIME, EVENT, metric="ipa")
    pd.testing.assert_frame_equal(by_hand.frame(), asked.frame())
    asked = KaplanMeierDisplay.from_estimator(Model(), Cohort(), target="survival")
    pd.testing.assert_frame_equal(KaplanMeierDisplay.from_predictions(LATENT, TIME, EVENT, cuts=0.0).table, asked.table)


def test_the_numbers_are_those_of_the_evaluation():
    roc = RocDisplay.from_predictions(CHANCE, POSITIVE).frame()
    area = np.trapezoid(roc["sensitivity"], roc["false_positive_rate"])
    assert area == pytest.approx(estimate_auroc(CHANCE, POSITIVE).value, abs=1e-12)
    curve = DecisionCurveDisplay.from_predictions(CHANCE, POSITIVE).frame().set_index("threshold")
    assert curve["net_benefit"][0.3] == estimate_net_benefit(CHANCE, POSITIVE, 0.3).value
    auc = OverTimeDisplay.from_predictions(LATENT, TIMES, TIME, EVENT).frame()
    assert auc["value"].tolist() == [dynamic_auc(LATENT, TIME, EVENT, t).value for t in TIMES]
    low = KaplanMeierDisplay.from_predictions(LATENT, TIME, EVENT, cuts=[0.0]).frame().query("group == '1'")
    alive = kaplan_meier(TIME[LATENT <= 0], EVENT[LATENT <= 0])
    assert low["event_free"].iloc[-1] == alive.values[-1]
    spread = DistributionDisplay.from_predictions(CHANCE, POSITIVE).frame()
    assert spread["positive"].sum() == POSITIVE.sum()


def test_calibration_finds_what_was_done_to_probabilities():
    sharp = 1 / (1 + np.exp(-3 * LATENT))
    _, slope, _ = CalibrationDisplay.from_predictions(sharp, POSITIVE).summary
    _, honest, _ = CalibrationDisplay.from_predictions(CHANCE, POSITIVE).summary
    assert slope.value == pytest.approx(honest.value / 3, rel=1e-6)


def test_a_wrong_target_is_told():
    with pytest.raises(ConfigError, match="2 targets"):
        RocDisplay.from_estimator(Model(), Cohort())
    with pytest.raises(ConfigError, match="Did you mean 'survival'"):
        OverTimeDisplay.from_estimator(Model(), Cohort(), TIMES, target="surival")
    with pytest.raises(DataError, match="two classes"):
        RocDisplay.from_estimator(Model(), Cohort(), target="survival")
    with pytest.raises(DataError, match="for survival"):
        KaplanMeierDisplay.from_estimator(Model(), Cohort(), target="diagnosis")


def test_whole_curves_are_shown_as_the_evaluation_judges_them():
    tested, spread = a_calibration(ALIVE, TIMES, TIME, EVENT), d_calibration(ALIVE, TIMES, TIME, EVENT)
    shown = ACalibrationDisplay.from_predictions(ALIVE, TIMES, TIME, EVENT)
    assert shown.frame()["observed"].tolist() == tested.observed.tolist()
    assert f"on {tested.degrees} degrees of freedom" in shown.verdict
    assert DCalibrationDisplay.from_predictions(ALIVE, TIMES, TIME, EVENT).frame()["share"].tolist() == (
        spread.share.tolist()
    )
    nobody = ACalibrationDisplay.from_predictions(ALIVE[:3], TIMES, TIME[:3], EVENT[:3])
    assert not len(nobody.frame())
    assert "events expected in 3 patients" in nobody.verdict


def test_who_is_lost_before_the_horizon_is_left_out_of_a_distribution():
    shown = DistributionDisplay.from_survival(1 - ALIVE[:, 1], TIME, EVENT, 12.0)
    early = TIME <= 12
    assert shown.left_out == (early & (EVENT == 0)).sum() > 0
    assert shown.frame()["positive"].sum() == (early & (EVENT == 1)).sum()
    assert shown.frame()["negative"].sum() == (~early).sum()


def test_incidence_is_observed_where_others_compete():
    event = np.where(EVENT == 1, 1 + np.arange(200) % 2, 0)
    frame = IncidenceDisplay.from_predictions(1 - ALIVE, TIMES, TIME, event).frame()
    observed = frame[frame["what"] == "observed"]
    assert observed["incidence"].tolist() == incidence(TIME, event).values.tolist()
    assert (observed["low"] <= observed["incidence"]).all()
    assert (observed["incidence"] <= observed["high"]).all()
    assert frame[frame["what"] == "predicted"]["incidence"].tolist() == (1 - ALIVE).mean(axis=0).tolist()
