"""Is each kind of bad input refused with what, where, who and what to do, and without cell values?"""

import re
import warnings

import numpy as np
import pandas as pd
import PIL.Image
import pytest

from fusiondx.core.targets import Classes, Number, Survival
from fusiondx.data.cohort import Cohort
from fusiondx.data.genomics import Genomics
from fusiondx.data.images import Image
from fusiondx.data.reading import FileSource
from fusiondx.data.tables import Table
from fusiondx.errors import ConfigError, DataError, FusionDxWarning

SECRET = "31337,5"
PATIENTS = """\
patient_id,age,sex,site,months,died,label,scan,mask
P1,50,f,a,3,1,x,1.png,
P2,60,m,a,4,0,x,1.png,
P3,70,f,b,5,1,y,,
P4,80,m,b,6,0,y,,
"""
OMICS = "patient_id,g1,g2\nP1,1,2\nP2,3,4\nP3,5,6\n"
SPECS = {
    "table": Table(numeric=("age",), categorical=("sex",)),
    "omics": Genomics(file="omics.csv"),
    "scan": Image(path="scan", mask="mask", size=4),
    "survival": Survival(time="months", event="died"),
    "label": Classes(column="label"),
    "age": Number(column="age"),
}


@pytest.fixture
def read(tmp_path):
    PIL.Image.fromarray(np.zeros((4, 4), dtype=np.uint8)).save(tmp_path / "1.png")
    (tmp_path / "omics.csv").write_text(OMICS)
    (tmp_path / "patients.csv").write_text(PATIENTS)

    def read(*names, modalities=None, **options):
        from fusiondx.data.reading import FileSource

        chosen = {n: SPECS[n] for n in names}
        targets = {n: s for n, s in chosen.items() if s.kind in ("survival", "classes", "number")}
        inputs = {n: s for n, s in chosen.items() if n not in targets} or {"table": SPECS["table"]}
        source = FileSource.open(tmp_path, "patients.csv")
        frame = source.frame(source.columns)
        return Cohort.from_frame(frame, modalities=modalities or inputs, targets=targets, data=tmp_path, **options)

    return read


def change(folder, file, old, new):
    content = (folder / file).read_text()
    assert old in content
    (folder / file).write_text(content.replace(old, new))


def refused(read, *names, **options):
    with pytest.raises(DataError) as caught:
        read(*names, **options)
    assert SECRET not in str(caught.value)
    return str(caught.value)


def test_nothing_is_wrong_to_begin_with(read):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cohort = read("table", "omics", "scan", "survival", "label")
    assert list(cohort.pattern) == ["table+omics+scan", "table+omics+scan", "table+omics", "table"]


def test_duplicate_patients(read, tmp_path):
    change(tmp_path, "patients.csv", "P3,70", "P1,70")
    message = refused(read, "table")
    assert "1 patient with more than one row: P1. Keep one row per patient." in message


def test_duplicate_patients_in_a_modality(read, tmp_path):
    change(tmp_path, "omics.csv", "P3", "P1")
    assert "omics.csv: 1 patient with more than one row: P1" in refused(read, "omics")


def test_ids_that_lost_their_zeros(read, tmp_path):
    change(tmp_path, "omics.csv", "P1", "0P1")
    assert "differ by zeros in front, which spreadsheets drop" in refused(read, "omics")


def test_a_spreadsheet_whatever_its_name(read, tmp_path):
    (tmp_path / "omics.csv").write_bytes(b"PK\x03\x04\x14\x00\xff\xfe")
    assert "omics.csv is a spreadsheet. Save its sheet as 'CSV UTF-8'" in refused(read, "omics")


@pytest.mark.parametrize("name", ["omics.csv", "omics.csv.gz"])
def test_semicolons_are_told_from_commas(tmp_path, name):
    """Where the header has no comma; a comma inside a quoted cell does not count as one of the header's."""
    frame = pd.DataFrame({"patient_id": ["P1", "P2"], "g": [1.5, np.nan], "place": ["a, b", "c"]})
    frame.to_csv(tmp_path / name, sep=";", index=False)
    source = FileSource.open(tmp_path, name)
    assert source.columns == ("patient_id", "g", "place")
    np.testing.assert_array_equal(source.matrix("patient_id", ["g"])[1], [[1.5], [np.nan]])
    assert source.frame(["place"])["place"].tolist() == ["a, b", "c"]


def test_unknown_patients(read, tmp_path):
    change(tmp_path, "omics.csv", "P1", "P07")
    message = refused(read, "omics")
    assert "1 patient in 'omics' (omics.csv) not in the patient table: P07." in message
    assert "unknown='drop'" in message
    assert "zeros in front" not in message
    assert list(read("omics", unknown="drop").modalities["omics"].present) == [False, True, True, False]


@pytest.mark.parametrize("content", ["patient_id,age,sex\n", "patient_id,age,sex"])
def test_an_empty_cohort(read, tmp_path, content):
    (tmp_path / "patients.csv").write_text(content)
    assert "holds no patients" in refused(read, "table")


@pytest.mark.parametrize("blank", ["", " "])
def test_blank_ids(read, tmp_path, blank):
    change(tmp_path, "omics.csv", "P2", blank)
    assert "omics.csv: 1 row without an id in column 'patient_id': row 3" in refused(read, "omics")


def test_missing_file(read, tmp_path):
    (tmp_path / "omics.csv").rename(tmp_path / "omics_.csv")
    assert "omics.csv does not exist in the data folder. Did you mean 'omics_.csv'?" in refused(read, "omics")


def test_a_file_outside_the_folder(read):
    modalities = {"omics": Genomics(file="../omics.csv")}
    assert "outside the data folder" in refused(read, modalities=modalities)


def test_missing_columns(read):
    tables = {"t": Table(numeric=("aeg",))}
    assert "no column 'aeg'. Did you mean 'age'?" in refused(read, modalities=tables)
    assert "matches 'gen*'" in refused(read, modalities={"o": Genomics(file="omics.csv", columns=("gen*",))})
    assert "no column 'case'" in refused(read, modalities={"o": Genomics(file="omics.csv", id="case")})
    assert "no column 'image'" in refused(read, modalities={"i": Image(path="image")})
    assert "no column 'sight'. Did you mean 'site'?" in refused(read, "table", site="sight")


def test_duplicate_headers(read, tmp_path):
    change(tmp_path, "omics.csv", "g1,g2", "g1,g1 ")
    assert "omics.csv has more than one column called g1." in refused(read, "omics")
    frame = pd.DataFrame([["P1", 1, 2]], columns=["patient_id", "a", "a"])
    with pytest.raises(DataError, match="more than one column called a"):
        Cohort.from_frame(frame, modalities={"t": Table(numeric=("a",))})


@pytest.mark.parametrize("cell", [f'"{SECRET}"', "high", "inf", "-Infinity", "1_000", "0x1F", "True", "1e999"])
@pytest.mark.parametrize("kind", ["table", "omics"])
def test_cells_that_are_no_numbers(read, tmp_path, cell, kind):
    file, old, column, id = {
        "table": ("patients.csv", "P2,60", "age", "P2"),
        "omics": ("omics.csv", "P2,3", "g1", "P2"),
    }[kind]
    change(tmp_path, file, old, f"{id},{cell}")
    message = refused(read, kind)
    assert f"1 patient with something else than a finite number in column {column}: P2" in message
    assert "decimal point" in message


@pytest.mark.parametrize("gap", ["", "NA", "NaN", "nan", "N/A", "null", "None", '""'])
@pytest.mark.parametrize("kind", ["table", "omics"])
def test_gaps_are_gaps(read, tmp_path, gap, kind):
    change(tmp_path, "patients.csv", "P2,60,m", f"P2,{gap},{gap}")
    change(tmp_path, "omics.csv", "P2,3", f"P2,{gap}")
    data = read(kind).modalities[kind].data
    np.testing.assert_array_equal(np.isnan(data.numeric[:, 0]), [i == 1 for i in range(len(data))])
    for values in data.categorical.values():
        assert values[1] is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (OMICS.replace("g1", "gén").encode("latin-1"), "not UTF-8"),
        (OMICS.replace("P1,1", "P1é,1").encode("latin-1"), "not UTF-8"),
        (OMICS.encode("utf-16"), "not UTF-8"),
        (OMICS.replace("P2,3,4", "P2,3,4,5").encode(), "more or fewer cells"),
        (OMICS.replace("P2,3,4", "P2,3").encode(), "more or fewer cells"),
        (b"", "is empty"),
    ],
)
def test_files_that_are_no_tables(read, tmp_path, content, message):
    (tmp_path / "omics.csv").write_bytes(content)
    assert re.search(rf"omics\.csv .*{message}", refused(read, "omics"))


@pytest.mark.parametrize("name", ["omics.csv.gz", "omics.parquet"])
def test_damaged_files(read, tmp_path, name):
    table = pd.DataFrame({"patient_id": ["P1", "P2"], "g": np.arange(2.0)})
    getattr(table, "to_parquet" if "parquet" in name else "to_csv")(tmp_path / name, index=False)
    whole = (tmp_path / name).read_bytes()
    for damaged in (whole[: len(whole) // 2], b"nonsense"):
        (tmp_path / name).write_bytes(damaged)
        assert "Check that the file is whole" in refused(read, modalities={"o": Genomics(file=name)})


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("P2,60,m,a,4,2,x", "column 'died': 1 patient with an event other than 0 and 1: P2"),
        ("P2,60,m,a,4,yes,x", "column 'died': 1 patient with an event other than 0 and 1: P2"),
        ("P2,60,m,a,-4,0,x", "column 'months': 1 patient with a time that is negative or no finite number: P2"),
        ("P2,60,m,a,inf,0,x", "column 'months': 1 patient with a time that is negative or no finite number: P2"),
        ('P2,60,m,a,"4,5",0,x', "column 'months': 1 patient with a time that is negative or no finite number: P2"),
        ("P2,60,m,a,,1,x", "columns 'months' and 'died': 1 patient with only one of time and event: P2"),
        ("P2,60,m,a,4,,x", "columns 'months' and 'died': 1 patient with only one of time and event: P2"),
    ],
)
def test_survival_times(read, tmp_path, row, message):
    change(tmp_path, "patients.csv", "P2,60,m,a,4,0,x", row)
    assert message in refused(read, "survival")


def test_unknown_and_zero_times(read, tmp_path):
    change(tmp_path, "patients.csv", "P2,60,m,a,4,0,x", "P2,60,m,a,,,x")
    assert list(read("survival").targets["survival"].known) == [True, False, True, True]
    change(tmp_path, "patients.csv", "P1,50,f,a,3", "P1,50,f,a,0")
    with pytest.warns(FusionDxWarning, match="1 patient at time 0: P1"):
        read("survival")


def test_targets_that_teach_nothing(read, tmp_path):
    change(tmp_path, "patients.csv", "P2,60,m,a,4,0,x", "P2,60,m,a,4,0,z")
    assert "column 'label': 2 patients with a class that occurs only once: P1, P2." in refused(read, "label")
    (tmp_path / "patients.csv").write_text(PATIENTS.replace(",y,", ",x,"))
    assert "column 'label': 1 class. A diagnosis needs two or more." in refused(read, "label")
    (tmp_path / "patients.csv").write_text(PATIENTS.replace(",1,x", ",0,x").replace(",1,y", ",0,y"))
    assert "nobody has an event in column 'died'" in refused(read, "survival")


def test_declared_classes(tmp_path):
    frame = pd.DataFrame({"patient_id": ["a", "b", "c"], "v": [1, 2, 3], "y": ["p", "q", "p"]})
    options = {"modalities": {"t": Table(numeric=("v",))}}
    with pytest.raises(DataError, match=r"1 patient with a class that is not among p, r: b"):
        Cohort.from_frame(frame, targets={"y": Classes(column="y", classes=("p", "r"))}, **options)
    with pytest.warns(FusionDxWarning, match="fewer than two patients of class r, q"):
        cohort = Cohort.from_frame(frame, targets={"y": Classes(column="y", classes=("r", "q", "p"))}, **options)
    assert list(cohort.targets["y"].fields["label"]) == [2, 1, 2]


def test_empty_and_constant_columns_are_named(read, tmp_path):
    (tmp_path / "omics.csv").write_text("patient_id,g1,g2,g3\nP1,1,,7\nP2,3,,7\nP3,5,NA,7\n")
    with pytest.warns(FusionDxWarning, match=r"omics\.csv: empty or always the same: g2, g3"):
        read("omics")
    change(tmp_path, "patients.csv", ",m,", ",f,")
    with pytest.warns(FusionDxWarning, match="empty or always the same: sex"):
        read("table")


def test_an_answer_among_the_inputs(read):
    with pytest.warns(FusionDxWarning, match="both input of 'table' and a target: age"):
        read("table", "age")


@pytest.mark.parametrize("column", ["scan", "mask"])
@pytest.mark.parametrize("path", ["2.png", "../secret.png", "/etc/hostname", "link.png"])
def test_images_that_are_not_there_or_lie_outside(read, tmp_path, column, path):
    outside = tmp_path.parent / "secret.png"
    outside.write_bytes((tmp_path / "1.png").read_bytes())
    (tmp_path / "link.png").symlink_to(outside)
    old, new = ("P2,60,m,a,4,0,x,1.png,", f"P2,60,m,a,4,0,x,{'1.png,' if column == 'mask' else ''}{path}")
    change(tmp_path, "patients.csv", old, new + ("," if column == "scan" else ""))
    message = refused(read, "scan")
    assert f"column '{column}': 1 patient (P2) with files" in message
    told = "that do not exist in the data folder: 2.png." if path == "2.png" else "outside the data folder"
    assert told in message


def test_absolute_paths_inside_the_folder_are_fine(read, tmp_path):
    change(tmp_path, "patients.csv", "1.png", str(tmp_path / "1.png"))
    assert read("scan").modalities["scan"].present.sum() == 2


def test_check_decodes_every_image(read, tmp_path):
    assert read("scan").check() == []
    (tmp_path / "1.png").write_bytes((tmp_path / "1.png").read_bytes()[:40])
    problems = read("scan").check()
    assert problems
    assert all(problem.startswith("scan: ") and "1.png" in problem for problem in problems)


def test_tables_that_contradict_themselves(read):
    for spec, message in (
        (Table(), "without columns"),
        (Table(numeric=("age",), categorical=("age",)), "Both numeric and categorical: age"),
        (Table(numeric=("age",), recode={"sex": {"f": "m"}}), "no categorical column: sex"),
    ):
        with pytest.raises(ConfigError, match=message):
            read(modalities={"t": spec})
