"""Whatever the order of rows and columns, each patient keeps their values."""

import numpy as np
import pandas as pd
import PIL.Image
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fusiondx.data.cohort import Cohort

N = 12
IDS = [f"P{i}" for i in range(N)]
YAML = """
patients: {file: patients.csv}
modalities:
  clinical: {kind: table, numeric: [age]}
  omics: {kind: genomics, file: omics.csv}
  scan: {kind: image, file: images.csv, path: image, size: 4}
targets: {y: {kind: classes, column: y}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("joins")
    for i in range(2 * N):
        PIL.Image.fromarray(np.full((4, 4), 3 * i, dtype=np.uint8)).save(made / f"{i}.png")
    (made / "cohort.yaml").write_text(YAML)
    return made


def write(folder, random, columns=True):
    def shuffled(table):
        table = table.sample(frac=1, random_state=random.integers(2**31))
        rest = random.permutation(table.columns[1:]) if columns else table.columns[1:]
        return table[[*rest, "patient_id"]]

    patients = pd.DataFrame({"patient_id": IDS, "age": np.arange(N) + 20.5, "y": ["a", "b"] * (N // 2)})
    omics = pd.DataFrame({"patient_id": IDS[:8], "g1": np.arange(8) * 2.0, "g2": np.arange(8) * 3.0})
    images = pd.DataFrame({"patient_id": IDS[3:] * 2, "image": [f"{i}.png" for i in range(2 * (N - 3))]})
    for name, table in (("patients", patients), ("omics", omics), ("images", images)):
        shuffled(table).to_csv(folder / f"{name}.csv", index=False)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**31))
def test_shuffled_rows_and_columns_change_nothing(folder, seed):
    write(folder, np.random.default_rng(0))
    reference = Cohort.read(folder / "cohort.yaml").fingerprint
    write(folder, np.random.default_rng(seed))
    cohort = Cohort.read(folder / "cohort.yaml")
    assert cohort.fingerprint == reference
    number = np.array([int(id[1:]) for id in cohort.ids])
    clinical, omics, scan = (cohort.modalities[name] for name in ("clinical", "omics", "scan"))
    np.testing.assert_array_equal(clinical.data.numeric[clinical.rows, 0], number + 20.5)
    place, rows = omics.locate(np.arange(N))
    np.testing.assert_array_equal(omics.data.numeric[rows][:, omics.data.names.index("g2")], number[place] * 3.0)
    place, rows = scan.locate(np.arange(N))
    assert {(number[p], scan.data.paths[r].name) for p, r in zip(place, rows, strict=True)} == {
        (3 + i % (N - 3), f"{i}.png") for i in range(2 * (N - 3))
    }
    assert list(cohort.y()) == ["ab"[n % 2] for n in number]


def test_fingerprint_follows_the_content_of_images_and_not_their_place(folder, tmp_path):
    write(folder, np.random.default_rng(0))
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    reference = Cohort.read(folder / "cohort.yaml").fingerprint
    assert Cohort.read(tmp_path / "cohort.yaml").fingerprint == reference
    PIL.Image.fromarray(np.full((4, 4), 255, dtype=np.uint8)).save(tmp_path / "5.png")
    assert Cohort.read(tmp_path / "cohort.yaml").fingerprint != reference
