"""Do reports say what audits found: of leaks, and of modalities that nobody uses?"""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import fusiondx as fdx
from fusiondx.data.design import Design, Planted
from fusiondx.data.rejoining import rejoined
from fusiondx.errors import ConfigError, DataError
from fusiondx.experiment.file import read_experiment
from fusiondx.experiment.preflight import check_audit
from fusiondx.reporting.report import Report
from fusiondx.validation import cross_validate, train_test

QUICK = fdx.Training(epochs=6, batch_size=32, learning_rate=0.01, validation=0)


@pytest.fixture(scope="module")
def cohort():
    return Design({"live": Planted(uniqueness=2.0), "dead": Planted()}).draw(160, seed=3)


@pytest.fixture(scope="module")
def model():
    return fdx.FusionModel(dim=8, training=QUICK)


def test_every_check_is_in_the_report_with_its_waiver(cohort, model, tmp_path):
    overlap, few = [(np.arange(100), np.arange(90, 160))], {"baselines": False, "replicates": 20}
    told = cross_validate(model, cohort, overlap, audit=fdx.Audit(waivers={"FDX001": "a test of the test"}), **few)
    assert told.audit["code"].tolist() == [f"FDX{k:03d}" for k in range(1, 17)]
    found = told.audit.dropna(subset="message").set_index("code")
    assert found.loc["FDX001", "message"] == "10 patients both trained and tested on, in 1 fold."
    assert found.loc["FDX001", "waiver"] == "a test of the test"
    assert "a test of the test" in told.to_html(tmp_path / "r.html").read_text()
    assert not len(cross_validate(model, cohort, overlap, audit=None, **few).audit.columns)


def test_a_split_is_audited_as_the_cohort_it_came_from(cohort, model):
    train, test = cohort.split(0.5, seed=0)
    whole = rejoined(train, test)
    assert whole.fingerprint == cohort.take_ids(whole.ids).fingerprint
    told, _ = train_test(model, train, test, baselines=False, replicates=20)
    assert told.audit["message"].tolist() == fdx.audit(cohort, (train, test)).frame()["message"].tolist()
    other = Design({"live": Planted(uniqueness=2.0), "dead": Planted()}).draw(40, seed=4)
    elsewhere = replace(other, ids=np.array([f"other-{patient}" for patient in other.ids], dtype=object))
    apart, _ = train_test(model, train, elsewhere, baselines=False, replicates=20)
    assert not len(apart.audit.columns)
    assert any("read apart" in note for note in apart.notes)


def test_the_frame_of_an_audit_names_no_patient(cohort):
    pairs = [(np.arange(100), np.arange(90, 160))]
    found = fdx.audit(cohort, pairs)
    both = next(finding for finding in found.findings if finding.code == "FDX001")
    assert cohort.ids[90] in both.patients
    assert cohort.ids[90] in str(found)
    assert cohort.ids[90] not in found.frame().to_string()


def test_modalities_are_judged_over_folds(cohort, model, tmp_path):
    told = cross_validate(model, cohort, 2, baselines=False, replicates=100, permutations=3)
    said = told.modality_use.drop_duplicates("modality").set_index("modality")["verdict"]
    assert said["live"] == "used"
    assert said["dead"] != "used"
    assert set(told.modality_use["n"]) == {160}
    told.to_json(tmp_path / "report.json")
    again = Report.from_json(tmp_path / "report.json")
    pd.testing.assert_frame_equal(again.modality_use, told.modality_use)
    assert "Which modalities the model uses" in again.to_html(tmp_path / "r.html").read_text()


def test_yaml_says_what_is_audited(cohort, tmp_path):
    (tmp_path / "e.yaml").write_text(
        "cohort: c.yaml\nfolds: {k: 2}\n"
        "evaluation: {waivers: {FDX005: one hospital}, index: when, dated: {psa: drawn}, modality_audit: 2}\n"
    )
    asked = read_experiment(tmp_path / "e.yaml").evaluation
    assert asked.leaks == fdx.Audit(waivers={"FDX005": "one hospital"}, index="when", dated={"psa": "drawn"})
    assert asked.replace(audit=False).leaks is None
    with pytest.raises(DataError, match="no column 'when'"):
        check_audit(asked.leaks, cohort)
    with pytest.raises(ConfigError, match="no check 'FDX500'"):
        check_audit(fdx.Audit(waivers={"FDX500": "x"}), cohort)
