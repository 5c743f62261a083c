"""A user's mistake at the command line: exit code 2, one message that names the thing to mend, no traceback."""

import shutil

import pandas as pd
import pytest

from fusiondx.cli import app
from fusiondx.data.synthetic import simulate
from fusiondx.model import FusionModel

EXPERIMENT = """\
cohort: cohort.yaml
require: [image]
targets: [survival]
split: {test: 0.5}
model: {encoders: {image: convnet}, fusion: gated, training: {epochs: 1}}
"""


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    folder = simulate(tmp_path_factory.mktemp("original"), patients=40, image_size=8).parent
    (folder / "experiment.yaml").write_text(EXPERIMENT)
    return folder


@pytest.fixture
def folder(original, tmp_path, monkeypatch):
    monkeypatch.setenv("FUSIONDX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(FusionModel, "fit", lambda *_: pytest.fail("a mistake must be told before training"))
    shutil.copytree(original, tmp_path / "data")
    monkeypatch.chdir(tmp_path / "data")
    return tmp_path / "data"


def told(capsys, *arguments):
    """What the user reads on standard error."""
    with pytest.raises(SystemExit) as left:
        app(list(arguments))
    assert left.value.code == 2
    return capsys.readouterr().err


def change(path, old, new):
    content = path.read_text()
    assert old in content
    path.write_text(content.replace(old, new, 1))


RUN = ("run", "experiment.yaml", "--out", "../out")

IN_FILES = [
    ("experiment.yaml", "fusion:", "fusoin:", "model.fusoin: unknown key. Did you mean 'fusion'?"),
    ("experiment.yaml", "epochs: 1", "epochs: few", "model.training.epochs: 'few' does not fit. Give a whole number."),
    ("experiment.yaml", "gated", "gatted", "model.fusion: unknown kind 'gatted'. Did you mean 'gated'?"),
    ("experiment.yaml", "{image: convnet}", "{imgae: convnet}", "has no modality 'imgae'. Did you mean 'image'?"),
    ("experiment.yaml", "{image: convnet}", "{omics: convnet}", "model.encoders.omics: 'convnet' reads image"),
    ("experiment.yaml", "fusion: gated", "heads: {survival: diagnosis}", "model.heads.survival: 'diagnosis' answers"),
    ("experiment.yaml", "fusion: gated", "heads: {surviva: cox}", "no target 'surviva'. Did you mean 'survival'?"),
    ("experiment.yaml", "[image]", "[mri]", "no modality or target 'mri'"),
    ("experiment.yaml", "targets: [survival]", "targets: [death]", "The cohort has no target 'death'"),
    ("experiment.yaml", "cohort.yaml", "chort.yaml", "chort.yaml does not exist. Did you mean 'cohort.yaml'?"),
    ("experiment.yaml", "cohort:", "extends: bse.yaml\ncohort:", "extends: bse.yaml does not exist."),
    ("experiment.yaml", "require:", "sweep: {over: {dim: [1]}}\nrequire:", "a sweep tries settings of the model"),
    (
        "experiment.yaml",
        "require:",
        "sweep: {over: {model.dmi: [1]}}\nrequire:",
        "dmi: unknown key. Did you mean 'dim'?",
    ),
    ("experiment.yaml", "require:", "seeds: [-1]\nrequire:", "seeds.0: -1 does not fit. Give 0 or more."),
    ("experiment.yaml", "require:", "seeds: [3, 3]\nrequire:", "'seeds' names one twice"),
    ("experiment.yaml", "{epochs: 1}", "{epochs: 1}, seed: 202403151230", "seed: 202403151230 does not fit."),
    ("experiment.yaml", "{test: 0.5}", "{test: 0.5, seed: 202403151230}", "seed: 202403151230 does not fit."),
    (
        "experiment.yaml",
        "{epochs: 1}",
        "{learning_rate: .inf}",
        "learning_rate: Infinity does not fit. Give a finite number.",
    ),
    ("experiment.yaml", "gated", "attention, dim: 7", "4 attention heads do not divide the model's dim of 7"),
    (
        "experiment.yaml",
        "require:",
        "sweep: {over: {model.dim: [8, 7], model.fusion: [attention]}}\nrequire:",
        "4 attention heads do not divide the model's dim of 7",
    ),
    ("experiment.yaml", "require:", "sweep: {over: {model.dim: [8]}, folds: 100}\nrequire:", "100 folds of"),
    (
        "experiment.yaml",
        "require:",
        "evaluation: {index: os_months, dated: {agee_years: os_months}}\nrequire:",
        "dated: no input column 'agee_years'. Did you mean 'age_years'?",
    ),
    ("experiment.yaml", "require:", "evaluation: {dated: {age_years: os_months}}\nrequire:", "give 'index' as well"),
    ("experiment.yaml", "require:", "evaluation: {index: sex}\nrequire:", "'sex' holds neither numbers nor dates"),
    ("experiment.yaml", "{test: 0.5}", "{column: site, train: [north], test: []}", "no value in test"),
    ("experiment.yaml", "{test: 0.5}", "{column: site, train: [], test: [north]}", "no value in train"),
    ("experiment.yaml", "require:", "tracking: [mlfow]\nrequire:", "unknown kind 'mlfow'. Did you mean 'mlflow'?"),
    ("experiment.yaml", "{test: 0.5}", "{test: 0.5", "experiment.yaml:5"),
    ("experiment.yaml", "{test: 0.5}", "{test: 1.5}", "give the share of patients to test on"),
    ("experiment.yaml", "{test: 0.5}", "{test: 0.5, group: hospital}", "hospital"),
    ("experiment.yaml", "{test: 0.5}", "{column: site, train: [north], test: [sooth]}", "Did you mean 'south'?"),
    ("experiment.yaml", "split: {test: 0.5}", "folds: {k: 500}", "500 folds of"),
    ("experiment.yaml", "split: {test: 0.5}", "", "give exactly one of 'split' and 'folds'"),
    ("cohort.yaml", "image:", "'':", "modalities."),
    ("cohort.yaml", "file: images.csv", 'file: "images\\0.csv"', "a text holds a NUL character"),
    ("cohort.yaml", "kind: image", "kind: imgae", "unknown kind 'imgae'. Did you mean 'image'?"),
    ("cohort.yaml", "file: images.csv", "file: image.csv", "image.csv does not exist in the data folder"),
    ("cohort.yaml", "numeric: [age_years]", "numeric: [age]", "age"),
    ("patients.csv", "S0001,", "S0000,", "S0000"),
    ("images.csv", "S0", "X0", "not in the patient table: X0"),
    ("images.csv", "images/", "images\\", "Write / for \\ in them"),
    ("images.csv", "images/", "images/../images/../images#", "do not exist in the data folder"),
]


@pytest.mark.parametrize(("file", "right", "wrong", "message"), IN_FILES)
@pytest.mark.parametrize("command", ["run", "check"])
def test_a_mistake_in_a_file(folder, capsys, command, file, right, wrong, message):
    change(folder / file, right, wrong)
    err = told(capsys, *(RUN if command == "run" else ("check", "experiment.yaml")))
    assert err.startswith("error: ")
    assert message in err.replace("\n", " ")
    assert err.count("error: ") == 1
    assert not (folder.parent / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--set", "model.trainin.epochs=3"), "--set: model.trainin: unknown key. Did you mean 'training'?"),
        (("--set", "model.training.epochs"), "write it as key=value"),
        (("--set", "model.training.epochs=x"), "--set: model.training.epochs: 'x' does not fit. Give a whole number."),
        (("--data", "nowhere"), "The data folder nowhere does not exist"),
        (("--data", "images"), "patients.csv does not exist in the data folder"),
        (("--out", "."), "not a run folder"),
        (("--out", ".", "--overwrite"), "not a run folder"),
        (("--out", "patients.csv/run"), "cannot be written"),
        (("--oot", "x"), "--oot"),
        (("--jobs", "0"), "--jobs"),
        (("--set", "models.a.dim=3"), "give 'model' or 'models', not both"),
        (("--set", "extends=other.yaml"), "Write 'extends' in the file"),
        (("--data", "patients.csv"), "The data folder patients.csv is a file"),
    ],
)
def test_a_mistake_in_the_arguments(folder, capsys, arguments, message):
    before = sorted(entry.name for entry in folder.iterdir())
    assert message in told(capsys, *RUN, *arguments)
    assert sorted(entry.name for entry in folder.iterdir()) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "nothing.yaml", "--out", "x"), "nothing.yaml does not exist"),
        (("check", "nothing.yaml"), "nothing.yaml does not exist"),
        (
            ("run", "cohort.yaml", "--out", "x"),
            "cohort.yaml describes a cohort. Give the experiment.yaml that names it",
        ),
        (("check", "images"), "cannot be read"),
        (("check", "patients.csv"), "error: "),
        (("predict", "images", "--data", "."), "is not a run folder"),
        (("report", "nowhere"), "is not a run folder"),
        (("schema", "model"), "model"),
        (("demo", "--patients", "3"), "--patients"),
        (("demo", "--out", "."), "not a run folder"),
        (("runn",), "runn"),
        (("reproduce", "nowhere"), "is not a run folder"),
        (("init", "nowhere"), "nowhere is not a folder"),
        (("init", "."), "cohort.yaml exists and is left as it is"),
        (("compare", "experiment.yaml", "--out", "x", "--fusions", "gatd"), "model.fusion: unknown kind 'gatd'"),
        (("config", "show", "experimant.yaml"), "does not exist. Did you mean 'experiment.yaml'?"),
        (
            ("config", "show", "experiment.yaml", "--set", "model.dim=x"),
            "--set: model.dim: 'x' does not fit.",
        ),
        (("config", "diff", "experiment.yaml"), "Missing argument"),
        (("compare", "experiment.yaml", "experiment.yaml", "--out", "x"), "experiment.yaml is given twice"),
    ],
)
def test_a_mistake_in_the_command(folder, capsys, arguments, message):
    assert message in told(capsys, *arguments)


@pytest.mark.parametrize("command", [RUN, ("check", "experiment.yaml"), ("check", "cohort.yaml")])
def test_broken_images_are_all_named(folder, capsys, command):
    first, second, *_ = sorted((folder / "images").iterdir())
    first.write_bytes(first.read_bytes()[:40])
    second.write_text("no image")
    err = told(capsys, *command)
    assert first.name in err
    assert second.name in err


def test_a_folder_where_an_image_is_expected_is_told_as_one(folder, capsys):
    change(folder / "images.csv", pd.read_csv(folder / "images.csv")["image"][0], "images")
    change(folder / "cohort.yaml", "kind: image", "kind: image, on_unreadable: missing")
    assert "cannot be opened, being folders or devices: images." in told(capsys, *RUN)


def test_nobody_has_anything_to_learn_from(folder, capsys):
    patients = pd.read_csv(folder / "patients.csv", dtype=str)
    patients.assign(age_years=None, sex=None, stage=None).to_csv(folder / "patients.csv", index=False)
    change(folder / "experiment.yaml", "require: [image]", "modalities: [clinical]")
    change(folder / "experiment.yaml", "encoders: {image: convnet}, ", "")
    assert "No training patient has any modality to learn from" in told(capsys, "check", "experiment.yaml")


def test_names_from_files_give_no_orders_to_the_terminal(folder, capsys):
    change(folder / "images.csv", "S0", "\x1b[31m[bold]S0")
    err = told(capsys, *RUN)
    assert "\x1b" not in err
    assert "[bold]S0" in err


def test_help_tells_the_exit_codes(capsys):
    with pytest.raises(SystemExit) as left:
        app(["--help"])
    assert not left.value.code
    told = " ".join(capsys.readouterr().out.split())
    assert "0 done; 2 a mistake" in told
    assert "130 interrupted" in told


def test_surprises_keep_their_traceback(folder, monkeypatch):
    monkeypatch.setattr("fusiondx.experiment.running.run", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        app(list(RUN))
