"""Are tables of predictions, and arrays, put beside the right patients, and is what does not fit refused?"""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

import fusiondx as fdx
from fusiondx import evaluation as ev
from fusiondx.data.predicted import read_predictions
from fusiondx.errors import DataError


@pytest.fixture
def tables():
    rng = np.random.default_rng(0)
    label, chance = rng.permutation(np.repeat([0, 1], 20)), rng.random(40).round(3)
    truth = pd.DataFrame(
        {
            "patient_id": [f"P{i:02}" for i in range(40)],
            "grade": np.where(label == 1, "high", "low"),
            "spread": label,
            "months": rng.exponential(size=40) + 0.1,
            "event": label,
            "dose": rng.normal(size=40),
        }
    )
    said = pd.DataFrame(
        {
            "patient_id": truth["patient_id"],
            "probability[low]": 1 - chance,
            "probability[high]": chance,
            "probability[spread]": chance,
            "probability": chance,
            "risk": chance,
            "survival[12]": 1 - chance,
            "survival[6]": 1 - chance / 2,
            "value": chance,
        }
    )
    return said.sample(frac=1, random_state=1), truth, label, chance


def test_rows_are_joined_by_id(tables):
    said, truth, label, chance = tables
    alone = said.drop(columns="probability[spread]")
    prediction, answers = read_predictions(alone, truth, fdx.Classes("grade"))
    assert prediction.classes == answers.classes == ("low", "high")
    assert list(prediction.ids) == list(said["patient_id"])
    found = ev.score([(prediction, answers)])[0]
    assert found.value == pytest.approx(roc_auc_score(label, chance))
    one = alone.drop(columns=["probability[low]", "probability[high]"])
    again = read_predictions(one, truth, fdx.Classes("grade", ("low", "high")))
    assert ev.score([again])[0] == found


@pytest.mark.parametrize(
    ("target", "field"),
    [
        (fdx.Labels(("spread",)), "probability"),
        (fdx.Survival("months", "event"), "risk"),
        (fdx.Number("dose"), "value"),
    ],
)
def test_every_kind_is_read(tables, target, field):
    said, truth, _, chance = tables
    prediction, answers = read_predictions(said, truth, target)
    place = [int(i[1:]) for i in prediction.ids]
    assert getattr(prediction, field).ravel() == pytest.approx(chance[place])
    assert answers.spec.kind == target.kind
    if field == "risk":
        assert list(prediction.times) == [6, 12]
        assert prediction.survival([7])[:, 0] == pytest.approx(1 - chance[place] / 2)


def test_strangers_duplicates_and_gaps_are_named(tables):
    said, truth, *_ = tables
    grade = fdx.Classes("grade", ("low", "high"))
    with pytest.raises(DataError, match="1 patient predicted but not in the truth: X1"):
        read_predictions(said.replace("P03", "X1"), truth, grade)
    with pytest.raises(DataError, match="P03"):
        read_predictions(pd.concat([said, said[said["patient_id"] == "P03"]]), truth, grade)
    with pytest.raises(DataError, match="2 patients of the truth without a prediction"):
        read_predictions(said.iloc[2:], truth, grade)
    assert len(read_predictions(said.iloc[2:], truth, grade, unpredicted="leave out")[0]) == 38
    with pytest.raises(DataError, match="risk"):
        read_predictions(said.drop(columns="risk"), truth, fdx.Survival("months", "event"))
    with pytest.raises(DataError, match="with a gap in value"):
        read_predictions(said.assign(value=np.nan), truth, fdx.Number("dose"))
    with pytest.raises(DataError, match="do not add up to 1"):
        read_predictions(said.assign(**{"probability[low]": 0.9}), truth, grade)
    with pytest.raises(DataError, match="rises with time"):
        read_predictions(said.assign(**{"survival[6]": 0.0}), truth, fdx.Survival("months", "event"))


BAD = {
    "nan": ([0.1, np.nan], [0, 1]),
    "infinite": ([0.1, np.inf], [0, 1]),
    "above one": ([0.1, 1.5], [0, 1]),
    "text": (["a", "b"], [0, 1]),
    "too short": ([0.1], [0, 1]),
    "third class": ([0.1, 0.2], [0, 2]),
    "a matrix": (np.ones((2, 2, 2)), [0, 1]),
}
JUDGES = {
    "auroc": ev.estimate_auroc,
    "average_precision": ev.estimate_average_precision,
    "brier": ev.estimate_brier,
    "skill": ev.estimate_brier_skill,
    "intercept": ev.estimate_calibration_intercept,
    "slope": ev.estimate_calibration_slope,
    "observed_expected": ev.estimate_observed_expected,
    "errors": ev.estimate_calibration_errors,
    "ece": ev.estimate_ece,
    "corp": ev.brier_parts,
    "reliability": ev.reliability_frame,
    "calibration_frame": ev.calibration_frame,
    "net_benefit": ev.net_benefit_frame,
    "histogram": ev.histogram_frame,
    "quantiles": ev.quantile_frame,
    "precision_recall": ev.precision_recall_frame,
    "judge_classes": lambda p, y: ev.judge_classes(p, y, classes=["0", "1"]),
    "judge_threshold": lambda p, y: ev.judge_threshold(p, y, 0.5),
    "choose_threshold": lambda p, y: ev.choose_threshold(p, y, ev.Youden()),
}


@pytest.mark.parametrize("judge", JUDGES.values(), ids=JUDGES)
@pytest.mark.parametrize("bad", BAD)
def test_bad_input_is_an_error_that_says_what(judge, bad):
    if bad == "above one" and judge in (
        *list(JUDGES.values())[:2],
        *list(JUDGES.values())[-2:],
        JUDGES["precision_recall"],
    ):
        judge(*BAD[bad])  # these take any score
        return
    with pytest.raises(DataError) as raised:
        judge(*BAD[bad])
    assert len(str(raised.value)) > 20


CLUSTERED = ["intercept", "slope", "observed_expected", "errors", "ece"]


@pytest.mark.parametrize("judge", CLUSTERED)
def test_patients_of_several_rows_are_counted_once_and_so_are_their_events(judge):
    rng, patient = np.random.default_rng(0), np.repeat(np.arange(20), 5)
    positive = np.repeat(np.arange(20) < 10, 5)
    found = JUDGES[judge](rng.uniform(0.1, 0.9, 100), positive, patient)
    for outcome in found if isinstance(found, tuple) else [found]:
        assert (outcome.n, outcome.events) == (20, 10)
    lacking = JUDGES[judge](rng.uniform(0.1, 0.9, 100), np.zeros(100), patient)
    for outcome in lacking if isinstance(lacking, tuple) else [lacking]:
        assert (outcome.n, outcome.events) == (20, 0)
    with pytest.raises(DataError, match="Say whose each row is"):
        JUDGES[judge](rng.uniform(0.1, 0.9, 100), positive, patient[:50])


@pytest.mark.parametrize("threshold", [np.nan, np.inf])
def test_a_threshold_to_judge_is_finite(threshold):
    with pytest.raises(DataError, match="Give the score from which"):
        ev.judge_threshold([0.2, 0.8], [0, 1], threshold)


@pytest.mark.parametrize("judge", list(JUDGES.values())[:17], ids=list(JUDGES)[:17])
@pytest.mark.parametrize("label", [[], [1, 1, 1], [0, 0, 0], [0, 1, 1]])
def test_few_patients_give_no_nan_and_no_warning(judge, label, recwarn):
    found = judge(np.linspace(0.2, 0.8, 3)[: len(label)], np.array(label, dtype=bool))
    for outcome in found if isinstance(found, tuple) else [found]:
        if isinstance(outcome, ev.Estimate):
            assert not np.isnan([outcome.value, outcome.low, outcome.high]).any()
    assert not recwarn.list


@pytest.mark.parametrize(
    ("label", "order"),
    [
        ([1, 1, -1, -1], ("-1", "1")),
        ([0.5, 0.5, -0.5, -0.5], ("-0.5", "0.5")),
        (["10", "10", "9", "9"], ("9", "10")),
        (["b", "b", "2", "2"], ("2", "b")),
        (["nan", "nan", "inf", "inf"], ("inf", "nan")),
    ],
)
def test_classes_that_are_numbers_are_in_their_order(label, order):
    said, truth = ev.class_part([0.9, 0.8, 0.2, 0.1], label)
    assert said.classes == truth.classes == order
    assert ev.judge_classes([0.9, 0.8, 0.2, 0.1], label)[0].value == 1


def test_what_has_an_index_is_never_put_together_by_position():
    said = pd.DataFrame({12.0: [0.9, 0.8, 0.2]}, ["A", "B", "C"])
    time, event = pd.Series([1.0, 2.0, 3.0], ["C", "B", "A"]), pd.Series([0, 1, 1], ["B", "C", "A"])
    with pytest.raises(DataError, match=r"indexes of time, event differ, .* and risk, survival has none"):
        ev.survival_part([1.0, 2.0, 3.0], time, event, times=[12.0], survival=said.to_numpy())
    with pytest.raises(DataError, match="and ids has none to join by"):
        ev.number_part(time, event, ids=["C", "B", "A"])
    names = pd.Series(["second", "first", "third"], ["B", "A", "C"])
    prediction, truth = ev.survival_part(said[12.0], time, event, times=[12.0], survival=said, ids=names)
    assert list(prediction.ids) == ["first", "second", "third"]
    assert list(truth.fields["time"]) == [3, 2, 1]
    assert list(truth.fields["event"]) == [1, 0, 1]
    rows = pd.DataFrame({"id": ["A", "B"], "value": [1.0, 2.0]}, [0, 0])  # one order, so that no index has to be unique
    assert list(ev.number_part(rows["value"], rows["value"], ids=rows["id"])[0].ids) == ["A", "B"]


SEVERAL = pd.MultiIndex.from_tuples([("A", 1), ("B", 1)])


@pytest.mark.parametrize(
    ("said", "label", "ids", "told"),
    [
        ([0.1, 0.9], pd.DataFrame({"y": [0, 1]}), None, "'label' has 2 dimensions"),
        ([0.1, 0.9], [[0], [1]], None, "'label' has 2 dimensions"),
        (pd.Series([0.1, 0.9], SEVERAL), pd.Series([0, 1], SEVERAL), None, "several levels"),
        (0.5, 1, None, "'probability' has 0 dimensions"),
        ([0.1, 0.9], [0, 1], [["A"], ["B"]], "'ids' has 2 dimensions"),
        ([0.1, 0.9], [0, 1], "A", "'ids' has 0 dimensions"),
        ([0.1, 0.9], [0, 1], ["A"], "'ids' has 1. Give one per patient"),
    ],
)
def test_other_shapes_than_one_entry_per_patient_are_refused(said, label, ids, told):
    with pytest.raises(DataError, match=told):
        ev.class_part(said, label, ids=ids)


def test_several_classes_labels_and_numbers_are_judged():
    rng = np.random.default_rng(0)
    chance = pd.DataFrame(rng.dirichlet(np.ones(3), 60), columns=["a", "b", "c"])
    label = pd.Series(rng.choice(["a", "b", "c"], 60))
    found = {o.metric: o for o in ev.judge_classes(chance, label.sample(frac=1, random_state=0), replicates=50)}
    assert "hand_till" in found
    assert found["auroc"].value == pytest.approx(roc_auc_score(label, chance, multi_class="ovr"))
    labels = ev.judge_labels(chance, (chance > rng.random((60, 3))).astype(int))
    assert [o.metric for o in labels] == ["macro_auroc", "macro_average_precision"]
    assert {o.metric for o in ev.judge_numbers(rng.normal(size=9), rng.normal(size=9), replicates=20)} == {
        "mse",
        "mae",
        "r2",
    }
    frame = ev.outcome_frame(found.values())
    assert list(frame.query("secondary")["metric"])[:2] == ["accuracy", "balanced_accuracy"]


def test_the_page_on_metrics_runs():
    text = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
    names: dict[str, object] = {}
    for block in re.findall(r"^```python\n(.*?)^```", text, re.S | re.M):
        exec(compile(block, "metrics.md", "exec"), names)
    assert names["cut"].value < 0.5
