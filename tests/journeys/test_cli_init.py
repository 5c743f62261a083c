"""Does `init` make, of a folder of tables and images, settings that `check` accepts and that leak nothing?"""

import os
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from fusiondx.cli import app

REAL = Path(os.environ.get("FUSIONDX_DATA", Path(__file__).parents[3] / "shared" / "data"))


def cli(*arguments):
    with pytest.raises(SystemExit) as left:
        app([str(argument) for argument in arguments])
    return left.value.code or 0


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A hospital's folder: patients, genes, photographs; and columns that must not be read."""
    monkeypatch.setenv("FUSIONDX_CACHE", str(tmp_path / "cache"))
    place, random, n = tmp_path / "data", np.random.default_rng(0), 60
    (place / "photos").mkdir(parents=True)
    ids = [f"{i:03d}" for i in range(n)]
    label = np.where(random.random(n) < 0.4, "malignant", "benign")
    table = pd.DataFrame({"patient_id": ids, "hospital": np.resize(["A", "B", "C", "D", "E", "F"], n)})
    table = table.assign(
        age=random.integers(30, 80, n),
        sex=random.choice(["f", "m"], n),
        diagnosis=label,
        os_months=random.uniform(1, 60, n).round(1),
        os_event=random.integers(0, 2, n),
        cause_of_death=random.choice(["a", "b"], n),
        biopsy_code=np.where(label == "malignant", 7, 3),
        constant="x",
        visit=[f"2020-01-{1 + i % 28:02d}/{i}" for i in range(n)],
        fold=np.arange(n) % 5,
        case_id=np.arange(n) + 1000,
    )
    table.to_csv(place / "patients.csv", index=False)
    genes = pd.DataFrame(random.normal(size=(n, 120)), columns=[f"g{i}_rnaseq" for i in range(120)])
    genes.assign(patient_id=ids).head(50).to_csv(place / "genes.csv.gz", index=False)
    rows = [{"patient_id": id, "picture": f"photos/{id}.png"} for id in ids[:40]]
    for row in rows:
        Image.fromarray(random.integers(0, 255, (12, 12, 3), dtype=np.uint8)).save(place / row["picture"])
    pd.DataFrame(rows + rows[:1]).to_csv(place / "pictures.csv", index=False)
    return place


def test_a_folder_becomes_settings_that_check_accepts(folder, capsys):
    assert cli("init", folder) == 0
    assert "fusiondx check" in capsys.readouterr().err
    cohort = yaml.safe_load((folder / "cohort.yaml").read_text())
    assert cohort["patients"] == {"file": "patients.csv", "id": "patient_id", "site": "hospital"}
    assert cohort["modalities"] == {
        "clinical": {"kind": "table", "numeric": ["age"], "categorical": ["sex"]},
        "genes": {"kind": "genomics", "file": "genes.csv.gz", "columns": ["*"]},
        "picture": {"kind": "image", "file": "pictures.csv", "path": "picture", "size": 128},
    }
    assert cohort["targets"] == {
        "survival": {"kind": "survival", "time": "os_months", "event": "os_event", "unit": "months"},
        "diagnosis": {"kind": "classes", "column": "diagnosis"},
    }
    said = (folder / "cohort.yaml").read_text()
    for column in ("cause_of_death", "biopsy_code", "constant", "visit", "fold", "case_id"):
        assert f"left out of patients.csv: {column} (" in said
    assert cli("check", folder / "experiment.yaml") == 0
    assert f"Next: fusiondx run {folder / 'experiment.yaml'} --out runs/first" in capsys.readouterr().err


def test_nothing_is_ever_overwritten(folder, capsys):
    (folder / "experiment.yaml").write_text("mine")
    assert cli("init", folder) == 2
    assert "exists and is left as it is" in capsys.readouterr().err
    assert (folder / "experiment.yaml").read_text() == "mine"
    assert not (folder / "cohort.yaml").exists()


def test_an_outcome_may_be_named(folder):
    assert cli("init", folder, "--target", "sex") == 0
    cohort = yaml.safe_load((folder / "cohort.yaml").read_text())
    assert list(cohort["targets"]) == ["survival", "sex"]
    assert "sex" not in cohort["modalities"]["clinical"].get("categorical", [])


def test_tables_as_spreadsheets_write_them(folder, capsys):
    """Semicolons, a byte order mark, names with spaces; decimal commas are told, not guessed."""
    table = pd.read_csv(folder / "patients.csv", dtype=str)[["patient_id", "age", "sex", "diagnosis"]]
    table["Tumour size (mm)"] = [f"{3 + i / 10:.1f}".replace(".", ",") for i in range(len(table))]
    table = table.rename(columns={"patient_id": "Patient ID", "diagnosis": "Diagnosis"})
    table.to_csv(folder / "patients.csv", sep=";", index=False, encoding="utf-8-sig")
    (folder / "genes.csv.gz").unlink()
    pictures = pd.read_csv(folder / "pictures.csv", dtype=str).rename(columns={"patient_id": "Patient ID"})
    pictures.to_csv(folder / "pictures.csv", sep=";", index=False)
    assert cli("init", folder) == 0
    said = (folder / "cohort.yaml").read_text()
    cohort = yaml.safe_load(said)
    assert cohort["patients"] == {"file": "patients.csv", "id": "Patient ID"}
    assert cohort["modalities"]["clinical"] == {"kind": "table", "numeric": ["age"], "categorical": ["sex"]}
    assert cohort["modalities"]["picture"]["path"] == "picture"
    assert list(cohort["targets"]) == ["Diagnosis"]
    assert "Tumour size (mm) (numbers with a decimal comma" in said
    assert cli("check", folder / "experiment.yaml") == 0


def test_a_folder_as_it_comes(folder, capsys):
    """A body site is no hospital, a few pictures are gone, ids are called otherwise, and unknown is spelt out."""
    table = pd.read_csv(folder / "patients.csv", dtype=str)[["patient_id", "age", "sex", "diagnosis"]]
    age = table["age"].mask(table.index < 4, "unknown").mask(table.index == 9, "Mr Hill")
    table = table.assign(age=age, site=np.resize(["arm", "leg"], len(table)))
    table = table.rename(columns={"patient_id": "Case No", "site": "Site of lesion"})
    table.to_csv(folder / "patients.csv", sep=";", index=False)
    (folder / "genes.csv.gz").unlink()
    pictures = pd.read_csv(folder / "pictures.csv", dtype=str).rename(columns={"patient_id": "case"})
    pictures.assign(scan="scans/" + pictures["picture"]).to_csv(folder / "pictures.csv", sep=";", index=False)
    (folder / "photos" / "003.png").unlink()
    assert cli("init", folder) == 0
    said = (folder / "cohort.yaml").read_text()
    cohort = yaml.safe_load(said)
    assert cohort["patients"] == {"file": "patients.csv", "id": "Case No"}
    assert cohort["modalities"]["clinical"]["categorical"] == ["sex", "Site of lesion"]
    wanted = {"kind": "image", "file": "pictures.csv", "id": "case", "path": "picture", "size": 128}
    assert cohort["modalities"]["picture"] == wanted
    assert "age (numbers, but for 5 cells (unknown): empty those cells to use them)" in said
    assert "Mr Hill" not in said
    assert "scan (names files, none of which is in this folder: give paths that start here)" in said
    capsys.readouterr()
    assert cli("check", folder / "experiment.yaml") == 2
    assert "1 patient (003) with files that do not exist in the data folder: photos/003.png." in capsys.readouterr().err
    change = said.replace("path: picture", "path: picture, on_unreadable: missing")
    (folder / "cohort.yaml").write_text(change)
    assert cli("check", folder / "experiment.yaml") == 0


def test_images_that_no_table_names_are_found_by_patient_id(folder, capsys):
    """Named after the patient, or in a folder of the patient's; masks, and images of nobody, are left out."""
    (folder / "pictures.csv").unlink()
    photos = folder / "photos"
    (photos / "000.png").rename(photos / "000_left.png")
    shutil.copyfile(photos / "000_left.png", photos / "000_mask.png")
    shutil.copyfile(photos / "000_left.png", photos / "000_right.png")
    shutil.copyfile(photos / "000_left.png", photos / "0001.png")  # which is not patient 000's
    (photos / "055").mkdir()
    shutil.copyfile(photos / "000_left.png", photos / "055" / "a.png")
    assert cli("init", folder) == 0
    assert "photos.csv" in capsys.readouterr().err
    listed = pd.read_csv(folder / "photos.csv", dtype=str)
    assert list(listed.columns) == ["patient_id", "image"]
    assert len(listed) == 42
    assert listed[listed["patient_id"] == "000"]["image"].tolist() == ["photos/000_left.png", "photos/000_right.png"]
    assert ["055", "photos/055/a.png"] in listed.to_numpy().tolist()
    cohort = yaml.safe_load((folder / "cohort.yaml").read_text())
    assert cohort["modalities"]["image"] == {"kind": "image", "file": "photos.csv", "path": "image", "size": 128}
    assert cli("check", folder / "experiment.yaml") == 0


def test_volumes_beside_images_get_a_table_of_their_own_and_dicom_is_told(folder):
    (folder / "pictures.csv").unlink()
    nib.save(nib.Nifti1Image(np.zeros((4, 4, 4), np.float32), np.eye(4)), folder / "photos" / "050.nii.gz")
    (folder / "series" / "001").mkdir(parents=True)
    (folder / "series" / "001" / "1.dcm").touch()
    (folder / "photos" / "000.bmp").touch()  # which cannot be read
    assert cli("init", folder, "--target", "diagnosis", "--target", "diagnosis") == 0
    assert len(pd.read_csv(folder / "photos.csv")) == 40
    assert pd.read_csv(folder / "photos_volumes.csv")["image"].tolist() == ["photos/050.nii.gz"]
    written = (folder / "cohort.yaml").read_text()
    assert "# left out: the DICOM files in series." in written
    assert {m["kind"] for m in yaml.safe_load(written)["modalities"].values()} >= {"image", "volume"}


def test_a_table_called_as_a_folder_of_images_is_left_alone(folder):
    (folder / "pictures.csv").unlink()
    (folder / "photos.csv").write_text("patient_id,remark\n000,none\n")
    assert cli("init", folder) == 0
    assert (folder / "photos.csv").read_text() == "patient_id,remark\n000,none\n"


def bare(place):
    shutil.rmtree(place / "photos")
    pd.read_csv(place / "patients.csv", dtype=str)[["patient_id", "diagnosis"]].to_csv(
        place / "patients.csv", index=False
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: [f.unlink() for f in p.glob("*.csv*")], "holds no table"),
        (lambda p: (p / "patients.csv").write_text("name,age\na,1\n"), "names each patient once"),
        (lambda p: (p / "patients.csv").write_text("patient_id,age,side\n000,1,l\n001,2,r\n"), "looks like an outcome"),
        (lambda p: (p / "patients.csv").write_text("patient_id\n000\n001\n"), "Add a column that does"),
        (lambda p: bare(p), "holds nothing to predict from"),
    ],
)
def test_what_cannot_be_guessed_is_told(folder, capsys, change, message):
    (folder / "genes.csv.gz").unlink()
    (folder / "pictures.csv").unlink()
    change(folder)
    assert cli("init", folder) == 2
    assert message in capsys.readouterr().err
    assert cli("init", folder / "nowhere") == 2


@pytest.mark.cohorts
@pytest.mark.parametrize(
    ("name", "targets", "modalities"),
    [
        ("glioma", {"survival", "idh1_mutation"}, {"clinical", "omics", "image"}),
        ("nsclc_ct", {"survival"}, {"clinical", "radiomics", "ct"}),
        ("derm7pt", {"melanoma"}, {"clinical", "clinic", "derm"}),
    ],
)
def test_the_public_cohorts_are_recognised(tmp_path, name, targets, modalities):
    if not (REAL / name).is_dir():
        pytest.skip(f"real cohorts are not at {REAL}; set FUSIONDX_DATA")
    for entry in (REAL / name).iterdir():
        (tmp_path / entry.name).symlink_to(entry) if entry.is_dir() else shutil.copyfile(entry, tmp_path / entry.name)
    assert cli("init", tmp_path) == 0
    cohort = yaml.safe_load((tmp_path / "cohort.yaml").read_text())
    assert set(cohort["targets"]) == targets
    assert set(cohort["modalities"]) == modalities
