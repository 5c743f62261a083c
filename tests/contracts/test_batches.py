"""Do batches hold the right items of the right patients, in a fresh order every pass?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import PIL.Image
import pytest

import fusiondx as fdx
from fusiondx.admission import prepare
from fusiondx.data.batches import Batches, Prepared
from fusiondx.data.preprocess import BEND, TablePreparation

PATIENTS, SIDE = 10, 4
COUNTS = [2, 0, 1, 3, 0, 1, 1, 2, 0, 1]
"""Images per patient."""


@pytest.fixture(scope="module")
def everyone(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Every image is one grey, ten times its number; x is the patient's number, and a third have no x."""
    folder = tmp_path_factory.mktemp("images")
    owners = np.repeat(np.arange(PATIENTS), COUNTS)
    for number in range(len(owners)):
        PIL.Image.fromarray(np.full((SIDE, SIDE), 10 * number, np.uint8)).save(folder / f"{number}.png")
    order = np.random.default_rng(0).permutation(len(owners))
    rows = pd.DataFrame({"patient_id": [f"{p:02d}" for p in owners], "image": [f"{n}.png" for n in range(len(owners))]})
    rows.iloc[order].to_csv(folder / "images.csv", index=False)
    table = pd.DataFrame(
        {
            "patient_id": [f"{p:02d}" for p in range(PATIENTS)],
            "x": [float(p) if p % 3 else None for p in range(PATIENTS)],
            "label": np.resize(["no", "yes"], PATIENTS),
        }
    )
    modalities = {"table": fdx.Table(numeric=("x",)), "photo": fdx.Image(path="image", file="images.csv", size=SIDE)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FUSIONDX_CACHE", str(folder / "cache"))
        yield fdx.Cohort.from_frame(table, modalities=modalities, targets={"label": fdx.Classes("label")}, data=folder)


@pytest.fixture(scope="module")
def prepared(everyone: fdx.Cohort) -> Prepared:
    return Prepared(everyone, prepare(everyone))


def unbent(made: TablePreparation, prepared: np.ndarray) -> np.ndarray:
    """The values that columns were before they were prepared."""
    return np.asarray(made.median) + BEND * np.asarray(made.spread) * np.sinh(prepared * made.scale + made.level)


def held(prepared: Prepared, everyone: fdx.Cohort, patients: Any) -> tuple[list[list[float]], list[list[int]]]:
    """Per patient of a batch: its values of x, and the numbers of its images."""
    made = prepare(everyone)
    batch = prepared.batch(np.asarray(patients))
    table, photo = batch.inputs["table"], batch.inputs["photo"]
    x = unbent(made["table"], table.fields["numeric"].double().numpy())[:, 0]
    number = (photo.fields["pixels"].mean((1, 2, 3)) * made["photo"].scale[0] + made["photo"].mean[0]) / 10
    rows = range(len(batch))
    return (
        [x[table.patient.numpy() == row].round(3).tolist() for row in rows],
        [sorted(number[photo.patient == row].round().int().tolist()) for row in rows],
    )


FIRST = np.cumsum([0, *COUNTS])


@pytest.mark.parametrize("patients", [range(PATIENTS), [9, 0, 3, 1], [1], [4, 8], [3]])
def test_every_patient_gets_its_own_items(prepared: Prepared, everyone: fdx.Cohort, patients: Any) -> None:
    x, numbers = held(prepared, everyone, list(patients))
    assert x == [[float(p)] if p % 3 else [] for p in patients]
    assert numbers == [list(range(FIRST[p], FIRST[p + 1])) for p in patients]


def test_a_subset_of_the_cohort_gives_the_same_items(everyone: fdx.Cohort) -> None:
    order = np.array([7, 2, 3, 0])
    part = Prepared(everyone[order], prepare(everyone))
    x, numbers = held(part, everyone, [2, 0])
    assert x == [[], [7.0]]
    assert numbers == [[3, 4, 5], [8, 9]]


def test_owners_ascend_and_answers_follow_their_patients(prepared: Prepared) -> None:
    batch = prepared.batch(np.array([5, 3, 0, 8]))
    assert batch.ids == ("05", "03", "00", "08")
    assert batch.inputs["photo"].patient.tolist() == [0, 1, 1, 1, 2, 2]
    assert batch.inputs["photo"].present.tolist() == [True, True, True, False]
    assert batch.targets["label"].fields["label"].tolist() == [1, 1, 0, 0]


def test_a_modality_the_cohort_lacks_is_empty_and_well_formed(everyone: fdx.Cohort) -> None:
    for kept in ("table", "photo"):
        batch = Prepared(everyone.select(modalities=[kept]), prepare(everyone)).batch(np.arange(3))
        whole = Prepared(everyone, prepare(everyone)).batch(np.arange(3))
        for name in {"table", "photo"} - {kept}:
            assert len(batch.inputs[name]) == 0
            assert not batch.inputs[name].present.any()
            for field, value in batch.inputs[name].fields.items():
                assert value.shape[1:] == whole.inputs[name].fields[field].shape[1:]
                assert value.dtype == whole.inputs[name].fields[field].dtype


@pytest.mark.parametrize(
    ("patients", "size", "sizes"), [(10, 4, [4, 3, 3]), (9, 4, [3, 3, 3]), (5, 4, [3, 2]), (1, 4, [1])]
)
def test_batches_are_near_equal_and_never_larger(
    prepared: Prepared, patients: int, size: int, sizes: list[int]
) -> None:
    batches = Batches(prepared, np.arange(patients), size)
    assert [len(batch) for batch in batches] == sizes
    assert len(batches) == len(sizes)


def order(batches: Batches) -> list[str]:
    return [id for batch in batches for id in batch.ids]


def test_without_a_seed_order_is_kept(prepared: Prepared) -> None:
    assert order(Batches(prepared, np.array([5, 2, 7]), 2)) == ["05", "02", "07"]


def test_with_a_seed_every_pass_differs_and_every_run_repeats(prepared: Prepared) -> None:
    first, again, other = (Batches(prepared, np.arange(PATIENTS), 4, seed=seed) for seed in (0, 0, 1))
    passes = [order(first) for _ in range(3)]
    assert passes == [order(again) for _ in range(3)]
    assert passes[0] != order(other)
    assert len({tuple(p) for p in [*passes, sorted(passes[0])]}) == 4
    assert all(sorted(p) == sorted(passes[0]) for p in passes)
