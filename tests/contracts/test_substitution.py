"""Does a modality that is shuffled or mean-filled tell nothing any more, and stay what it was otherwise?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import PIL.Image
import pytest

import fusiondx as fdx
from fusiondx.data.missingness import present
from fusiondx.data.substitution import mean_filled, shuffled

GREYS = [0, 40, 100, 110, 250]


@pytest.fixture
def cohort(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> fdx.Cohort:
    monkeypatch.setenv("FUSIONDX_CACHE", str(tmp_path / "cache"))
    for row, grey in enumerate(GREYS):
        PIL.Image.new("L", (8, 8), grey).save(tmp_path / f"{row}.png")
        np.save(tmp_path / f"{row}.npy", np.full((row + 1, 3), grey, dtype=np.float32))
    frame = pd.DataFrame(
        {
            "patient_id": list("ABCDEF"),
            "age": [1.0, 2.0, np.nan, 4.0, 5.0, np.nan],
            "sex": ["f", "f", "m", "m", "f", None],
            "image": [*(f"{row}.png" for row in range(5)), None],
            "slide": [*(f"{row}.npy" for row in range(5)), None],
        }
    )
    modalities = {
        "clinical": fdx.Table(numeric=("age",), categorical=("sex",)),
        "photo": fdx.Image(path="image", size=8),
        "slide": fdx.Bag(path="slide"),
    }
    return fdx.Cohort.from_frame(frame, modalities=modalities, data=tmp_path)


@pytest.mark.parametrize("name", ["clinical", "photo", "slide"])
def test_those_who_have_it_still_do_and_others_are_untouched(cohort: fdx.Cohort, name: str) -> None:
    for changed in (shuffled(cohort, name, 1), mean_filled(cohort, name)):
        assert np.array_equal(present(changed), present(cohort))
        for other in set(cohort.modalities) - {name}:
            assert changed.modalities[other] is cohort.modalities[other]


def test_shuffling_hands_every_value_on_once(cohort: fdx.Cohort) -> None:
    before, after = (c.modalities["photo"].locate(np.arange(6))[1] for c in (cohort, shuffled(cohort, "photo", 1)))
    assert sorted(after) == sorted(before)
    assert list(after) != list(before)
    again = shuffled(cohort, "photo", 1).modalities["photo"].locate(np.arange(6))[1]
    assert np.array_equal(after, again)


def test_a_table_is_filled_with_means_and_the_commonest(cohort: fdx.Cohort) -> None:
    modality = mean_filled(cohort, "clinical").modalities["clinical"]
    _, rows = modality.locate(np.arange(6))
    assert modality.data.numeric[rows].tolist() == [[3.0]] * 5
    assert list(modality.data.categorical["sex"][rows]) == ["f"] * 5


@pytest.mark.parametrize("name", ["photo", "slide"])
def test_all_images_and_bags_become_the_one_nearest_to_the_mean(cohort: fdx.Cohort, name: str) -> None:
    _, rows = mean_filled(cohort, name).modalities[name].locate(np.arange(6))
    assert [GREYS[row] for row in rows] == [100] * 5


def test_nobody_can_be_changed_where_nobody_has_it(cohort: fdx.Cohort) -> None:
    nobody = cohort[[5]]
    assert not present(mean_filled(nobody, "photo")).any()
    assert not present(shuffled(nobody, "photo", 0)).any()
