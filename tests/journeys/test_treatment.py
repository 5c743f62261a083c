"""Does predicted benefit follow the treatment, and say what it cannot know?"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

import fusiondx as fdx
from fusiondx.benefit import Benefit
from fusiondx.errors import ConfigError, DataError, FusionDxWarning

PATIENTS = 200
TABLE = fdx.Table(numeric=("x*",), categorical=("arm",))


def patients(seed: int = 0) -> pd.DataFrame:
    """The drug adds 20 to the dose tolerated, and months of life, where x0 is positive, and nothing elsewhere."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(PATIENTS, 2))
    drug = random.random(PATIENTS) < 0.5
    gain = drug * (x[:, 0] > 0)
    death, left = random.exponential(10 * np.exp(2 * gain)), random.exponential(60, PATIENTS)
    return pd.DataFrame({"x0": x[:, 0], "x1": x[:, 1]}).assign(
        patient_id=[f"P{i:03d}" for i in range(PATIENTS)],
        arm=np.where(drug, "drug", "care"),
        dose=50 + 20 * gain + random.normal(size=PATIENTS),
        response=np.where(random.random(PATIENTS) < 0.2 + 0.6 * gain, "yes", "no"),
        months=np.minimum(death, left) + 0.01,
        died=(death <= left).astype(int),
    )


TARGETS = {
    "dose": fdx.Number("dose"),
    "response": fdx.Classes("response", classes=("no", "yes")),
    "survival": fdx.Survival("months", "died"),
}


def cohort(frame: pd.DataFrame, treatment: Any, *targets: str) -> fdx.Cohort:
    chosen = {name: TARGETS[name] for name in targets}
    return fdx.Cohort.from_frame(frame, modalities={"clinical": TABLE}, targets=chosen, treatment=treatment)


@pytest.fixture(scope="module")
def model() -> fdx.FusionModel:
    training = fdx.Training(epochs=40, learning_rate=0.01, modality_dropout=0, progress=False)
    known = cohort(patients(), {"column": "arm"}, *TARGETS)
    return fdx.FusionModel(training=training).fit(known)


def told(model: fdx.FusionModel, treatment: Any, frame: pd.DataFrame | None = None) -> dict[str, Benefit]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FusionDxWarning)
        return model.predict_benefit(cohort(patients(1) if frame is None else frame, treatment))


def test_those_who_gain_are_told_apart(model: fdx.FusionModel) -> None:
    found, gains = told(model, {"column": "arm"}), patients(1)["x0"].to_numpy() > 0
    columns = {
        "dose": "value[drug - care]",
        "response": "probability_yes[drug - care]",
        "survival": "months_event_free[drug - care]",
    }
    least = {"dose": 8, "response": 0.25, "survival": 5}
    for target, column in columns.items():
        difference = found[target].frame[column].to_numpy()
        assert difference[gains].mean() - difference[~gains].mean() > least[target], target


def test_each_side_is_the_prediction_had_everyone_been_treated_so(model: fdx.FusionModel) -> None:
    found = told(model, {"column": "arm"})["dose"].frame
    for arm in ("drug", "care"):
        all_alike = cohort(patients(1).assign(arm=arm), None)
        np.testing.assert_allclose(found[f"value[{arm}]"], model.predict(all_alike)["dose"].value)
    assert found["received"].tolist() == patients(1)["arm"].tolist()


def test_the_reference_is_the_one_asked_for(model: fdx.FusionModel) -> None:
    one, other = (told(model, {"column": "arm", "reference": r})["dose"].frame for r in (None, "drug"))
    np.testing.assert_allclose(one["value[drug - care]"], -other["value[care - drug]"])
    with pytest.raises(ConfigError, match="never saw 'surgery'"):
        told(model, {"column": "arm", "reference": "surgery"})


def test_what_was_not_randomised_is_said_so(model: fdx.FusionModel) -> None:
    with pytest.warns(FusionDxWarning, match="'arm' was not declared randomised"):
        found = model.predict_benefit(cohort(patients(1), {"column": "arm"}))
    assert all("not declared randomised" in benefit.caveat for benefit in found.values())
    assert "not declared randomised" in str(found["dose"])
    with warnings.catch_warnings():
        warnings.simplefilter("error", FusionDxWarning)
        found = model.predict_benefit(cohort(patients(1), fdx.Treatment("arm", randomised=True)))
    assert found["dose"].caveat == ""


def test_patients_without_the_table_are_left_out(model: fdx.FusionModel) -> None:
    frame = patients(1)
    frame.loc[4, ["x0", "x1", "arm"]] = None
    assert told(model, {"column": "arm"}, frame)["dose"].frame.index.tolist() == [
        f"P{i:03d}" for i in range(PATIENTS) if i != 4
    ]


def test_patients_who_all_lack_the_table_are_refused_as_such(model: fdx.FusionModel) -> None:
    frame = patients(1)
    frame.loc[:2, ["x0", "x1", "arm"]] = None
    with pytest.raises(DataError, match=r"None of 3 patients has 'clinical', the table with the treatment 'arm'"):
        model.predict_benefit(cohort(frame, {"column": "arm"})[:3])


def test_a_treatment_that_is_no_input_is_refused(model: fdx.FusionModel) -> None:
    with pytest.raises(ConfigError, match=r"categorical input of no table.*Did you mean 'arm'"):
        cohort(patients(), {"column": "arms"})
    with pytest.raises(ConfigError, match="declares no treatment"):
        model.predict_benefit(cohort(patients(), None))
    plain = fdx.FusionModel(training=fdx.Training(epochs=1, progress=False))
    with pytest.warns(FusionDxWarning, match="always the same"):
        plain.fit(cohort(patients().assign(arm="care"), None, "dose"))
    with pytest.raises(ConfigError, match="not trained with 'arm'"):
        plain.predict_benefit(cohort(patients(), {"column": "arm"}))


def test_a_saved_model_and_a_cohort_file_say_the_same(model: fdx.FusionModel, tmp_path: Any) -> None:
    patients(1).to_csv(tmp_path / "patients.csv", index=False)
    (tmp_path / "cohort.yaml").write_text(
        "patients: {file: patients.csv}\n"
        "modalities:\n"
        "  clinical: {kind: table, numeric: [x*], categorical: [arm]}\n"
        "treatment: {column: arm, randomised: true}\n"
    )
    loaded = fdx.FusionModel.load(model.save(tmp_path / "model"))
    found = loaded.predict_benefit(fdx.Cohort.read(tmp_path / "cohort.yaml"))
    pd.testing.assert_frame_equal(found["dose"].frame, told(model, {"column": "arm"})["dose"].frame, rtol=1e-4)
