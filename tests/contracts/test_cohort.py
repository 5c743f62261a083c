"""Is a cohort what it claims: an immutable, ordered, id-keyed view that scikit-learn accepts?"""

import gzip
import pickle
from dataclasses import FrozenInstanceError

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import cross_val_predict, cross_val_score

from fusiondx.core.targets import Classes, Number, Survival
from fusiondx.data.cohort import Cohort
from fusiondx.data.genomics import Genomics
from fusiondx.data.tables import Table
from fusiondx.errors import ConfigError, DataError

N = 24
IDS = ["007", "NA", "7", *[f"P{i}" for i in range(3, N)]]


def frame():
    return pd.DataFrame(
        {
            "patient_id": IDS,
            "age": np.arange(N, dtype=float),
            "sex": ["f", "m", ""] * (N // 3),
            "site": ["a", "b", "c", "d"] * (N // 4),
            "label": ["1.0", "0", "1", ""] * (N // 4),
            "months": np.arange(N) + 1.0,
            "died": [0, 1] * (N // 2),
            "grade": [np.nan, *np.arange(1.0, N)],
        }
    )


@pytest.fixture
def cohort(tmp_path):
    omics = pd.DataFrame({"patient_id": IDS[::-2], "g1": np.arange(N // 2) * 1.5, "g2": "NA"})
    omics.loc[1:, "g2"] = "2.5"
    omics.loc[2, ["g1", "g2"]] = [np.nan, ""]
    omics.to_csv(tmp_path / "omics.csv.gz", index=False)
    return Cohort.from_frame(
        frame(),
        modalities={"clinical": Table(numeric=("age",), categorical=("sex",)), "omics": Genomics(file="omics.csv.gz")},
        targets={
            "label": Classes(column="label"),
            "survival": Survival(time="months", event="died"),
            "grade": Number(column="grade"),
        },
        site="site",
        data=tmp_path,
    )


def test_ids_stay_text(cohort):
    assert list(cohort.ids[:3]) == ["007", "NA", "7"]
    assert cohort.shape == (N, 2)
    assert len(cohort) == N


def test_ids_from_files_stay_text(tmp_path):
    (tmp_path / "p.csv").write_text("patient_id,x\n007,1\nNA,2\n1e5,3\n")
    (tmp_path / "c.yaml").write_text("patients: {file: p.csv}\nmodalities: {t: {kind: table, numeric: [x]}}\n")
    read = Cohort.read(tmp_path / "c.yaml")
    assert list(read.ids) == ["007", "NA", "1e5"]
    np.testing.assert_array_equal(read.modalities["t"].data.numeric[:, 0], [1, 2, 3])


def test_a_row_without_values_is_a_missing_modality(cohort):
    present = cohort.modalities["omics"].present
    gone = IDS[::-2][2]
    assert set(cohort.ids[present]) == set(IDS[::-2]) - {gone}


def test_values_are_joined_by_id(cohort):
    omics = cohort.modalities["omics"]
    place, row = omics.locate(np.arange(N))
    found = dict(zip(cohort.ids[place], omics.data.numeric[row, 0], strict=True))
    assert found == {id: i * 1.5 for i, id in enumerate(IDS[::-2]) if i != 2}


@pytest.mark.parametrize(
    "key", [np.array([5, 1, 9]), [5, 1, 9], slice(3, 12, 2), np.arange(N) % 3 == 0, (np.array([4, 2]), Ellipsis)]
)
def test_a_subset_is_the_same_patients_in_the_order_asked(cohort, key):
    plain = key[0] if isinstance(key, tuple) else key
    part = cohort[key]
    np.testing.assert_array_equal(part.ids, cohort.ids[plain])
    np.testing.assert_array_equal(part.site, cohort.site[plain])
    np.testing.assert_array_equal(part.column("age"), cohort.column("age")[plain])
    np.testing.assert_array_equal(part.y("survival"), cohort.y("survival")[plain])
    for name, modality in part.modalities.items():
        assert modality.data is cohort.modalities[name].data
        np.testing.assert_array_equal(modality.present, cohort.modalities[name].present[plain])
        place, rows = modality.locate(np.arange(len(part)))
        whole_place, whole_rows = cohort.modalities[name].locate(np.arange(N)[plain])
        np.testing.assert_array_equal(place, whole_place)
        np.testing.assert_array_equal(rows, whole_rows)


def test_locate_takes_any_order_and_repetition(cohort):
    omics = cohort.modalities["omics"]
    place, rows = omics.locate(np.array([3, 1, 3]))
    assert list(place) == [0, 1, 2]
    assert rows[0] == rows[2] != rows[1]


def test_a_subset_of_a_subset(cohort):
    assert list(cohort[4:20][[3, 0]].ids) == [IDS[7], IDS[4]]
    assert len(cohort[[]]) == 0
    assert len(cohort[np.zeros(N, dtype=bool)].describe().patterns) == 0


def test_a_patient_twice_is_refused(cohort):
    with pytest.raises(DataError, match="once"):
        cohort[[1, 1]]


def test_take_ids(cohort):
    assert list(cohort.take_ids(["7", "007"]).ids) == ["7", "007"]
    with pytest.raises(DataError, match="1 patient not in the cohort: X"):
        cohort.take_ids(["7", "X"])


def test_select(cohort):
    part = cohort.select(modalities=["omics"], targets=["grade"])
    assert list(part.modalities) == ["omics"]
    assert list(part.targets) == ["grade"]
    assert cohort.select().shape == cohort.shape
    assert set(cohort.select(modalities=[]).pattern) == {"none"}
    with pytest.raises(ConfigError, match="Did you mean 'omics'"):
        cohort.select(modalities=["omic"])


def test_immutable(cohort):
    with pytest.raises(FrozenInstanceError):
        cohort.ids = cohort.ids[::-1]


def test_the_frame_may_change_afterwards():
    table = frame()
    read = Cohort.from_frame(table, modalities={"t": Table(numeric=("age",))})
    table.loc[:, "sex"] = "changed"
    assert "changed" not in read.column("sex")


def test_y_is_what_scikit_learn_expects(cohort):
    assert list(cohort.y()[:4]) == ["1", "0", "1", ""]
    assert cohort.targets["label"].classes == ("0", "1")
    assert cohort.y("survival").dtype.names == ("event", "time")
    assert np.isnan(cohort.y("grade")[0])
    assert cohort.y("grade")[1] == 1.0


@pytest.mark.parametrize("name", ["label", "survival", "grade"])
def test_with_target_takes_what_y_gives(cohort, name):
    order = np.random.default_rng(0).permutation(N)
    other = cohort.with_target(name, cohort.y(name)[order])
    np.testing.assert_array_equal(other.y(name), cohort.y(name)[order])
    np.testing.assert_array_equal(other.targets[name].known, cohort.targets[name].known[order])
    assert other.targets[name].classes == cohort.targets[name].classes


def test_with_target_takes_two_columns_for_survival(cohort):
    other = cohort.with_target("survival", np.column_stack([np.ones(N), np.full(N, 3.0)]))
    assert other.y("survival")["event"].all()
    assert (other.y("survival")["time"] == 3).all()


def test_with_target_refuses_what_does_not_fit(cohort):
    with pytest.raises(DataError, match="y has 3 values for 24 patients"):
        cohort.with_target("label", ["0", "1", "0"])
    with pytest.raises(DataError, match="not among 0, 1"):
        cohort.with_target("label", ["2"] * N)


TIMES = np.arange(1.0, N + 1)
ODD = {
    "a number in a column": ("grade", TIMES[:, None], r"y has shape \(24, 1\)\. Give one number per patient"),
    "text for numbers": ("grade", ["a", *TIMES[1:]], "1 patient with something else than a finite number: "),
    "classes in a column": ("label", [["1"]] * N, r"y has shape \(24, 1\)\. Give one class per patient"),
    "a single word": ("label", "1", "y has 1 value for 24 patients"),
    "times only": ("survival", TIMES, r"y has shape \(24,\)\. Give two columns, the event and the time"),
    "text for times": ("survival", [[1, "soon"]] * N, "24 patients with a time that is negative or no finite number"),
    "other fields": ("survival", np.zeros(N, [("status", bool), ("os", float)]), "y has the fields status, os. Call"),
    "a field in a column": (
        "survival",
        np.zeros((N, 1), [("event", bool), ("time", float)]),
        "Give one event and time",
    ),
    "time before event": (
        "survival",
        np.column_stack([TIMES, TIMES % 2 == 0]),
        r"y \(the event first, then the time\), .* an event other than 0 and 1",
    ),
}


@pytest.mark.parametrize(("name", "y", "match"), ODD.values(), ids=ODD)
def test_odd_y_is_refused_with_what_to_give(cohort, name, y, match):
    with pytest.raises(DataError, match=match):
        cohort.with_target(name, y)


def test_with_target_takes_numbers_in_any_guise(cohort):
    for y in (TIMES.astype(int), TIMES.astype(str), TIMES.astype(object), pd.Series(TIMES, dtype="Float64")):
        np.testing.assert_array_equal(cohort.with_target("grade", y).y("grade"), TIMES)
    table = pd.DataFrame({"time": TIMES, "event": TIMES > 3})  # by name, in any order
    np.testing.assert_array_equal(cohort.with_target("survival", table).y("survival")["event"], TIMES > 3)
    assert list(cohort.with_target("label", TIMES > 3).y("label")) == ["0"] * 3 + ["1"] * (N - 3)


def test_pattern_and_description(cohort):
    assert set(cohort.pattern) == {"clinical", "clinical+omics"}
    described = cohort.describe()
    assert dict(described.patterns.values.tolist()) == {"clinical": 13, "clinical+omics": 11}
    known = described.targets.set_index(["target", "class"])["known"]
    assert known[("label", "1")] == 12
    assert known[("grade", "")] == N - 1
    missing = described.missing.set_index("column")["missing"]
    assert missing.to_dict() == {"sex": 8, "g2": 1}
    assert "clinical+omics" in str(described)


class Majority(ClassifierMixin, BaseEstimator):
    """Learns the most frequent label; remembers whom it saw."""

    def fit(self, X, y):
        assert isinstance(X, Cohort)
        self.classes_, counts = np.unique(y, return_counts=True)
        self.label_, self.seen_ = self.classes_[counts.argmax()], set(X.ids)
        return self

    def predict(self, X):
        assert not self.seen_ & set(X.ids)
        return np.full(len(X), self.label_)


def test_scikit_learn_takes_a_cohort_for_samples(cohort):
    known = cohort[cohort.targets["label"].known]
    scores = cross_val_score(Majority(), known, known.y(), cv=3)
    np.testing.assert_allclose(scores, 2 / 3)
    assert set(cross_val_predict(Majority(), known, known.y(), cv=known.folds(3, group=None))) == {"1"}


def test_pickles_for_parallel_searches(cohort):
    again = pickle.loads(pickle.dumps(cohort))  # noqa: S301 - what joblib does
    assert again.fingerprint == cohort.fingerprint


def test_fingerprint_sees_every_change(cohort, tmp_path):
    prints = {
        cohort.fingerprint,
        cohort[:-1].fingerprint,
        cohort.select(modalities=["omics"]).fingerprint,
        cohort.with_target("grade", np.arange(N)).fingerprint,
    }
    table = frame()
    table.loc[3, "age"] += 1
    other = Cohort.from_frame(table, modalities={"clinical": Table(numeric=("age",), categorical=("sex",))})
    prints |= {other.fingerprint, cohort.select(modalities=["clinical"], targets=[]).fingerprint}
    assert len(prints) == 6


def test_recode_unites_spellings():
    read = Cohort.from_frame(
        frame(), modalities={"t": Table(categorical=("sex",), recode={"sex": {"f": "female", "m": "male"}})}
    )
    assert set(read.modalities["t"].data.categorical["sex"]) == {"female", "male", None}


@pytest.mark.parametrize("name", ["omics.csv", "omics.csv.gz", "omics.tsv", "omics.parquet"])
def test_every_format_gives_the_same(tmp_path, name):
    table = pd.DataFrame({"patient_id": ["007", "NA"], "b": [1.5, np.nan], "a": [2, 3], "note": ["x", "y"]})
    if name.endswith("parquet"):
        table.to_parquet(tmp_path / name)
    else:
        content = table.to_csv(index=False, sep="\t" if "tsv" in name else ",", na_rep="NA").encode()
        content = b"\xef\xbb\xbf" + content  # as spreadsheets write it
        (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    patients = pd.DataFrame({"patient_id": ["NA", "007"]})
    for spec in (Genomics(file=name, columns=("b", "a")), Table(file=name, numeric=("a", "b"))):
        read = Cohort.from_frame(patients, modalities={"m": spec}, data=tmp_path).modalities["m"]
        assert read.data.names == ("b", "a")
        np.testing.assert_array_equal(read.data.numeric[read.rows], [[np.nan, 3], [1.5, 2]])
        assert read.data.numeric.dtype == np.float32
