"""Are models compared on the same patients, each trained once, and is what cannot be compared refused beforehand?"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from fusiondx import choices
from fusiondx.cli import app
from fusiondx.data.synthetic import simulate
from fusiondx.evaluation.score import difference
from fusiondx.experiment import comparing
from fusiondx.experiment.comparing import compare
from fusiondx.experiment.standings import best, standings
from fusiondx.fusion import AnyFusion
from fusiondx.model import FusionModel
from fusiondx.reporting.report import Report
from fusiondx.validation.reports import paired

EXPERIMENT = """\
cohort: cohort.yaml
modalities: [clinical, omics]
targets: [survival]
folds: {k: 2}
model: {fusion: {kind: gated, dropout: 0.35}, dim: 4, training: {epochs: 1, validation: 0}}
evaluation: {replicates: 50}
"""


def cli(*arguments):
    with pytest.raises(SystemExit) as left:
        app([str(argument) for argument in arguments])
    return left.value.code or 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = simulate(tmp_path_factory.mktemp("compare"), patients=60, image_size=8).parent
    (place / "a.yaml").write_text(EXPERIMENT)
    return place


@pytest.fixture
def written(folder):
    """A way to write a variant of the experiment."""

    def write(name, old="", new=""):
        assert old in EXPERIMENT
        (folder / name).write_text(EXPERIMENT.replace(old, new, 1))
        return folder / name

    return write


@pytest.fixture(scope="module")
def widened(folder):
    """A comparison of one experiment, two fusions added, and how many networks were trained for it."""
    fits, fit = [], FusionModel.fit
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FusionModel, "fit", lambda model, *rest: fits.append(model) or fit(model, *rest))
        out = folder / "widened"
        assert cli("compare", folder / "a.yaml", "--out", out, "--fusions", "gated,mean") == 0
    return out, len(fits)


def test_one_experiment_stands_beside_fusions_single_modalities_and_the_baseline(widened):
    out, fits = widened
    names = ["fusion (gated)", "fusion (gated, defaults)", "fusion (mean)", "clinical alone", "omics alone"]
    table = pd.read_csv(out / "comparison.csv")
    assert list(table["model"]) == [*names, "clinical (Cox regression)"]
    assert fits == len(names) * 2, "each once per fold"
    assert set(table["first"]) == {"fusion (gated)"}
    assert table["parameters"].notna().tolist() == [True] * 5 + [False]
    assert (table["seconds"] > 0).all()
    settings = yaml.safe_load((out / "experiments" / "a" / "experiment.resolved.yaml").read_text())
    assert list(settings["models"]) == names[:3]
    assert {name: m["fusion"]["kind"] for name, m in settings["models"].items()}["fusion (mean)"] == "mean"
    assert Report.from_json(out / "report.json").title in (out / "report.html").read_text()


def test_differences_are_those_of_the_same_patients(widened):
    out, _ = widened
    report = Report.from_json(out / "report.json")
    parts = {result.model: result.parts for result in report.results}

    for _, row in pd.read_csv(out / "comparison.csv").query("role == 'model'").iterrows():
        for rival in ("modality", "baseline"):
            theirs = parts[row[rival]]
            found = difference(paired(parts[row["model"]], theirs), theirs, row["metric"], replicates=50)
            # patients are numbered afresh in a report, so that the same interval rests on other draws
            assert np.isclose(row[f"gain_over_{rival}"], found.value)
            assert row[f"low_{rival}"] <= found.value <= row[f"high_{rival}"]


def test_the_best_single_modality_is_the_one_with_the_best_estimate(widened):
    out, _ = widened
    alone = [r for r in Report.from_json(out / "report.json").results if r.role == "modality"]
    first, second = sorted(alone, key=lambda r: r.estimates[0].value)
    assert best(alone) == best(alone[::-1]) == second != first
    assert best([]) is None


def test_without_a_choice_every_fusion_of_the_union_takes_part(folder, monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr(comparing, "judged", lambda entrants, *_: seen.extend(entrants) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        compare([folder / "a.yaml"], folder, tmp_path / "out")
    kinds = [model.fusion.kind for model in seen[0].experiment.models.values()]
    assert sorted(kinds) == sorted([*choices.kinds(AnyFusion), "gated"])
    assert list(tmp_path.iterdir()) == []


def test_several_experiments_are_compared_with_the_first(folder, written, tmp_path, capsys):
    other = written("b.yaml", "modalities: [clinical, omics]", "modalities: [clinical]")
    quick = ("--set", "evaluation.baselines=false", "--set", "evaluation.replicates=20")
    assert cli("compare", folder / "a.yaml", other, "--out", tmp_path / "out", *quick) == 0
    table = pd.read_csv(tmp_path / "out" / "comparison.csv").set_index("model")
    assert list(table.index) == ["a", "b"]
    assert table.loc["b", "first"] == "a"
    assert table["gain_over_first"].notna().tolist() == [False, True]
    assert table["patients"].tolist() == [60, 60]
    assert "minus a" in capsys.readouterr().out
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert {Path(entry["folder"]).name for entry in manifest["experiments"].values()} == {"a", "b"}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("{k: 2}", "{k: 3}", "have 2 and 3 held-out sets"),
        ("{k: 2}", "{k: 2, group: null}", "differ in training set 1"),
        ("targets: [survival]", "targets: [diagnosis]", "have no target in common"),
        ("targets:", "require: [omics]\ntargets:", "differ in training set 1"),
    ],
)
def test_what_is_not_the_same_is_refused_before_training(
    folder, written, tmp_path, capsys, monkeypatch, old, new, message
):
    monkeypatch.setattr(FusionModel, "fit", lambda *_: pytest.fail("must be told before training"))
    assert cli("compare", folder / "a.yaml", written("c.yaml", old, new), "--out", tmp_path / "out") == 2
    told = capsys.readouterr().err
    assert told.startswith("error: a.yaml and c.yaml ")
    assert message in told
    assert not (tmp_path / "out").exists()


def test_other_answers_for_the_same_patients_are_refused(folder, written, tmp_path, capsys):
    later = pd.read_csv(folder / "patients.csv", dtype={"patient_id": str})
    later.assign(os_months=later["os_months"] + 1).to_csv(folder / "later.csv", index=False)
    cohort = (folder / "cohort.yaml").read_text()
    (folder / "later.yaml").write_text(cohort.replace("file: patients.csv", "file: later.csv", 1))
    other = written("d.yaml", "cohort.yaml", "later.yaml")
    assert cli("compare", folder / "a.yaml", other, "--out", tmp_path / "out", "--first-folds") == 2
    assert "have other values of 'survival' for the same patients" in capsys.readouterr().err


def test_the_folds_of_the_first_may_serve_all(folder, written, tmp_path):
    narrow = written("narrow.yaml", "targets:", "require: [omics]\ntargets:")
    quick = ("--set", "evaluation={baselines: false, replicates: 5}")
    assert cli("compare", narrow, folder / "a.yaml", "--out", tmp_path / "out", "--first-folds", *quick) == 0
    table = pd.read_csv(tmp_path / "out" / "comparison.csv")
    assert table["patients"].nunique() == 1
    assert table["patients"][0] < 60
    assert cli("compare", folder / "a.yaml", narrow, "--out", tmp_path / "no", "--first-folds", *quick) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a.yaml", "--fusions", "gatd"), "--fusions: model.fusion: unknown kind 'gatd'. Did you mean 'gated'?"),
        (("a.yaml", "--fusions", "mean", "--set", "modalities=[clinical]"), "has a single modality"),
        (("e.yaml",), "e.yaml does not exist"),
        ((), "Missing argument"),
    ],
)
def test_mistakes_are_told(folder, tmp_path, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(folder)
    assert cli("compare", *arguments, "--out", tmp_path / "out") == 2
    assert message in capsys.readouterr().err


def test_a_comparison_is_reproduced(folder, widened, capsys):
    assert cli("reproduce", widened[0], "--data", folder) == 0
    assert capsys.readouterr().out == "The same, bit for bit.\n"


def test_a_comparison_keeps_no_model_and_says_so(folder, widened, capsys):
    for command in (("predict",), ("explain", "--out", folder / "explained")):
        assert cli(*command, widened[0], "--data", folder) == 2
        assert "keeps no model: it is a comparison" in capsys.readouterr().err
    assert standings(Report.from_json(widened[0] / "report.json"))["estimate"].notna().all()
