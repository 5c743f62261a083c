"""Does a mistake in cohort.yaml lead its author to the place and the word?"""

import subprocess
import sys

import pytest

from fusiondx.core.settings import read_yaml
from fusiondx.data.cohort import Cohort
from fusiondx.errors import ConfigError, DataError

GOOD = """\
title: two patients
patients: {file: patients.csv, id: patient_id, site: site}
modalities:
  clinical: {kind: table, numeric: [age]}
  mri: {kind: image, path: mri, size: 8}
targets:
  survival: {kind: survival, time: months, event: died, unit: months}
"""


@pytest.fixture
def folder(tmp_path):
    content = "patient_id,site,age,mri,months,died\nA,x,50,,3,1\nB,y,60,,4,0\n"
    (tmp_path / "patients.csv").write_text(content)
    return tmp_path


def read(folder, content, **options):
    path = folder / "cohort.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return Cohort.read(path, **options)


def test_good(folder):
    cohort = read(folder, GOOD)
    assert cohort.title == "two patients"
    assert list(cohort.site) == ["x", "y"]
    assert list(cohort.pattern) == ["clinical", "clinical"]
    assert cohort.check() == []


def test_data_may_lie_elsewhere(folder, tmp_path_factory):
    (folder / "cohort.yaml").write_text(GOOD)
    elsewhere = tmp_path_factory.mktemp("configs") / "cohort.yaml"
    elsewhere.write_text(GOOD)
    assert Cohort.read(elsewhere, data=folder).fingerprint == Cohort.read(folder / "cohort.yaml").fingerprint
    with pytest.raises(DataError, match=r"patients\.csv does not exist"):
        Cohort.read(elsewhere)


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("size: 8", "sise: 8", "cohort.yaml: modalities.mri.sise: unknown key. Did you mean 'size'?"),
        ("kind: image", "kind: imgae", "cohort.yaml: modalities.mri: unknown kind 'imgae'. Did you mean 'image'?"),
        (
            "kind: image, ",
            "",
            "cohort.yaml: modalities.mri: no 'kind'. Give one of: bag, genomics, image, table, volume.",
        ),
        ("kind: survival", "kind: survivel", "targets.survival: unknown kind 'survivel'. Did you mean 'survival'?"),
        (
            "unit: months",
            "unit: moons",
            "unit: 'moons' does not fit. Did you mean 'months'? Give 'days', 'weeks', 'months' or 'years'.",
        ),
        ("time: months, ", "", "cohort.yaml: targets.survival.time: missing."),
        ("title:", "titel:", "cohort.yaml: titel: unknown key. Did you mean 'title'?"),
        ("file: patients.csv, ", "", "cohort.yaml: patients.file: missing."),
        (
            "numeric: [age]",
            "numeric: age",
            "cohort.yaml: modalities.clinical.numeric: 'age' does not fit. Give a list: [age].",
        ),
        ("size: 8", "size: -8", "cohort.yaml: modalities.mri.size: -8 does not fit. Give 1 or more, or a list."),
        (
            "size: 8",
            "size: big",
            "cohort.yaml: modalities.mri.size: 'big' does not fit. Give a whole number, or a list.",
        ),
        ("size: 8", "size: [1, 2, 3]", "size: [1, 2, 3] does not fit. Give a whole number, or at most 2 of them."),
        ("size: 8", "size:", "size: an empty value does not fit. Give a whole number, or a list."),
        (
            "{file: patients.csv, id: patient_id, site: site}",
            "patients.csv",
            "patients: 'patients.csv' does not fit. Give settings: {file: …}.",
        ),
        (
            "kind: image, ",
            "on_unreadable: 3, kind: image, ",
            "on_unreadable: 3 does not fit. Give 'error' or 'missing'.",
        ),
        ("title:", "title: again\ntitle:", "cohort.yaml:2:1: key 'title' is given twice."),
        ("  mri: {", "  mri: {kind: x, ", "cohort.yaml:5:18: key 'kind' is given twice."),
        ("size: 8}", "size: 8", "cohort.yaml:6:8: expected ',' or '}'"),
        ("two patients", "!!python/object/apply:os.getcwd []", "cohort.yaml:1:8: could not determine a constructor"),
    ],
)
def test_a_mistake_is_named_with_its_place(folder, right, wrong, message):
    assert right in GOOD
    with pytest.raises(ConfigError) as caught:
        read(folder, GOOD.replace(right, wrong, 1))
    assert message in str(caught.value)


def test_a_mapping_may_bring_in_the_keys_of_another(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\n")
    assert read_yaml(path)["b"] == {"x": 1, "y": 3}


def test_every_mistake_is_named_at_once(folder):
    with pytest.raises(ConfigError) as caught:
        read(folder, GOOD.replace("size", "sise").replace("titel", "x").replace("time:", "tyme:"))
    assert "modalities.mri.sise" in str(caught.value)
    assert "targets.survival.tyme" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("title: Müller".encode("latin-1"), "not UTF-8"),
        ("title: x".encode("utf-16"), "not UTF-8"),
        (b"", "no settings"),
        (b"- a\n- b\n", "no settings"),
        (b"{[1]: 2}", "key must be a word"),
        (b"a: \x00", "YAML"),
    ],
)
def test_what_is_no_mapping_is_refused(folder, content, message):
    with pytest.raises(ConfigError, match=message):
        read(folder, content)


def test_an_absent_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"cohort\.yaml does not exist"):
        Cohort.read(tmp_path / "cohort.yaml")
    with pytest.raises(DataError, match=r"data folder .* does not exist"):
        read(tmp_path, GOOD, data=tmp_path / "nowhere")


def test_python_and_yaml_share_their_errors():
    import pandas as pd

    with pytest.raises(ConfigError, match=r"modalities: t\.numerics: unknown key\. Did you mean 'numeric'"):
        Cohort.from_frame(pd.DataFrame({"patient_id": ["a"]}), modalities={"t": {"kind": "table", "numerics": ["x"]}})


def test_importing_stays_light():
    code = "import sys, fusiondx.data.cohort; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torchvision", "lightning", "monai", "timm", "matplotlib"} & set(loaded)
