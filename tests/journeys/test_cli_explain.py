"""A finished run explained from the shell."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from fusiondx.cli import app
from fusiondx.data.synthetic import simulate

EXPERIMENT = """\
cohort: data/cohort.yaml
targets: [survival]
split: {test: 0.4}
model: {training: {epochs: 1, validation: 0}, encoders: {image: {kind: convnet, channels: [4]}}}
evaluation: {baselines: false, replicates: 5}
"""


def cli(*arguments: object) -> int:
    with pytest.raises(SystemExit) as left:
        app([str(argument) for argument in arguments])
    return int(left.value.code or 0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("explain")
    simulate(place / "data", patients=50, image_size=24)
    (place / "quick.yaml").write_text(EXPERIMENT)
    assert cli("run", place / "quick.yaml", "--data", place / "data", "--out", place / "run") == 0
    return place


def test_tables_and_a_card_for_each_patient_named(folder: Path) -> None:
    out, data = folder / "cards", folder / "data"
    chosen = ["--patient", "S0003", "--patient", "S0001", "--horizon", "12"]
    assert cli("explain", folder / "run", "--data", data, "--out", out, *chosen) == 0
    assert {file.name for file in out.iterdir()} >= {"S0001.html", "S0003.png", "modalities.csv", "features.csv"}
    values = pd.read_csv(out / "values.csv")
    assert values["patient_id"].tolist() == ["S0003", "S0001"]
    assert set(values["outcome"]) == {"event by 12 months"}
    assert "event at" in (out / "S0001.html").read_text() + (out / "S0003.html").read_text()  # of training patients
    assert cli("explain", folder / "run", "--data", data, "--out", out, *chosen) == 2  # it is not empty


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (["--patient", "S9999"], "S9999"),
        (["--patient", "00S0003"], "zeros in front count"),
        (["--target", "survvial"], "Did you mean 'survival'"),
        (["--model", "other"], "no model 'other'"),
    ],
)
def test_mistakes_are_told(folder: Path, asked: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--data", folder / "data", "--out", folder / "none"]
    assert cli("explain", folder / "run", *where, *asked) == 2
    assert told in capsys.readouterr().err
    assert not (folder / "none").exists()
