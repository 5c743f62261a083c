"""Predictions that another tool made, judged from the command line; and the mistakes of whoever does that."""

import json

import numpy as np
import pandas as pd
import pytest

from fusiondx.cli import app
from fusiondx.evaluation.delong import estimate_auroc
from fusiondx.evaluation.dynamic_auc import dynamic_auc
from fusiondx.evaluation.survival_brier import survival_brier


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A truth of 80 patients, in text ids with leading zeros, and three tables of predictions of 60 of them."""
    rng = np.random.default_rng(4)
    latent, limit = rng.normal(size=80), rng.uniform(5, 60, 80)
    time = rng.exponential(25 * np.exp(-latent))
    truth = pd.DataFrame(
        {
            "patient": [f"{i:03d}" for i in range(80)],
            "diagnosis": np.where(latent + rng.normal(size=80) > 0, "tumour", "benign"),
            "os": np.minimum(time, limit).round(1) + 0.1,
            "died": (time <= limit).astype(int),
            "size": 20 + 5 * latent,
            "sex": np.where(np.arange(80) % 3, "f", "m"),
            "age": np.arange(80) % 41,
        }
    )
    some = truth["patient"].sample(60, random_state=1)
    chance, keep = 1 / (1 + np.exp(-latent)), some.index
    alive = np.exp(-np.outer(np.exp(latent[keep]), [0.2, 0.5, 1.0]))
    curves = {f"survival[{t}]": alive[:, i] for i, t in enumerate([6, 12, 24])}
    classes = {"patient": some, "probability[benign]": 1 - chance[keep], "probability[tumour]": chance[keep]}
    pd.DataFrame(classes).to_csv(tmp_path / "forest.csv", index=False)
    pd.DataFrame({"patient": some, "probability": rng.random(60)}).to_csv(tmp_path / "clinical.csv", index=False)
    pd.DataFrame({"patient": some, **curves}).to_csv(tmp_path / "cox.csv", index=False)
    pd.DataFrame({"patient": some, "mm": 20 + 4 * latent[keep]}).to_csv(tmp_path / "size.csv", index=False)
    truth.to_csv(tmp_path / "cohort.csv", index=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


TABLES = ("--truth", "cohort.csv", "--id", "patient", "--out", "out", "--replicates", "50")
LABEL = (*TABLES, "--label", "diagnosis")
SURVIVAL = (*TABLES, "--time", "os", "--event", "died")


def evaluate(*arguments):
    with pytest.raises(SystemExit) as left:
        app(["evaluate", *arguments])
    return left.value.code


def test_classes_are_joined_by_id_and_compared_with_the_baseline(folder, capsys):
    given = ("forest.csv", "--baseline", "clinical.csv", "--by", "sex", "--by", "age", "--failures", "3")
    assert evaluate(*given, *LABEL) == 0
    assert "AUROC" in capsys.readouterr().out
    metrics = pd.read_csv(folder / "out" / "metrics.csv").set_index(["model", "metric"])
    truth, said = pd.read_csv("cohort.csv", dtype=str), pd.read_csv("forest.csv", dtype={"patient": str})
    joined = said.merge(truth, on="patient")
    by_hand = estimate_auroc(joined["probability[tumour]"], joined["diagnosis"] == "tumour")
    assert metrics.loc[("forest", "auroc"), "estimate"] == by_hand.value
    assert metrics.loc[("forest", "auroc"), "n"] == 60
    record = json.loads((folder / "out" / "report.json").read_text())
    gap = dict(zip(record["differences"]["columns"], record["differences"]["rows"][0], strict=True))
    assert (gap["model"], gap["versus"]) == ("forest", "clinical")
    assert 0 < gap["p"] < 0.05
    groups = [(row[2], row[3]) for row in record["subgroups"]["rows"] if row[1] == "forest"]
    halves = joined["age"].astype(float).median()
    sexes = [("sex", "f"), ("sex", "m")]
    assert groups == [*sexes, ("age", f"above {halves:g}"), ("age", f"at most {halves:g}")]
    assert len(record["failures"]["rows"]) == 3
    page = (folder / "out" / "report.html").read_text()
    assert "20 patients of the truth not predicted" in page
    assert "Failure cases" in page


def test_a_column_of_any_name_can_hold_the_prediction(folder):
    assert evaluate("size.csv", *TABLES, "--number", "size", "--prediction", "mm") == 0
    said = json.loads((folder / "out" / "report.json").read_text())["results"][0]
    assert said["parts"][0]["prediction"]["kind"] == "number"
    assert said["estimates"][0]["n"] == 60


def test_survival_curves_need_no_risk_and_folds_are_kept_apart(folder):
    table = pd.read_csv("cox.csv", dtype={"patient": str})
    table.assign(fold=np.arange(60) % 3).to_csv("folds.csv", index=False)
    assert evaluate("cox.csv", "folds.csv", *SURVIVAL) == 0
    whole, folds = json.loads((folder / "out" / "report.json").read_text())["results"]
    assert (len(whole["parts"]), len(folds["parts"])) == (1, 3)
    assert whole["estimates"][0]["value"] > 0.6


def competing(folder):
    """Incidences of two causes at three times, and which of them came first."""
    rng = np.random.default_rng(5)
    truth = pd.read_csv("cohort.csv", dtype={"patient": str}).assign(
        first=lambda table: np.where(table["died"] == 1, rng.integers(1, 3, 80), 0)
    )
    truth.to_csv("cohort.csv", index=False)
    hazard = np.exp(rng.normal(size=(80, 2)) - 3)
    gone = 1 - np.exp(-hazard.sum(axis=1)[:, None] * np.array([6, 12, 24]))
    each = (hazard / hazard.sum(axis=1, keepdims=True))[:, :, None] * gone[:, None]
    columns = {
        f"incidence[{cause}][{t}]": each[:, k, i]
        for k, cause in enumerate(["relapse", "death"])
        for i, t in enumerate([6, 12, 24])
    }
    pd.DataFrame({"patient": truth["patient"], **columns}).to_csv("gray.csv", index=False)
    return truth, each


def test_competing_causes_are_judged_each_on_its_own(folder):
    truth, each = competing(folder)
    given = ("gray.csv", *TABLES, "--time", "os", "--event", "first", "--causes", "relapse,death")
    assert evaluate(*given) == 0
    metrics = pd.read_csv(folder / "out" / "metrics.csv").set_index(["target", "metric"])["estimate"]
    time, first = truth["os"].to_numpy(), truth["first"].to_numpy()
    for number, cause in ((1, "relapse"), (2, "death")):
        event = np.where(first == number, 1, np.where(first > 0, 2, 0))
        horizon = float(np.median(time[event == 1]))
        step = np.searchsorted([6, 12, 24], horizon, side="right")
        by = np.concatenate([np.zeros((80, 1)), each[:, number - 1]], axis=1)[:, step]
        mine = metrics[f"survival: {cause}"]
        assert mine["cause_auc"] == dynamic_auc(by, time, event, horizon).value
        assert mine["cause_brier"] == survival_brier(by, time, event, horizon).value
    page = (folder / "out" / "report.html").read_text()
    assert page.count("<h3>Cumulative incidence</h3>") == 2
    with pytest.raises(SystemExit):
        app(["report", "out"])
    assert (folder / "out" / "report.html").read_text() == page


def test_incidences_that_make_no_sense_are_refused(folder, capsys):
    competing(folder)
    table = pd.read_csv("gray.csv", dtype={"patient": str})
    table.assign(**{"incidence[relapse][24]": 0.99}).to_csv("sum.csv", index=False)
    given = (*TABLES, "--time", "os", "--event", "first")
    assert evaluate("sum.csv", *given, "--causes", "relapse,death") == 2
    assert "add up to more than 1" in capsys.readouterr().err
    assert evaluate("gray.csv", *given) == 2
    assert "no column 'incidence[1][6]'" in capsys.readouterr().err


def test_redrawing_gives_the_same_page(folder):
    assert evaluate("cox.csv", *SURVIVAL) == 0
    page = (folder / "out" / "report.html").read_text()
    with pytest.raises(SystemExit):
        app(["report", "out"])
    assert (folder / "out" / "report.html").read_text() == page


def test_tables_of_parquet_with_ids_that_are_numbers_are_joined(folder):
    for name in ("cohort", "forest"):
        table = pd.read_csv(f"{name}.csv", dtype={"patient": int})
        table.to_parquet(f"{name}.parquet")
    asked = ("--truth", "cohort.parquet", "--id", "patient", "--label", "diagnosis", "--replicates", "10")
    assert evaluate("forest.parquet", *asked) == 0
    assert "20 patients of the truth not predicted" in (folder / "evaluation" / "report.html").read_text()


def test_classes_in_another_order_of_columns_are_the_same(folder):
    table = pd.read_csv("forest.csv", dtype=str)
    table[[*table.columns[:1], *table.columns[:0:-1]]].to_csv("turned.csv", index=False)
    assert evaluate("forest.csv", "turned.csv", *LABEL) == 0
    metrics = pd.read_csv(folder / "out" / "metrics.csv")
    assert metrics.groupby("metric")["estimate"].nunique(dropna=False).max() == 1


def test_what_is_named_is_judged_and_nothing_else(folder):
    truth = pd.read_csv("cohort.csv", dtype=str).rename(columns={"os": "time", "died": "event"})
    truth.to_csv("cohort.csv", index=False)
    assert evaluate("forest.csv", *LABEL) == 0
    assert pd.read_csv(folder / "out" / "metrics.csv")["target"].unique().tolist() == ["diagnosis"]


MISTAKES = [
    (("forest.csv", *TABLES), "Say which columns hold the truth"),
    (("forest.csv", *TABLES, "--label", "diagnosys"), "Did you mean 'diagnosis'?"),
    (("forest.csv", *LABEL, "--id", "pateint"), "Did you mean 'patient'?"),
    (("forrest.csv", *LABEL), "Did you mean 'forest.csv'?"),
    (("size.csv", *LABEL), "has no column 'probability'"),
    (("size.csv", *LABEL, "--prediction", "nm"), "Did you mean 'mm'?"),
    (("forest.csv", "forest.csv", *LABEL), "Several tables are called forest"),
    (("forest.csv", *LABEL, "--by", "sexx"), "Did you mean 'sex'?"),
    (("stranger.csv", *LABEL), "1 patient predicted but not in the truth: X99"),
    (("twice.csv", *LABEL), "1 patient with more than one row"),
    (("gap.csv", *LABEL), "with a gap in"),
    (("odd.csv", *LABEL), "above 1"),
    (("forest.csv", *LABEL, "--classes", "benign"), "a class that is not among benign"),
    (("forest.csv", "odd.csv", *LABEL), "odd.csv: "),
    (("unfolded.csv", *LABEL), "unfolded.csv: 1 patient without a fold: "),
    (("forest.csv", *LABEL, "--cut", "0.3"), "--cut 0.3: give a finite risk, of a prognosis"),
    (("cox.csv", *SURVIVAL, "--cut", "nan"), "--cut nan: give a finite risk, of a prognosis"),
    (("timeless.csv", *SURVIVAL), "survival[later] names no time. Write it as survival[24]"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES)
def test_a_mistake_is_told_in_one_message(folder, capsys, arguments, message):
    table = pd.read_csv("forest.csv", dtype=str)
    pd.concat([table, table.head(1)]).to_csv("twice.csv", index=False)
    pd.concat([table, table.head(1).assign(patient="X99")]).to_csv("stranger.csv", index=False)
    table.assign(**{"probability[tumour]": [*table["probability[tumour]"][1:], None]}).to_csv("gap.csv", index=False)
    table.assign(**{"probability[tumour]": "1.5"}).to_csv("odd.csv", index=False)
    table.assign(fold=[None, *range(len(table) - 1)]).to_csv("unfolded.csv", index=False)
    pd.read_csv("cox.csv", dtype=str).rename(columns={"survival[24]": "survival[later]"}).to_csv(
        "timeless.csv", index=False
    )
    assert evaluate(*arguments) == 2
    told = capsys.readouterr().err
    assert message in told
    assert "Traceback" not in told
    assert not (folder / "out").exists()
