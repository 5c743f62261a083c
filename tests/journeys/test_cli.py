"""The command line from a simulated cohort to predictions for new patients."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import yaml

from fusiondx.cli import app
from fusiondx.data.cohort import Cohort
from fusiondx.demo import gains
from fusiondx.experiment.file import read_experiment
from fusiondx.model import FusionModel
from fusiondx.reporting.report import Report

QUICK = """\
cohort: data/cohort.yaml
targets: [survival]
split: {test: 0.5}
model: {training: {epochs: 1, validation: 0}, encoders: {image: {kind: convnet, channels: [4]}}}
evaluation: {baselines: false, replicates: 5}
"""


def cli(*arguments):
    """The exit code; an exception that would show a traceback fails the test."""
    with pytest.raises(SystemExit) as left:
        app([str(argument) for argument in arguments])
    return left.value.code or 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("cli")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FUSIONDX_CACHE", str(place / "cache"))
        assert cli("demo", "--out", place / "demo", "--patients", 60) == 0
        (place / "data").symlink_to(place / "demo" / "data")
        (place / "quick.yaml").write_text(QUICK)
        yield place


@pytest.fixture(scope="module")
def quick(folder):
    """A run with one model and one target."""
    assert cli("run", folder / "quick.yaml", "--data", folder / "data", "--out", folder / "quick") == 0
    return folder / "quick"


def test_the_demo_leaves_a_whole_run(folder):
    run = folder / "demo"
    assert {entry.name for entry in run.iterdir()} == {
        "checklists.csv",
        "cohort.yaml",
        "data",
        "events.jsonl",
        "experiment.resolved.yaml",
        "history.csv",
        "manifest.json",
        "metrics.csv",
        "model",
        "predictions",
        "report.html",
        "report.json",
        "split.json",
    }
    assert not [entry.name for entry in folder.iterdir() if entry.name.startswith(".")]
    assert "SIMULATED" in (run / "report.html").read_text()
    metrics = pd.read_csv(run / "metrics.csv")
    assert set(metrics["role"]) == {"model", "modality", "baseline"}
    assert set(metrics["target"]) == {"survival", "diagnosis"}
    history = pd.read_csv(run / "history.csv")
    assert {"early fusion (gated)", "late fusion (mean)", "omics alone"} <= set(history["model"])
    assert len(list((run / "predictions").iterdir())) == len(metrics[["model", "target"]].drop_duplicates())


def test_the_manifest_says_what_the_run_was_made_of(folder):
    manifest = json.loads((folder / "demo" / "manifest.json").read_text())
    cohort = Cohort.read(folder / "data" / "cohort.yaml")
    assert manifest["cohort_fingerprint"] == cohort.fingerprint
    assert manifest["patients"] == len(cohort) == 60
    assert {"fusiondx", "torch", "numpy"} <= set(manifest["versions"])
    assert manifest["started"] <= manifest["finished"]
    assert 0 < manifest["wall_seconds"] < 600
    assert manifest["peak_memory_mb"] is None or 100 < manifest["peak_memory_mb"] < 1e5
    assert manifest["seeds"] == {
        "patients": 0,
        "model early fusion (gated)": 0,
        "model late fusion (mean)": 0,
        "evaluation": 0,
    }
    told = Report.from_json(folder / "demo" / "report.json").manifest
    assert (told["cohort fingerprint"], told["patients"]) == (cohort.fingerprint, "60")


def test_the_demo_says_what_fusion_adds_to_each_single_modality(folder):
    _, *lines = gains(Report.from_json(folder / "demo" / "report.json")).splitlines()
    versus = [line.split(" minus ")[1].split(":")[0] for line in lines]
    alone = ("clinical alone", "omics alone", "image alone")
    assert sorted(versus) == sorted(f"{name}, {target}" for name in alone for target in ("survival", "diagnosis"))


def test_predictions_stand_beside_the_truth_of_held_out_patients(folder, quick):
    cohort = Cohort.read(folder / "data" / "cohort.yaml")
    _, test = cohort.split(0.5)
    (file,) = (quick / "predictions").iterdir()
    said = pd.read_csv(file, dtype={"patient_id": str}).set_index("patient_id")
    assert list(said.index) == list(test.ids)
    assert np.allclose(said["time"], test.y("survival")["time"])
    assert (said["event"] == test.y("survival")["event"]).all()


def test_the_kept_model_is_the_one_that_was_judged(folder, quick):
    cohort = Cohort.read(folder / "data" / "cohort.yaml").select(targets=["survival"])
    model = FusionModel.load(quick / "model")
    (file,) = (quick / "predictions").iterdir()
    said = pd.read_csv(file, dtype={"patient_id": str})
    again = model.predict(cohort.take_ids(said["patient_id"].to_numpy()))["survival"]
    assert np.allclose(again.risk, said["risk"], atol=1e-6)


def test_the_resolved_settings_make_the_same_run_again(folder, quick):
    again = folder / "again"
    assert cli("run", quick / "experiment.resolved.yaml", "--data", folder / "data", "--out", again) == 0
    for name in ("metrics.csv", "history.csv", "experiment.resolved.yaml", "cohort.yaml"):
        assert (again / name).read_text() == (quick / name).read_text()


def test_a_run_is_reproduced_bit_for_bit(folder, quick, capsys):
    assert cli("reproduce", quick, "--data", folder / "data") == 0
    assert capsys.readouterr().out == "The same, bit for bit.\n"


def test_what_a_run_has_lost_is_named(folder, quick, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(quick, run)
    shutil.rmtree(run / "predictions")
    shutil.rmtree(run / "model")
    assert cli("reproduce", run, "--data", folder / "data") == 3
    told = capsys.readouterr().out
    assert "predictions/model-survival.csv: only now" in told or "only now" in told.split("predictions/")[1]
    assert "safetensors: only now" in told


def test_what_differs_from_a_run_is_named(folder, quick, tmp_path, capsys):
    data, run = tmp_path / "data", tmp_path / "run"
    shutil.copytree(folder / "data", data)
    patients = pd.read_csv(data / "patients.csv", dtype={"patient_id": str})
    patients.assign(age_years=patients["age_years"] + (patients.index == 3)).to_csv(data / "patients.csv", index=False)
    shutil.copytree(quick, run)
    manifest = json.loads((run / "manifest.json").read_text())
    manifest["versions"]["torch"] = "0.1"
    (run / "manifest.json").write_text(json.dumps(manifest))
    assert cli("reproduce", run, "--data", data) == 3
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"data: {manifest['cohort_fingerprint'][:12]} -> ")
    assert lines[1].startswith("version of torch: 0.1 -> ")
    assert {line.split(":")[0] for line in lines[2:]} >= {"history.csv", "model/weights.safetensors"}
    assert any("by " in line and "at most" in line for line in lines)


def test_a_run_says_how_patients_were_parted_and_what_was_trained(folder, quick):
    cohort = Cohort.read(folder / "data" / "cohort.yaml")
    _, test = cohort.split(0.5)
    split = json.loads((quick / "split.json").read_text())
    manifest = json.loads((quick / "manifest.json").read_text())
    assert split["folds"][0]["test"] == sorted(test.ids)
    assert split["sha256"] == manifest["split_sha256"]
    assert manifest["threads"] >= manifest["jobs"] == 1
    assert set(manifest["git"] or {"commit": "", "changed": False}) == {"commit", "changed"}
    events = [json.loads(line) for line in (quick / "events.jsonl").read_text().splitlines()]
    assert [event["event"] for event in events[:3]] == ["begin", "epoch", "fit"]
    assert {event["event"] for event in events[3:]} == {"metric"}
    assert events[1]["train_loss"] == pd.read_csv(quick / "history.csv")["train_loss"][0]


def test_folds_keep_a_model_of_all_patients(folder):
    out = folder / "folds"
    settings = ["--set", "split=null", "--set", "folds={k: 2}"]
    assert cli("run", folder / "quick.yaml", "--data", folder / "data", "--out", out, *settings) == 0
    (file,) = (out / "predictions").iterdir()
    said = pd.read_csv(file)
    assert sorted(said["fold"].unique()) == [0, 1]
    assert said["patient_id"].is_unique
    assert len(said) == 60
    cohort = Cohort.read(folder / "data" / "cohort.yaml").select(targets=["survival"])
    again = read_experiment(folder / "quick.yaml").build().fit(cohort)
    kept = FusionModel.load(out / "model")
    assert np.allclose(kept.predict_risk(cohort), again.predict_risk(cohort), atol=1e-6)


def test_overrides_reach_the_run(folder):
    out = folder / "overridden"
    arguments = ["--set", "model.fusion=concat", "--set", "model.training.epochs=2", "--set", "modalities=[clinical]"]
    settings = ["--set", "model.encoders={}"]
    assert cli("run", folder / "quick.yaml", "--data", folder / "data", "--out", out, *settings, *arguments) == 0
    assert len(pd.read_csv(out / "history.csv")) == 2
    model = FusionModel.load(out / "model")
    assert (model.fusion.kind, list(model.preparations_)) == ("concat", ["clinical"])


def test_new_patients_need_no_outcome(folder, quick, tmp_path):
    new = tmp_path / "new"
    new.mkdir()
    patients = pd.read_csv(folder / "data" / "patients.csv", dtype=str).head(7)
    patients["patient_id"] = [f"00{i}" for i in range(7)]
    patients[["patient_id", "age_years", "sex", "stage"]].to_csv(new / "patients.csv", index=False)
    (new / "images.csv").write_text("patient_id,image\n")
    pd.read_csv(folder / "data" / "omics.csv.gz").head(0).to_csv(new / "omics.csv.gz", index=False)
    out = tmp_path / "said.csv"
    assert cli("predict", quick, "--data", new, "--out", out) == 0
    said = pd.read_csv(out, dtype={"patient_id": str})
    assert list(said["patient_id"]) == list(patients["patient_id"])
    assert list(said.columns) == ["patient_id", "survival.risk", "survival.median_months"]
    assert np.isfinite(said["survival.risk"]).all()


def test_predictions_replace_nothing_but_predictions_and_only_when_asked(folder, quick, tmp_path, capsys):
    data, out = folder / "data", tmp_path / "deep" / "said.csv"
    assert cli("predict", quick, "--data", data, "--out", out) == 0  # into a folder that was not there
    assert cli("predict", quick, "--data", data, "--out", out) == 2
    assert "pass --overwrite" in capsys.readouterr().err
    out.write_text(out.read_text().splitlines()[0])
    assert cli("predict", quick, "--data", data, "--out", out, "--overwrite") == 0
    assert len(pd.read_csv(out)) == 60
    for other in (data / "patients.csv", data):
        before = other.read_bytes() if other.is_file() else b""
        assert cli("predict", quick, "--data", data, "--out", other, "--overwrite") == 2
        assert "holds no predictions" in capsys.readouterr().err
        assert (other.read_bytes() if other.is_file() else b"") == before
    assert [file.name for file in out.parent.iterdir()] == ["said.csv"]


def test_each_of_several_models_predicts(folder, tmp_path):
    out = tmp_path / "said.csv"
    cohort = ["--cohort", folder / "data" / "cohort.yaml"]
    assert cli("predict", folder / "demo", "--data", folder / "data", *cohort, "--out", out) == 0
    said = pd.read_csv(out)
    assert said.groupby("model").size().to_dict() == {"early fusion (gated)": 60, "late fusion (mean)": 60}
    assert {"survival.risk", "diagnosis.predicted", "diagnosis.probability[malignant]"} <= set(said.columns)


def test_the_page_is_drawn_again_from_the_record(quick):
    page = quick / "report.html"
    before = page.read_text()
    page.unlink()
    assert cli("report", quick) == 0
    assert Report.from_json(quick / "report.json").title in page.read_text()
    assert len(page.read_text()) > len(before) / 2


@pytest.mark.parametrize("file", ["quick.yaml", "data/cohort.yaml", "data/experiment.yaml"])
def test_check_describes_and_trains_nothing(folder, file, capsys, monkeypatch):
    monkeypatch.setattr(FusionModel, "fit", lambda *_: pytest.fail("check must not train"))
    assert cli("check", folder / file, "--data", folder / "data") == 0
    out, err = capsys.readouterr()
    assert "SIMULATED cohort, no patient stands behind it: 60 patients" in out
    assert "is sound" in err


def test_settings_in_force_are_shown_and_compared(folder, quick, capsys):
    assert cli("config", "show", folder / "quick.yaml", "--set", "model.fusion.kind=mean") == 0
    shown = yaml.safe_load(capsys.readouterr().out)
    assert (shown["model"]["fusion"]["kind"], shown["model"]["training"]["batch_size"]) == ("mean", 64)
    assert cli("config", "diff", folder / "quick.yaml", quick / "experiment.resolved.yaml") == 0
    lines = capsys.readouterr().out.splitlines()
    assert {line.split(":")[0] for line in lines} == {"cohort", "title"}


@pytest.mark.parametrize("file", ["cohort", "experiment"])
def test_the_schema_is_json_on_standard_output(file, capsys):
    assert cli("schema", file) == 0
    assert json.loads(capsys.readouterr().out)["type"] == "object"


def test_warnings_are_one_line_each_and_shown_once(folder, capsys):
    data = folder / "constant"
    shutil.copytree(folder / "data", data)
    pd.read_csv(folder / "data" / "patients.csv", dtype=str).assign(age_years=50).to_csv(data / "patients.csv")
    out = ["--out", folder / "warned", "--set", "split=null", "--set", "folds={k: 2}"]
    assert cli("run", folder / "quick.yaml", "--data", data, *out) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning: ")]
    assert [line for line in lines if "age_years" in line]
    assert len(lines) == len(set(lines))


def test_help_comes_at_once():
    code = "import sys, fusiondx.cli; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "pandas", "numpy", "matplotlib", "lightning", "pydantic"} & set(loaded)


@pytest.mark.skipif(os.name == "nt", reason="signals differ")
@pytest.mark.parametrize(
    ("sent", "code", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "told to stop")]
)
def test_an_interrupted_run_leaves_nothing(folder, sent, code, word):
    out = folder / f"interrupted-{code}"
    script = "from fusiondx.cli import main; main()"
    arguments = ["--data", folder / "data", "--out", out, "--set", "model.training.epochs=100000"]
    command = [sys.executable, "-c", script, "run", folder / "quick.yaml", *arguments]
    process = subprocess.Popen([*map(str, command)], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 120
        while not list(folder.glob(f".{out.name}.*/experiment.resolved.yaml")):
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(1.5)  # into the training
        process.send_signal(sent)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == code
    assert word in err
    assert "Traceback" not in err
    assert not [entry.name for entry in folder.iterdir() if out.name in entry.name]
