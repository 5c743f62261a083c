"""Do changes that mean nothing change nothing?"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

import fusiondx as fdx

PATIENTS = 40
COLUMNS = {"clinical": ["age", "sex"], "omics": ["g1", "g2"]}
TARGETS = {"label": fdx.Classes("label"), "survival": fdx.Survival("time", "event"), "dose": fdx.Number("dose")}
MODALITIES = {"clinical": fdx.Table(numeric=("age",), categorical=("sex",)), "omics": fdx.Table(numeric=("g1", "g2"))}


def frame() -> pd.DataFrame:
    random = np.random.default_rng(0)
    table = pd.DataFrame(random.normal(size=(PATIENTS, 3)), columns=["age", "g1", "g2"])
    return table.assign(
        patient_id=[f"{row:03d}" for row in range(PATIENTS)],
        sex=random.choice(["female", "male"], PATIENTS),
        label=np.where(table["age"] + random.normal(size=PATIENTS) > 0, "yes", "no"),
        time=10 * np.exp(-table["g1"]),
        event=np.arange(PATIENTS) % 2,
        dose=50 + 5 * table["g2"],
    )


def cohort(table: pd.DataFrame) -> fdx.Cohort:
    return fdx.Cohort.from_frame(table, modalities=MODALITIES, targets=TARGETS)


def fitted(table: pd.DataFrame) -> fdx.FusionModel:
    return fdx.FusionModel(dim=8, training=fdx.Training(epochs=3, batch_size=16)).fit(cohort(table))


@cache
def model() -> fdx.FusionModel:
    return fitted(frame())


@cache
def everyone() -> dict[str, Any]:
    return model().predict(cohort(frame()))


def agree(found: dict[str, Any], expected: dict[str, Any], rows: Any, tolerance: float = 1e-5) -> None:
    np.testing.assert_allclose(found["label"].probability, expected["label"].probability[rows], atol=tolerance)
    np.testing.assert_allclose(found["survival"].risk, expected["survival"].risk[rows], atol=tolerance)
    np.testing.assert_allclose(found["survival"].curves, expected["survival"].curves[rows], atol=tolerance)
    np.testing.assert_allclose(found["dose"].value, expected["dose"].value[rows], atol=50 * tolerance)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, PATIENTS - 1), min_size=1, unique=True))
def test_each_patient_is_predicted_alike_in_any_company_and_order(rows: list[int]) -> None:
    agree(model().predict(cohort(frame())[rows]), everyone(), rows)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, PATIENTS - 1), st.sampled_from(["clinical", "omics"])), max_size=20))
def test_what_one_patient_lacks_concerns_no_other(gaps: list[tuple[int, str]]) -> None:
    table = frame().astype(dict.fromkeys(["age", "sex", "g1", "g2"], object))
    for row, name in gaps:
        table.loc[row, COLUMNS[name]] = None
    others = np.setdiff1d(np.arange(PATIENTS), [row for row, _ in gaps])
    found = {name: said.take(others) for name, said in model().predict(cohort(table)).items()}
    agree(found, everyone(), others)


@settings(max_examples=10, deadline=None)
@given(st.floats(0.01, 100), st.floats(-50, 50))
def test_the_unit_of_a_column_does_not_matter(scale: float, shift: float) -> None:
    table = frame()
    changed = table.assign(age=scale * table["age"] + shift)
    agree(fitted(changed).predict(cohort(changed)), everyone(), slice(None), tolerance=2e-3)


@settings(max_examples=5, deadline=None)
@given(st.sampled_from([0.25, 30.4375, 365.25, 1e6]))
def test_the_unit_of_time_scales_curves_and_leaves_risks(scale: float) -> None:
    table = frame()
    changed = table.assign(time=scale * table["time"])
    found, expected = fitted(changed).predict(cohort(changed)), everyone()
    agree(found, expected, slice(None))
    np.testing.assert_allclose(found["survival"].times, scale * expected["survival"].times)


def test_names_of_patients_do_not_matter() -> None:
    # padded, so that order stays: it decides who is in which fold
    renamed = frame().assign(patient_id=[f"NA {row:07d}" for row in range(PATIENTS)])
    agree(fitted(renamed).predict(cohort(renamed)), everyone(), slice(None), tolerance=0)


def test_names_of_classes_do_not_matter() -> None:
    renamed = frame().replace({"label": {"no": "0", "yes": "1"}})
    agree(fitted(renamed).predict(cohort(renamed)), everyone(), slice(None), tolerance=0)


def test_the_unit_of_a_number_scales_its_predictions() -> None:
    changed = frame().assign(dose=1000 * frame()["dose"])
    found = fitted(changed).predict(cohort(changed))["dose"].value
    np.testing.assert_allclose(found, 1000 * everyone()["dose"].value, rtol=1e-4)


def test_answers_of_those_who_are_judged_change_nothing() -> None:
    """Blanking the answers of those who are predicted changes nothing."""
    table = frame()
    blank = table.assign(label=table["label"].where(table.index > 3, None))
    agree(model().predict(cohort(blank)), everyone(), slice(None), tolerance=0)
