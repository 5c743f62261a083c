"""Is preprocessing fitted on training patients only, and does it keep what matters?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

import fusiondx as fdx
from fusiondx.data.images import ImageData
from fusiondx.data.preprocess import (
    BEND,
    CLIP,
    ImagePreparation,
    Preparation,
    TablePreparation,
    fit,
    fit_image,
    fit_table,
)
from fusiondx.data.tables import TableData
from fusiondx.errors import DataError, FusionDxWarning

NAN = float("nan")


def table(numeric: list[list[float]], **categorical: list[Any]) -> TableData:
    names = tuple("abcdefg"[: len(numeric[0])])
    groups = {name: np.array(values, dtype=object) for name, values in categorical.items()}
    spec = fdx.Table(numeric=names, categorical=tuple(groups))
    return TableData(spec, np.array(numeric, dtype=np.float32), names, groups)


EXAMPLE = table(
    [[1, 10], [2, NAN], [3, 30], [100, NAN], [NAN, 50]],
    sex=["f", "m", "f", "x", None],
    stage=["I", "I", "I", "II", "II"],
)
TRAIN = np.array([0, 1, 2])


@pytest.fixture(scope="module")
def example() -> TablePreparation:
    with pytest.warns(FusionDxWarning, match="'t': 1 column constant .* not used: stage"):
        return fit_table("t", EXAMPLE, TRAIN)


def test_only_the_given_rows_count(example: TablePreparation) -> None:
    assert example.numeric == ("a", "b")
    assert example.median == (2, 20)
    assert example.mean == (2, 20)
    assert example.deviation == pytest.approx((np.sqrt(2 / 3), np.sqrt(200 / 3)))
    assert example.spread == pytest.approx((1 / 1.349, 10 / 1.349))
    assert example.level == (0, 0)
    assert example.categories == {"sex": ("f", "m")}
    assert example.indicators == ("b",)
    assert example.inputs == ("a", "b", "b missing")
    assert example.levels == (2,)


def test_worked_by_hand(example: TablePreparation) -> None:
    arrays = example.arrays(EXAMPLE, np.array([4, 0, 3]))
    step = np.sqrt(1.5)  # quartiles of 1, 2, 3 are 1.5 and 2.5: bent, these are -u, 0, u, brought to variance 1
    unit = np.arcsinh(1.349 / BEND)
    far = np.minimum(np.arcsinh(1.349 / BEND * np.array([3, 98])) / unit * step, CLIP)
    expected = [[0, far[0], 0], [-step, -step, 0], [far[1], 0, 1]]
    np.testing.assert_allclose(arrays["numeric"], expected, rtol=1e-5)
    assert arrays["numeric"].dtype == np.float32
    assert arrays["codes"].tolist() == [[0], [1], [0]]
    assert arrays["codes"].dtype == np.int64


def test_one_far_value_leaves_the_others_apart() -> None:
    """By mean and deviation alone, they would be 0.003 apart."""
    made = fit_table("t", (data := table([[float(v)] for v in [*range(9), 10_000]])), np.arange(10))
    prepared = made.arrays(data, np.arange(10))["numeric"][:, 0]
    assert prepared[8] - prepared[0] > 0.5
    assert (np.diff(prepared) > 0).all()


def test_a_column_half_of_which_is_equal_keeps_its_deviation_for_a_spread() -> None:
    made = fit_table("t", table([[0.0]] * 9 + [[1.0]]), np.arange(10))
    assert made.spread == pytest.approx((0.3,))


def test_a_slope_is_that_of_the_prepared_value() -> None:
    data = table([[float(v)] for v in [*range(9), 40]])
    made, step = fit_table("t", data, np.arange(10)), 1e-2
    low, middle, high = (
        made.arrays(table([[v + move] for v in (0.0, 4.5, 40.0)]), np.arange(3))["numeric"].astype(np.float64)
        for move in (-step, 0, step)
    )
    np.testing.assert_allclose(made.slope(middle), (high - low) / (2 * step), rtol=1e-3)
    assert made.slope(np.array([[CLIP], [-CLIP]])).tolist() == [[0.0], [0.0]]


def test_another_cohort_is_compared_by_deviations_and_no_cell_owns_the_comparison() -> None:
    made = fit_table("t", table([[1.0], [2.0], [3.0]]), np.arange(3))
    found = made.standardised(table([[2.0], [2 + np.sqrt(2 / 3)], [np.inf], [NAN]]), np.arange(4))[:, 0]
    np.testing.assert_allclose(found, [0, 1, CLIP, NAN], atol=1e-6)


def test_unseen_categories_are_counted_and_missing_ones_are_not(example: TablePreparation) -> None:
    assert example.unseen(EXAMPLE, np.arange(5)) == {"sex": 1}
    assert example.unseen(EXAMPLE, np.array([0, 1, 4])) == {}


def test_the_data_stay_as_they_were(example: TablePreparation) -> None:
    before = EXAMPLE.numeric.copy()
    example.arrays(EXAMPLE, np.arange(5))
    np.testing.assert_array_equal(EXAMPLE.numeric, before)


def test_columns_are_found_by_name_and_not_by_place(example: TablePreparation) -> None:
    swapped = TableData(EXAMPLE.spec, EXAMPLE.numeric[:, ::-1], ("b", "a"), EXAMPLE.categorical)
    for name, values in example.arrays(EXAMPLE, np.arange(5)).items():
        np.testing.assert_array_equal(values, example.arrays(swapped, np.arange(5))[name])


def test_lacking_columns_are_named(example: TablePreparation) -> None:
    lacking = TableData(EXAMPLE.spec, EXAMPLE.numeric[:, :1], ("a",), {})
    with pytest.raises(DataError, match=r"'t': the table lacks 2 columns .* b, sex\."):
        example.refuse_lacking("t", lacking)
    with pytest.raises(DataError, match="lacks 2 columns"):
        example.arrays(lacking, np.arange(5))


def test_a_column_whose_gaps_alone_tell_patients_apart_is_kept() -> None:
    data = table([[5, 1], [NAN, 2], [5, 3]])
    made = fit_table("t", data, np.arange(3))
    assert made.numeric == ("a", "b")
    arrays = made.arrays(data, np.arange(3))["numeric"]
    np.testing.assert_allclose(arrays[:, 0], 0)
    np.testing.assert_allclose(arrays[:, 2], [0, 1, 0])


def test_constant_and_empty_columns_are_dropped_with_a_warning() -> None:
    data = table([[5, 1, NAN], [5, 2, NAN]])
    with pytest.warns(FusionDxWarning, match="'t': 2 columns constant or empty .* not used: a, c"):
        made = fit_table("t", data, np.arange(2))
    assert made.numeric == ("b",)


def test_a_single_patient_leaves_nothing_to_use() -> None:
    with pytest.warns(FusionDxWarning, match="2 columns"):
        assert not fit_table("t", table([[5, 1]]), np.arange(1)).useful


@pytest.mark.parametrize("value", [np.inf, -np.inf, 3e38, 1e-38])
def test_absurd_cells_give_finite_numbers(value: float) -> None:
    data = table([[1, value], [2, 2], [3, 3], [4, NAN]])
    made = fit_table("t", data, np.arange(4))
    assert np.isfinite([*made.mean, *made.scale, *made.median]).all()
    arrays = made.arrays(data, np.arange(4))["numeric"]
    assert np.isfinite(arrays).all()
    assert np.abs(arrays).max() <= CLIP


def test_wide_tables_are_prepared_in_linear_time() -> None:
    import time

    random, wide = np.random.default_rng(0), 20_000
    values = random.normal(size=(8, wide)).astype(np.float32)
    values[0, :] = np.nan
    data = TableData(fdx.Genomics(), values, tuple(f"g{j}" for j in range(wide)), {})
    start = time.process_time()
    made = fit_table("t", data, np.arange(8))
    made.arrays(data, np.arange(8))
    assert len(made.inputs) == 2 * wide
    assert time.process_time() - start < 3


class Pixels(ImageData):
    """Images in memory."""

    def __init__(self, pixels: np.ndarray) -> None:
        super().__init__(fdx.Image(path="image", size=4), [Path(str(i)) for i in range(len(pixels))])
        self.held = pixels
        self.read: list[int] = []

    @property
    def channels(self) -> int:
        return int(self.held.shape[1])

    @property
    def white(self) -> float:
        return 255.0

    def pixels(self) -> Any:
        return self.held


def test_channels_are_normalised_by_constants_of_the_training_images() -> None:
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (6, 3, 4, 4)).astype(np.uint8)
    pixels[5] = 255
    made = fit_image(Pixels(pixels), np.arange(5))
    assert (made.channels, made.size, made.masked) == (3, (4, 4), False)
    np.testing.assert_allclose(made.mean, pixels[:5].mean((0, 2, 3)), rtol=1e-9)
    np.testing.assert_allclose(made.scale, pixels[:5].std((0, 2, 3)), rtol=1e-9)


def test_images_without_contrast_are_not_divided_by_zero() -> None:
    made = fit_image(Pixels(np.full((3, 1, 4, 4), 7, np.uint8)), np.arange(3))
    assert made.scale == (1.0,)


def test_no_more_than_a_sample_of_the_images_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fusiondx.data.preprocess.SAMPLE", 3)
    pixels = np.arange(9, dtype=np.uint8).repeat(16).reshape(9, 1, 4, 4)
    assert fit_image(Pixels(pixels), np.arange(9)).mean == (4.0,)  # of images 0, 4 and 8


def test_preparations_survive_json(example: TablePreparation) -> None:
    adapter = TypeAdapter(Preparation)
    image = ImagePreparation(channels=1, size=(4, 4), mean=(1 / 3,), scale=(0.1,), masked=True)
    for made in (example, image):
        assert adapter.validate_json(adapter.dump_json(made)) == made


def test_fit_chooses_by_the_kind_of_data() -> None:
    assert isinstance(fit("t", table([[1], [2]]), np.arange(2)), TablePreparation)
    assert isinstance(fit("p", Pixels(np.zeros((2, 1, 4, 4), np.uint8)), np.arange(2)), ImagePreparation)
