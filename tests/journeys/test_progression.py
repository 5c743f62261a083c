"""Are repeated measurements read with their times, up to a landmark and no further?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import PIL.Image
import pytest

import fusiondx as fdx
from fusiondx.errors import ConfigError, DataError
from fusiondx.evaluation.score import score_one

PATIENTS = 160
VISITS = (0.0, 2.0, 4.0, 6.0)
SURVIVAL = {"survival": fdx.Survival("months", "died")}
LABS = fdx.Table(file="labs.csv", numeric=("marker",), time="month")


def patients(seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A marker that rises or falls around the same mean; those in whom it rises die sooner. Its values alone, without
    their times, tell nothing."""
    random = np.random.default_rng(seed)
    slope = random.choice([-1.0, 1.0], PATIENTS)
    death = 5 + random.exponential(20 * np.exp(-1.2 * slope))
    left = 5 + random.exponential(60, PATIENTS)
    ids = [f"P{i:03d}" for i in range(PATIENTS)]
    outcomes = pd.DataFrame({"patient_id": ids}).assign(
        months=np.minimum(death, left), died=(death <= left).astype(int), age=random.normal(60, 8, PATIENTS)
    )
    rows = [
        (id, month, (month - 3) * s + random.normal() * 0.3)
        for id, s, months in zip(ids, slope, outcomes["months"], strict=True)
        for month in VISITS
        if month < months
    ]
    labs = pd.DataFrame(rows, columns=["patient_id", "month", "marker"])
    return outcomes, labs.sample(frac=1, random_state=seed)  # visits stand in no order


def cohort(folder: Path, seed: int = 0, labs: pd.DataFrame | None = None, **targets: Any) -> fdx.Cohort:
    outcomes, measured = patients(seed)
    (measured if labs is None else labs).to_csv(folder / "labs.csv", index=False)
    modalities = {"labs": LABS, "clinical": fdx.Table(numeric=("age",))}
    return fdx.Cohort.from_frame(outcomes, modalities=modalities, targets=targets or SURVIVAL, data=folder)


def quick(epochs: int = 40, **settings: Any) -> fdx.FusionModel:
    training = fdx.Training(epochs=epochs, learning_rate=0.01, progress=False)
    return fdx.FusionModel(dim=16, training=training, **settings)


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> fdx.Cohort:
    return cohort(tmp_path_factory.mktemp("known"))


@pytest.fixture(scope="module")
def new(tmp_path_factory: pytest.TempPathFactory) -> fdx.Cohort:
    return cohort(tmp_path_factory.mktemp("new"), seed=1)


class TestLandmark:
    def test_it_keeps_what_was_known_of_those_at_risk(self, known: fdx.Cohort) -> None:
        taken, months = known.landmark(6.0), patients()[0]["months"].to_numpy()
        assert taken.ids.tolist() == known.ids[months > 6].tolist()
        np.testing.assert_allclose(taken.y()["time"], months[months > 6] - 6)
        assert taken.modalities["labs"].counts.tolist() == [4] * len(taken)
        early = known.landmark(4.5)
        assert set(early.modalities["labs"].counts.tolist()) == {3}

    def test_visits_are_put_in_order(self, known: fdx.Cohort) -> None:
        labs = known.modalities["labs"]
        assert labs.time is not None
        _, rows = labs.locate(np.arange(len(known)))
        for p in range(len(known)):
            assert (np.diff(labs.time[labs.rows[labs.start[p] : labs.start[p + 1]]]) > 0).all()
        assert len(rows) == len(labs.data)

    def test_patients_whose_outcome_is_unknown_stay(self, tmp_path: Path) -> None:
        outcomes, labs = patients()
        labs.to_csv(tmp_path / "labs.csv", index=False)
        whole = fdx.Cohort.from_frame(outcomes, modalities={"labs": LABS}, data=tmp_path)
        assert len(whole.landmark(6.0)) == PATIENTS

    def test_nobody_left_and_a_second_landmark_are_refused(self, known: fdx.Cohort) -> None:
        with pytest.raises(DataError, match="Nobody is at risk"):
            known.landmark(1e9)
        with pytest.raises(ConfigError, match="set before"):
            known.landmark(2.0).landmark(4.0)
        with pytest.raises(ConfigError, match="finite"):
            known.landmark(float("nan"))

    def test_the_cohort_file_may_set_it(self, tmp_path: Path) -> None:
        outcomes, labs = patients()
        outcomes.to_csv(tmp_path / "patients.csv", index=False)
        labs.to_csv(tmp_path / "labs.csv", index=False)
        (tmp_path / "cohort.yaml").write_text(
            "patients: {file: patients.csv}\n"
            "modalities:\n"
            "  labs: {kind: table, file: labs.csv, numeric: [marker], time: month}\n"
            "targets: {survival: {kind: survival, time: months, event: died}}\n"
            "landmark: 4\n"
        )
        assert fdx.Cohort.read(tmp_path / "cohort.yaml").landmarked == 4


class TestLearning:
    def test_the_course_of_a_marker_is_learnt_from_its_times(self, known: fdx.Cohort, new: fdx.Cohort) -> None:
        model = quick().fit(known.landmark(6.0))
        later = new.landmark(6.0)
        assert score_one(model.predict(later)["survival"], later.targets["survival"]) > 0.65

    def test_without_their_times_its_values_tell_nothing(
        self, known: fdx.Cohort, new: fdx.Cohort, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """So that what was learnt above came from the clock."""
        monkeypatch.setattr("fusiondx.clock.Clock.forward", lambda self, tokens, items: tokens)
        model = quick().fit(known.landmark(6.0))
        later = new.landmark(6.0)
        assert abs(score_one(model.predict(later)["survival"], later.targets["survival"]) - 0.5) < 0.1

    def test_a_saved_model_predicts_the_same(self, known: fdx.Cohort, new: fdx.Cohort, tmp_path: Path) -> None:
        model, later = quick(epochs=2).fit(known.landmark(6.0)), new.landmark(6.0)
        loaded = fdx.FusionModel.load(model.save(tmp_path / "model"))
        np.testing.assert_array_equal(model.predict_risk(later), loaded.predict_risk(later))
        assert loaded.landmark_ == 6

    def test_the_order_of_rows_does_not_count(self, known: fdx.Cohort, tmp_path: Path) -> None:
        model = quick(epochs=2).fit(known.landmark(6.0))
        same = cohort(tmp_path, labs=patients()[1].sort_values("marker"))
        assert same.fingerprint == known.fingerprint
        before, after = (model.predict_risk(c.landmark(6.0)) for c in (known, same))
        np.testing.assert_allclose(before, after, atol=1e-6)

    def test_the_time_of_a_visit_counts(self, known: fdx.Cohort, tmp_path: Path) -> None:
        model = quick(epochs=10).fit(known.landmark(6.0))
        moved = cohort(tmp_path, labs=patients()[1].assign(month=lambda frame: frame["month"] / 2))
        assert moved.fingerprint != known.fingerprint
        assert np.abs(model.predict_risk(known.landmark(6.0)) - model.predict_risk(moved.landmark(6.0))).max() > 0.01

    def test_a_report_holds_a_baseline_of_the_latest_visit(self, known: fdx.Cohort) -> None:
        report = fdx.cross_validate(quick(epochs=1), known.landmark(6.0), 2, replicates=5)
        frame = report.frame()
        assert frame["model"].str.contains("Cox regression").any()
        assert not report.notes


class TestGuard:
    def test_training_on_what_came_after_the_start_of_the_clock_is_refused(self, known: fdx.Cohort) -> None:
        with pytest.raises(DataError, match=r"'labs': 160 patients with observations later than 0.*landmark\(time\)"):
            quick().fit(known)
        quick(epochs=1).fit(known.landmark(0.0))

    def test_predicting_without_the_landmark_is_refused(self, known: fdx.Cohort, new: fdx.Cohort) -> None:
        model = quick(epochs=1).fit(known.landmark(4.0))
        for other in (new, new.landmark(6.0), new.landmark(2.0)):
            with pytest.raises(
                DataError, match=r"counts from 4, this cohort's from [026]\. Take cohort\.landmark\(4\)"
            ):
                model.predict(other)

    def test_observations_slipped_in_after_the_landmark_are_refused(self, known: fdx.Cohort, new: fdx.Cohort) -> None:
        from dataclasses import replace

        model, taken = quick(epochs=1).fit(known.landmark(4.0)), new.landmark(4.0)
        slipped = replace(taken, modalities={**taken.modalities, "labs": new.take_ids(taken.ids).modalities["labs"]})
        with pytest.raises(DataError, match="observations later than 4"):
            model.predict(slipped)

    def test_a_question_without_a_clock_may_read_everything(self, tmp_path: Path) -> None:
        whole = cohort(tmp_path, age=fdx.Number("age"))
        model = quick(epochs=1).fit(whole)
        assert model.landmark_ is None
        model.predict(whole)

    def test_a_cohort_without_times_is_refused_by_a_model_with(self, known: fdx.Cohort, tmp_path: Path) -> None:
        model = quick(epochs=1).fit(known.landmark(4.0))
        outcomes, labs = patients()
        labs.drop_duplicates("patient_id").to_csv(tmp_path / "labs.csv", index=False)
        plain = {"labs": LABS.replace(time=None), "clinical": fdx.Table(numeric=("age",))}
        other = fdx.Cohort.from_frame(outcomes, modalities=plain, targets=SURVIVAL, data=tmp_path)
        with pytest.raises(DataError, match="trained on times of observation"):
            model.predict(other.landmark(4.0))

    def test_rows_without_a_time_and_two_at_one_time_are_refused(self, tmp_path: Path) -> None:
        labs = patients()[1].sort_values(["patient_id", "month"], ignore_index=True)
        with pytest.raises(DataError, match=r"labs.csv: 1 patient with something else than a finite.*: P000\."):
            cohort(tmp_path, labs=labs.assign(month=labs["month"].where(labs.index > 0)))
        with pytest.raises(DataError, match=r"something else than a finite.*: P000\."):
            cohort(tmp_path, labs=labs.assign(month=labs["month"].where(labs.index > 0, 1e300)))
        with pytest.raises(DataError, match=r"1 patient with more than one row at the same time: P000\."):
            cohort(tmp_path, labs=pd.concat([labs, labs.head(1)]))


@pytest.mark.parametrize(("encoder", "epochs"), [("smallcnn", 12), ("radiomics", 40)])
def test_images_have_times_too(encoder: str, epochs: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read as pixels or as features: the brightness of three images is the same set, only its course differs."""
    monkeypatch.setenv("FUSIONDX_CACHE", str(tmp_path / "cache"))
    random, rows = np.random.default_rng(0), []
    grows = np.resize([True, False], 60)
    for p, up in enumerate(grows):
        for visit in range(3):
            bright = 60 + 60 * (visit if up else 2 - visit)
            noise = random.integers(0, 20, (32, 32))
            PIL.Image.fromarray((bright + noise).astype(np.uint8)).save(tmp_path / f"{p}_{visit}.png")
            rows.append((f"P{p:02d}", visit, f"{p}_{visit}.png"))
    pd.DataFrame(rows, columns=["patient_id", "visit", "path"]).to_csv(tmp_path / "scans.csv", index=False)
    frame = pd.DataFrame({"patient_id": [f"P{p:02d}" for p in range(60)], "course": np.where(grows, "up", "down")})
    scans = fdx.Image(file="scans.csv", path="path", time="visit", size=32)
    whole = fdx.Cohort.from_frame(
        frame, modalities={"scan": scans}, targets={"course": fdx.Classes("course")}, data=tmp_path
    )
    training = fdx.Training(epochs=epochs, batch_size=16, learning_rate=0.01, augment=False, progress=False)
    model = fdx.FusionModel(encoders={"scan": encoder}, dim=16, training=training).fit(whole[:40])
    assert score_one(model.predict(whole[40:])["course"], whole[40:].targets["course"]) > 0.75
