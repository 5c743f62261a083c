"""Can every question be asked, answered, judged, saved and asked again?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import fusiondx as fdx
from fusiondx.core.predictions import LabelsPrediction
from fusiondx.errors import ConfigError, DataError, FusionDxWarning
from fusiondx.evaluation.score import score
from fusiondx.reporting import record

PATIENTS = 120
GRADES = ("I", "II", "III")
TARGETS: dict[str, Any] = {
    "grade": fdx.Classes("grade", classes=GRADES, ordered=True),
    "findings": fdx.Labels(("liver", "lung", "bone")),
    "dose": fdx.Number("dose"),
    "survival": fdx.Survival("months", "died", strata="site"),
    "course": fdx.CompetingRisks("months", "cause", ("relapse", "death")),
}
HEADS: dict[str, list[Any]] = {
    "grade": [
        "diagnosis",
        "ordinal",
        "corn",
        fdx.Diagnosis(weights="balanced", focal=2.0, smoothing=0.1),
        {"kind": "diagnosis", "weights": {"III": 4.0}},
    ],
    "findings": ["multilabel", fdx.MultiLabel(balanced=True)],
    "dose": ["regression", fdx.Regression(loss="absolute"), {"kind": "regression", "loss": "huber", "delta": 0.5}],
    "survival": ["cox", "hazards", "piecewise"],
    "course": ["deephit", "cause_specific"],
}
CASES = [
    pytest.param(target, head, id=f"{target}-{n}") for target, heads in HEADS.items() for n, head in enumerate(heads)
]


def patients(count: int = PATIENTS, seed: int = 0) -> pd.DataFrame:
    """Two columns that tell much of everything that is asked."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(count, 2))
    noisy = x + random.normal(size=(count, 2)) * 0.3
    relapse, death = (random.exponential(np.exp(-2 * x[:, j])) * 20 for j in (0, 1))
    left = random.exponential(60, count)
    first = np.stack([left, relapse, death]).argmin(axis=0)
    bone = pd.Series(np.where(noisy.sum(axis=1) > 0, "yes", "no"))
    return pd.DataFrame({"x0": x[:, 0], "x1": x[:, 1]}).assign(
        patient_id=[f"P{i:03d}" for i in range(count)],
        grade=np.array(GRADES)[np.digitize(noisy[:, 0], [-0.5, 0.8])],
        liver=(noisy[:, 0] > 0.3).astype(int),
        lung=np.where(noisy[:, 1] > 0, "True", "False"),
        bone=bone.where(random.random(count) < 0.7, None),
        dose=50 + 10 * noisy[:, 1],
        months=np.minimum(np.minimum(relapse, death), left).round(2) + 0.01,
        cause=first,
        died=(first > 0).astype(int),
        site=np.resize(["north", "south"], count),
    )


def cohort(frame: pd.DataFrame, *targets: str) -> fdx.Cohort:
    table = {"clinical": fdx.Table(numeric=("x*",))}
    return fdx.Cohort.from_frame(frame, modalities=table, targets={name: TARGETS[name] for name in targets})


def quick(epochs: int = 30, **settings: Any) -> fdx.FusionModel:
    training = fdx.Training(epochs=epochs, batch_size=32, learning_rate=0.01, progress=False)
    return fdx.FusionModel(dim=8, training=training, **settings)


@pytest.mark.parametrize(("target", "head"), CASES)
def test_every_head_learns_predicts_and_survives_saving(target: str, head: Any, tmp_path: Any) -> None:
    known, new = cohort(patients(), target), cohort(patients(80, seed=1), target)
    model = quick(heads={target: head}).fit(known)
    before = model.predict(new)[target]
    metric = score([(before, new.targets[target])], replicates=2)
    found = {o.metric: getattr(o, "value", np.nan) for o in metric}
    assert max(found.get(name, 0) for name in ("auroc", "macro_auroc", "c_index", "mean_cause_c_index", "r2")) > 0.7
    after = fdx.FusionModel.load(model.save(tmp_path / "model")).predict(new)[target]
    pd.testing.assert_frame_equal(before.to_frame(), after.to_frame())


def test_a_report_about_every_question(tmp_path: Any) -> None:
    whole = cohort(patients(), *TARGETS)
    report = fdx.cross_validate(quick(epochs=3), whole, 2, replicates=5)
    judged = set(report.frame()["target"])
    assert judged >= {*TARGETS, "findings: liver", "findings: lung", "findings: bone"}
    assert judged >= {"course: relapse", "course: death"}
    text = record.write(report)
    (tmp_path / "report.json").write_text(text)
    assert record.write(record.read(tmp_path / "report.json")) == text
    assert report.to_html(tmp_path / "report.html")


class TestLabels:
    def test_cells_and_gaps_are_read(self) -> None:
        values = cohort(patients(), "findings").targets["findings"]
        assert values.classes == ("liver", "lung", "bone")
        assert values.fields["told"].mean(axis=0)[:2].tolist() == [1, 1]
        assert 0.5 < values.fields["told"][:, 2].mean() < 0.9
        y = cohort(patients(), "findings").y()
        assert np.isnan(y[:, 2]).sum() == (~values.fields["told"][:, 2]).sum()

    def test_y_is_taken_back(self) -> None:
        whole = cohort(patients(), "findings")
        again = whole.with_target("findings", whole.y())
        assert again.fingerprint == whole.fingerprint
        with pytest.raises(DataError, match=r"column for each of liver, lung, bone"):
            whole.with_target("findings", whole.y()[:, :2])

    def test_other_cells_are_refused_by_patient(self) -> None:
        frame = patients()
        frame["lung"] = frame["lung"].astype(object)
        frame.loc[3, "lung"] = "perhaps"
        with pytest.raises(DataError, match=r"column lung: 1 patient with neither yes nor no: P003"):
            cohort(frame, "findings")

    def test_labels_that_tell_nothing_are_named(self) -> None:
        with pytest.warns(FusionDxWarning, match="the same for all patients: bone"):
            cohort(patients().assign(bone="no"), "findings")
        with pytest.raises(DataError, match="every label"):
            cohort(patients().assign(bone="no", liver=1, lung=None), "findings")

    def test_an_unknown_label_leaves_the_others_to_learn_from(self) -> None:
        """Patients in whom only one label is known are trained on and judged by that one."""
        frame = patients()
        frame.loc[::2, ["liver", "bone"]] = None
        whole = cohort(frame, "findings")
        assert whole.targets["findings"].known.all()
        found = quick().fit(whole).predict(whole)["findings"]
        assert isinstance(found, LabelsPrediction)
        assert {o.metric: o for o in score([(found.of_label("liver"), whole.targets["findings"].of_label("liver"))])}[
            "auroc"
        ].n == PATIENTS // 2

    def test_splits_hold_the_rarest_label_on_both_sides(self) -> None:
        frame = patients().assign(bone=[1] * 8 + [0] * (PATIENTS - 8))
        train, test = cohort(frame, "findings").split(test=0.5)
        assert train.y()[:, 2].sum() == test.y()[:, 2].sum() == 4


class TestStrata:
    def test_the_column_is_read_and_kept_by_the_model(self, tmp_path: Any) -> None:
        whole = cohort(patients(), "survival")
        assert whole.targets["survival"].classes == ("north", "south")
        model = quick().fit(whole)
        moved = cohort(patients().assign(site="south"), "survival")
        before, after = (model.predict(c)["survival"] for c in (whole, moved))
        here = whole.categories("site") == "south"
        np.testing.assert_array_equal(before.risk, after.risk)
        np.testing.assert_array_equal(before.curves[here], after.curves[here])
        assert (before.curves[~here] != after.curves[~here]).any()

    def test_patients_without_the_column_are_refused(self) -> None:
        model = quick().fit(cohort(patients(), "survival"))
        with pytest.raises(DataError, match="no column 'site'"):
            model.predict(cohort(patients().drop(columns="site")))

    def test_an_outcome_without_a_stratum_is_refused(self) -> None:
        frame = patients()
        frame.loc[7, "site"] = None
        with pytest.raises(DataError, match=r"column 'site': 1 patient with an outcome but no stratum: P007"):
            cohort(frame, "survival")

    def test_other_times_keep_their_strata(self) -> None:
        whole = cohort(patients(), "survival")
        assert whole.with_target("survival", whole.y()).fingerprint == whole.fingerprint


class TestCompetingRisks:
    def test_y_and_the_description_name_the_causes(self) -> None:
        whole = cohort(patients(), "course")
        assert set(whole.y()["event"]) == {0, 1, 2}
        assert whole.with_target("course", whole.y()).fingerprint == whole.fingerprint
        told = whole.describe().targets
        assert told["class"].tolist() == ["relapse", "death"]
        assert told["events"].tolist() == [(patients()["cause"] == k).sum() for k in (1, 2)]

    def test_a_number_beyond_the_causes_is_refused(self) -> None:
        with pytest.raises(DataError, match=r"an event other than 0 to 2: P004\."):
            cohort(patients().assign(cause=[0, 1, 2, 1, 3, *[1] * (PATIENTS - 5)]), "course")

    def test_a_cause_that_nobody_met_is_named(self) -> None:
        with pytest.warns(FusionDxWarning, match="nobody met death"):
            cohort(patients().assign(cause=np.resize([0, 1], PATIENTS)), "course")


def test_batches_without_events_are_told_once() -> None:
    few = patients().assign(died=[1] * 6 + [0] * (PATIENTS - 6), site="north")
    model = fdx.FusionModel(dim=4, training=fdx.Training(epochs=2, batch_size=4, progress=False))
    with pytest.warns(FusionDxWarning) as caught:
        model.fit(cohort(few, "survival"))
    assert len([w for w in caught if "nobody had an event" in str(w.message)]) == 1


def test_ordered_classes_must_be_given() -> None:
    with pytest.raises(ConfigError, match="from the lowest to the highest"):
        fdx.Cohort.from_frame(
            patients(),
            modalities={"clinical": {"kind": "table", "numeric": ["x*"]}},
            targets={"grade": {"kind": "classes", "column": "grade", "ordered": True}},
        )


def test_ordered_classes_get_an_ordinal_head() -> None:
    model = quick().fit(cohort(patients(), "grade"))
    assert model.specs_[2]["grade"] == fdx.Ordinal()


def test_a_head_that_does_not_fit_is_refused_before_training() -> None:
    whole = cohort(patients(), "grade")
    with pytest.raises(ConfigError, match=r"heads\.grade: weights: there is no class 'IV'"):
        quick(heads={"grade": fdx.Diagnosis(weights={"IV": 2.0})}).fit(whole)
