"""Is the choice of genes, and their scale, decided on training patients only?"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydantic import TypeAdapter, ValidationError

import fusiondx as fdx
from fusiondx.data.preprocess import BEND, Preparation, TablePreparation, fit_table
from fusiondx.data.tables import TableData
from fusiondx.errors import DataError, FusionDxWarning

TRAIN = np.arange(4)
NAN = float("nan")


def genes(spec: fdx.Genomics, values: list[list[float]]) -> TableData:
    return TableData(spec, np.array(values, dtype=np.float32), tuple("abcdefg"[: len(values[0])]), {})


def fitted(spec: fdx.Genomics, values: list[list[float]]) -> TablePreparation:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FusionDxWarning)
        return fit_table("omics", genes(spec, values), TRAIN)


ROWS = [[0, 1, 10, 5], [1, 3, 20, 5.1], [3, 1, 40, 5], [7, 3, 30, 5.1], [9, 99, 0, 800]]
"""Variances of the training patients: a 7.2, b 1, c 125, d 0.0025; the last is a test patient."""


def test_the_most_variable_stay_in_the_order_of_the_file() -> None:
    assert fitted(fdx.Genomics(top=2), ROWS).numeric == ("a", "c")
    assert fitted(fdx.Genomics(top=1), ROWS).numeric == ("c",)
    assert fitted(fdx.Genomics(min_variance=0.5), ROWS).numeric == ("a", "b", "c")
    assert fitted(fdx.Genomics(min_variance=0.5, top=2), ROWS).numeric == ("a", "c")


def test_the_first_of_equals_stay() -> None:
    twins = [[float(i)] * 4 for i in range(4)]
    assert fitted(fdx.Genomics(top=2), twins).numeric == ("a", "b")


def test_variances_are_of_the_logarithms() -> None:
    # logarithms: a 0, 1, 2, 3; c log2 of 11, 21, 41, 31: less variable than a now
    assert fitted(fdx.Genomics(log=("*",), top=1), ROWS).numeric == ("a",)
    assert fitted(fdx.Genomics(log=("a", "b"), top=1), ROWS).numeric == ("c",)


def test_logarithm_and_standardisation_worked_by_hand() -> None:
    spec = fdx.Genomics(log=("a",))
    made = fitted(spec, ROWS)
    assert made.log == ("a",)
    assert made.mean[0] == made.median[0] == pytest.approx(1.5)
    assert made.deviation[0] == pytest.approx(np.sqrt(1.25))
    assert made.spread[0] == pytest.approx(1.5 / 1.349)
    found = made.arrays(genes(spec, ROWS), np.arange(5))["numeric"]
    bent = np.arcsinh((np.array([0, 1, 2, 3, np.log2(10)]) - 1.5) / (BEND * 1.5 / 1.349))
    np.testing.assert_allclose(found[:, 0], bent / bent[:4].std(), rtol=1e-5)


@pytest.mark.parametrize("spec", [fdx.Genomics(top=2), fdx.Genomics(log=("*",), min_variance=0.2, top=2)], ids=str)
def test_held_out_values_never_count(spec: fdx.Genomics) -> None:
    before = fitted(spec, ROWS)
    for other in ([0, 0, 0, 0], [1e6, 1e6, 1e6, 1e30], [NAN, 7, NAN, 7]):
        assert fitted(spec, [*ROWS[:4], other]) == before


def test_held_out_patients_never_count_in_a_model() -> None:
    random = np.random.default_rng(0)
    frame = pd.DataFrame(random.gamma(1, 5, (40, 6)), columns=[f"g{j}" for j in range(6)])
    frame["patient_id"], frame["y"] = [f"P{i}" for i in range(40)], ["a", "b"] * 20
    changed = frame.copy()
    changed.loc[30:, "g3"] *= 1000

    def preparation(frame: pd.DataFrame) -> object:
        cohort = fdx.Cohort.from_frame(
            frame,
            modalities={"omics": fdx.Genomics(columns=("g*",), log=("*",), top=3)},
            targets={"y": fdx.Classes("y")},
        )
        model = fdx.FusionModel(training=fdx.Training(epochs=1))
        with pytest.warns(FusionDxWarning, match="3 of 6 columns used"):
            return model.fit(cohort[np.arange(30)]).preparations_["omics"]

    assert preparation(frame) == preparation(changed)


def test_gaps_do_not_count_as_variation_and_keep_their_indicator() -> None:
    gappy = [[1, NAN], [2, 100], [3, NAN], [4, 100], [5, 5]]
    assert fitted(fdx.Genomics(top=1), gappy).inputs == ("a",)
    assert fitted(fdx.Genomics(), gappy).inputs == ("a", "b", "b missing")


def test_more_asked_for_than_there_is() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fit_table("omics", genes(fdx.Genomics(top=9), ROWS), TRAIN).numeric == ("a", "b", "c", "d")


def test_nothing_varies_enough() -> None:
    assert not fitted(fdx.Genomics(min_variance=1e6), ROWS).useful
    assert not fitted(fdx.Genomics(min_variance=0.1, top=3), [[1.0, 2.0]] * 5).useful


def test_columns_left_out_are_counted() -> None:
    with pytest.warns(FusionDxWarning, match="'omics': 1 of 4 columns used: 2 below min_variance, 1 not among the top"):
        fit_table("omics", genes(fdx.Genomics(min_variance=2, top=1), ROWS), TRAIN)


def test_negative_values_are_refused_by_column_and_not_by_value() -> None:
    spec, bad = fdx.Genomics(log=("a", "b")), [[1, -7.25, -3], [2, 4, 5], [3, 4, 5], [4, 5, 6]]
    with pytest.raises(DataError, match=r"negative values in 1 column .*: b\.") as caught:
        fit_table("omics", genes(spec, bad), TRAIN)
    assert "7.25" not in str(caught.value)
    made = fitted(spec, ROWS)
    with pytest.raises(DataError, match="'omics': negative values in 1 column"):
        made.refuse_negative("omics", genes(spec, [[1, -1, 1, 1]]), np.arange(1))
    made.refuse_negative("omics", genes(spec, [[1, 1, -1, -1]]), np.arange(1))  # of those no logarithm is taken


def test_saved_and_read_back(tmp_path: Path) -> None:
    adapter: TypeAdapter[Preparation] = TypeAdapter(Preparation)
    made = fitted(fdx.Genomics(log=("a",), top=3), ROWS)
    file = tmp_path / "preparation.json"
    file.write_bytes(adapter.dump_json(made))
    back = adapter.validate_json(file.read_bytes())
    assert back == made
    again, first = (p.arrays(genes(fdx.Genomics(), ROWS), np.arange(5))["numeric"] for p in (back, made))
    np.testing.assert_array_equal(again, first)


def test_a_pattern_without_columns_is_refused() -> None:
    frame = pd.DataFrame({"patient_id": ["P1", "P2"], "TP53_rnaseq": [1.0, 2.0], "y": ["a", "b"]})
    with pytest.raises(DataError, match=r"'log' names '\*_rna', but no column is so"):
        fdx.Cohort.from_frame(
            frame,
            modalities={"o": fdx.Genomics(columns=("*_rnaseq",), log=("*_rna",))},
            targets={"y": fdx.Classes("y")},
        )


@pytest.mark.parametrize("settings", [{"top": 0}, {"min_variance": -1}, {"min_variance": float("nan")}])
def test_senseless_settings_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        fdx.Genomics(**settings)
