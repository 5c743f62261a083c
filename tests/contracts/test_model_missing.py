"""Does a model live with what patients lack, and with what it has never seen?"""

from __future__ import annotations

import itertools
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import PIL.Image
import pytest

import fusiondx as fdx
from fusiondx.errors import DataError, FusionDxWarning

QUICK = fdx.Training(epochs=2, batch_size=16)
COLUMNS = {"clinical": ["age", "size", "sex"], "omics": ["g1", "g2"], "photo": ["image"]}
MODALITIES = {
    "clinical": fdx.Table(numeric=("age", "size"), categorical=("sex",)),
    "omics": fdx.Genomics(columns=("g*",)),
    "photo": fdx.Image(path="image", size=8),
}
TARGETS = {"label": fdx.Classes("label", ("no", "yes"))}
PATIENTS = 48

pytestmark = pytest.mark.filterwarnings("ignore:the frame. empty or always the same")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(0)
    for row in range(PATIENTS):
        PIL.Image.fromarray(random.integers(0, 256, (12, 12, 3), dtype=np.uint8)).save(made / f"{row}.png")
        PIL.Image.fromarray(random.integers(0, 256, (12, 12), dtype=np.uint8)).save(made / f"{row}_grey.png")
    return made


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUSIONDX_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


def frame(seed: int = 0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    table = pd.DataFrame(random.normal(size=(PATIENTS, 4)), columns=["age", "size", "g1", "g2"])
    return table.assign(
        patient_id=[f"{row:03d}" for row in range(PATIENTS)],
        sex=random.choice(["female", "male"], PATIENTS),
        image=[f"{row}.png" for row in range(PATIENTS)],
        label=np.where(table["age"] > 0, "yes", "no"),
    )


def without(table: pd.DataFrame, rows: Any, *modalities: str) -> pd.DataFrame:
    """The table with some modalities blanked for some patients."""
    blanked = table.copy()
    for column in itertools.chain.from_iterable(COLUMNS[name] for name in modalities):
        blanked[column] = blanked[column].astype(object)
        blanked.loc[rows, column] = None
        blanked[column] = blanked[column].infer_objects()
    return blanked


def cohort(folder: Path, table: pd.DataFrame, modalities: Any = MODALITIES) -> fdx.Cohort:
    return fdx.Cohort.from_frame(table, modalities=modalities, targets=TARGETS, data=folder)


def fitted(patients: fdx.Cohort, **settings: Any) -> fdx.FusionModel:
    return fdx.FusionModel(**{"dim": 8, "training": QUICK, "encoders": ENCODERS, **settings}).fit(patients)


ENCODERS = {"photo": fdx.ConvNet(channels=(8,))}


@pytest.fixture(scope="module")
def model(folder: Path) -> fdx.FusionModel:
    return fitted(cohort(folder, frame()))


SUBSETS = [s for n in range(4) for s in itertools.combinations(COLUMNS, n)]


@pytest.mark.parametrize("fusion", ["concat", "gated", "mean"])
def test_patients_may_lack_any_subset_at_training_and_prediction(folder: Path, fusion: str) -> None:
    table = frame()
    for lacking, first in zip(SUBSETS, range(0, PATIENTS, 6), strict=True):
        table = without(table, slice(first, first + 5), *lacking)
    patients = cohort(folder, table)
    assert len(set(patients.pattern)) == 8
    model = fitted(patients, fusion=fusion)
    probability = model.predict_proba(patients)
    assert np.isfinite(probability).all()
    nothing = probability[patients.pattern == "none"]
    assert len(nothing) == 6
    assert (nothing == nothing[0]).all()
    assert np.isfinite(model.history_["train_loss"]).all()


def test_a_modality_that_nobody_has_is_as_good_as_undeclared(folder: Path, model: fdx.FusionModel) -> None:
    for lacking in SUBSETS:
        blank = cohort(folder, without(frame(), slice(None), *lacking)) if lacking else cohort(folder, frame())
        kept = [name for name in COLUMNS if name not in lacking]
        absent = cohort(folder, frame()).select(modalities=kept)
        np.testing.assert_allclose(model.predict_proba(blank), model.predict_proba(absent), atol=1e-6)


def test_every_modality_counts(folder: Path, model: fdx.FusionModel) -> None:
    whole = model.predict_proba(cohort(folder, frame()))
    for name in COLUMNS:
        assert not np.allclose(model.predict_proba(cohort(folder, without(frame(), slice(None), name))), whole)


def test_a_modality_without_training_patients_is_left_out_with_a_warning(folder: Path) -> None:
    patients = cohort(folder, without(frame(), slice(None), "omics"))
    with pytest.warns(FusionDxWarning) as caught:
        model = fitted(patients)
    assert [str(w.message) for w in caught] == ["No training patient has 'omics': not used."]
    assert set(model.preparations_) == {"clinical", "photo"}


def test_a_modality_never_seen_is_ignored_and_counted(folder: Path) -> None:
    patients = cohort(folder, frame())
    model = fitted(patients.select(modalities=["clinical", "omics"]), encoders=None)
    with pytest.warns(FusionDxWarning, match="not trained on photo: ignored for 48 patients"):
        probability = model.predict_proba(patients)
    assert np.array_equal(probability, model.predict_proba(patients.select(modalities=["clinical", "omics"])))


def test_a_category_never_seen_is_treated_as_missing_and_counted(folder: Path, model: fdx.FusionModel) -> None:
    strange, blank = frame(), frame()
    strange.loc[:2, "sex"], blank.loc[:2, "sex"] = "unspecified", None
    with pytest.warns(FusionDxWarning, match="'clinical': 3 patients with a category of 'sex' that training never saw"):
        probability = model.predict_proba(cohort(folder, strange))
    assert np.array_equal(probability, model.predict_proba(cohort(folder, blank)))


@pytest.mark.parametrize("column", ["age", "sex"])
def test_a_table_that_lacks_a_trained_column_is_refused_by_name(
    folder: Path, model: fdx.FusionModel, column: str
) -> None:
    kept = fdx.Table(
        numeric=tuple(c for c in ("age", "size") if c != column),
        categorical=tuple(c for c in ("sex",) if c != column),
    )
    with pytest.raises(DataError, match=f"'clinical'.*lacks 1 column the model was trained on: {column}"):
        model.predict(cohort(folder, frame(), {**MODALITIES, "clinical": kept}))


def test_columns_never_seen_and_their_order_do_not_count(folder: Path, model: fdx.FusionModel) -> None:
    wider = fdx.Table(numeric=("weight", "size", "age"), categorical=("sex",))
    table = frame().assign(weight=1.5 * np.arange(PATIENTS))
    found = model.predict_proba(cohort(folder, table, {**MODALITIES, "clinical": wider}))
    assert np.array_equal(found, model.predict_proba(cohort(folder, frame())))


def test_images_of_another_size_or_colour_are_refused(folder: Path, model: fdx.FusionModel) -> None:
    larger = {**MODALITIES, "photo": fdx.Image(path="image", size=9)}
    with pytest.raises(DataError, match=r"'photo'.*\(9, 9\).*\(8, 8\)"):
        model.predict(cohort(folder, frame(), larger))
    grey = frame().assign(image=[f"{row}_grey.png" for row in range(PATIENTS)])
    with pytest.raises(DataError, match=r"'photo'.* 1 channels .* 3 at"):
        model.predict(cohort(folder, grey))


def test_images_without_the_masks_the_model_reads_are_refused(folder: Path) -> None:
    table = frame().assign(mask=[f"{row}_grey.png" for row in range(PATIENTS)])
    masked = {"photo": fdx.Image(path="image", mask="mask", size=8)}
    model = fitted(cohort(folder, table, masked))
    for other in (fdx.Image(path="image", size=8), masked["photo"].replace(mask_use="crop")):
        with pytest.raises(DataError, match=r"'photo'.*trained on images with their masks.*`mask`"):
            model.predict(cohort(folder, table, {"photo": other}))


def test_images_of_another_depth_are_refused(folder: Path, model: fdx.FusionModel, tmp_path: Path) -> None:
    for row in range(PATIENTS):
        np.save(tmp_path / f"{row}.npy", 257 * np.asarray(PIL.Image.open(folder / f"{row}.png")).astype(np.uint16))
    deeper = frame().assign(image=[f"{row}.npy" for row in range(PATIENTS)])
    with pytest.raises(DataError, match=r"'photo'.*are 16 bit.*trained on 8 bit.*`intensity`"):
        model.predict(cohort(tmp_path, deeper))
    windowed = {**MODALITIES, "photo": fdx.Image(path="image", size=8, intensity=(0, 65535))}
    model.predict(cohort(tmp_path, deeper, windowed))


def test_a_modality_of_another_kind_is_refused(folder: Path, model: fdx.FusionModel) -> None:
    swapped = {"photo": fdx.Table(numeric=("age",))}
    with pytest.raises(DataError, match="'photo' is a table here"):
        model.predict(cohort(folder, frame(), swapped))


def test_nobody_can_be_neither_fitted_nor_predicted(folder: Path, model: fdx.FusionModel) -> None:
    nobody = cohort(folder, frame())[:0]
    with pytest.raises(DataError, match="empty"):
        fitted(nobody)
    with pytest.raises(DataError, match="empty"):
        model.predict(nobody)


def test_a_cohort_without_any_modality_or_target_cannot_be_fitted(folder: Path) -> None:
    patients = cohort(folder, frame())
    with pytest.raises(DataError, match="no modalities"):
        fitted(patients.select(modalities=[]), encoders=None)
    with pytest.raises(DataError, match="no targets"):
        fitted(patients.select(targets=[]), encoders=None)
    with pytest.raises(DataError, match="No training patient has any modality"), pytest.warns(FusionDxWarning):
        fitted(cohort(folder, without(frame(), slice(None), *COLUMNS)), encoders=None)


# -- values ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinite_values_are_refused_with_column_and_patient(folder: Path, value: float) -> None:
    table = frame()
    table.loc[3, "age"] = value
    with pytest.raises(DataError, match=r"1 patient .* age: 003"):
        cohort(folder, table)


@pytest.mark.parametrize("value", [1e308, -1e308, 1e38, 1e-308])
def test_absurd_values_train_and_predict_finitely(folder: Path, model: fdx.FusionModel, value: float) -> None:
    table = frame()
    table.loc[3, ["age", "g1"]] = value
    absurd = cohort(folder, table)
    whole = model.predict_proba(cohort(folder, frame()))
    found = model.predict_proba(absurd)
    assert np.isfinite(found).all()
    others = np.arange(PATIENTS) != 3
    np.testing.assert_allclose(found[others], whole[others], atol=1e-5)
    assert np.isfinite(fitted(absurd).predict_proba(absurd)).all()


def test_useless_columns_are_dropped_with_a_warning(folder: Path) -> None:
    table = frame().assign(size=1.0)
    table["g2"] = np.nan
    with pytest.warns(FusionDxWarning) as caught:
        model = fitted(cohort(folder, table))
    said = " ".join(str(w.message) for w in caught)
    assert "'clinical': 1 column constant or empty among the training patients, not used: size" in said
    assert "'omics': 1 column constant or empty among the training patients, not used: g2" in said
    assert model.preparations_["clinical"].numeric == ("age",)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of a single patient every column is constant; that is no news
        one = cohort(folder, frame())[[0]]
        assert model.predict_proba(one).shape == (1, 2)


def test_a_table_of_useless_columns_is_left_out_with_a_warning(folder: Path) -> None:
    table = frame().assign(g1=2.0, g2=3.0)
    with pytest.warns(FusionDxWarning, match="'omics' has no column that tells patients apart: not used"):
        model = fitted(cohort(folder, table))
    assert set(model.preparations_) == {"clinical", "photo"}


def test_gaps_are_filled_and_told_from_the_median(folder: Path) -> None:
    table = frame()
    table.loc[::3, "size"] = np.nan
    gappy = fitted(cohort(folder, table), encoders=None)
    middle = table.assign(size=table["size"].fillna(table["size"].median()))
    assert not np.allclose(
        gappy.predict_proba(cohort(folder, table))[::3], gappy.predict_proba(cohort(folder, middle))[::3]
    )
