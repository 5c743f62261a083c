"""Do radiomics features obey their laws?"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from fusiondx.encoders.radiomics.families import FAMILIES, features

Array = np.ndarray[Any, Any]


@pytest.fixture(autouse=True)
def silence() -> Iterator[None]:
    """Whatever is undefined is NaN, never a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def image(channels: int = 3, size: tuple[int, ...] = (40, 33), seed: int = 0) -> tuple[Array, Array]:
    """Smooth noise in 0..255 and a ragged mask in the middle."""
    random = np.random.default_rng(seed)
    noise = np.stack([ndimage.gaussian_filter(random.normal(size=size), 1.5) for _ in range(channels)])
    pixels = 255 * (noise - noise.min()) / np.ptp(noise)
    middle = np.zeros(size)
    middle[tuple(slice(n // 4, 3 * n // 4) for n in size)] = 1
    return pixels.astype(np.float32), (ndimage.gaussian_filter(middle + 0.2 * random.normal(size=size), 1) > 0.5)[None]


def same(one: dict[str, float], other: dict[str, float], rtol: float = 2e-3, atol: float = 2e-3) -> list[str]:
    """Names of the features that differ."""
    assert list(one) == list(other)
    return [n for n in one if not np.isclose(one[n], other[n], rtol=rtol, atol=atol, equal_nan=True)]


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("size", [(40, 33), (14, 17, 15)])
def test_turning_and_mirroring_change_nothing(size: tuple[int, ...], masked: bool) -> None:
    pixels, mask = image(3, size)
    axes = (len(size) - 1, len(size))
    before = features(pixels, mask if masked else None)
    for turned, inside in (
        (np.rot90(pixels, 1, axes), np.rot90(mask, 1, axes)),
        (np.flip(pixels, 1), np.flip(mask, 1)),
        (pixels.swapaxes(1, len(size)), mask.swapaxes(1, len(size))),
    ):
        assert same(before, features(turned, inside if masked else None)) == []


@pytest.mark.parametrize("masked", [True, False])
def test_brightness_moves_the_mean_and_what_stands_on_it_alone(masked: bool) -> None:
    pixels, mask = image(2)
    inside = mask if masked else None
    moved = same(features(pixels, inside), features(pixels + 100, inside))
    standing = ("mean", "energy", "p5", "p25", "p50", "p75", "p95")
    assert sorted(moved) == sorted(f"channel{c}.{name}" for c in (0, 1) for name in standing)
    before, after = features(pixels, inside), features(pixels + 100, inside)
    assert after["channel0.mean"] - before["channel0.mean"] == pytest.approx(100, rel=1e-4)


def test_between_its_own_extremes_texture_ignores_contrast() -> None:
    pixels, mask = image(1)
    families = ("texture", "patterns", "symmetry", "shape")
    assert same(features(pixels, mask, families), features(4 * pixels, mask, families)) == []
    limited = features(pixels, mask, ("texture",), limits=(0, 1024))
    assert same(limited, features(4 * pixels, mask, ("texture",), limits=(0, 1024)))


def test_channels_in_another_order_give_the_same_features_under_other_names() -> None:
    pixels, mask = image(3)
    families = tuple(f for f in FAMILIES if f != "colour")
    before, after = features(pixels, mask, families), features(pixels[[2, 0, 1]], mask, families)
    origin = {"channel0": "channel2", "channel1": "channel0", "channel2": "channel1"}
    renamed = {name: ".".join([origin.get(head := name.split(".")[0], head), *name.split(".")[1:]]) for name in after}
    assert same({name: before[renamed[name]] for name in after}, after, rtol=1e-6, atol=1e-6) == []


def test_what_lies_outside_counts_only_for_contrast_edges_and_patterns() -> None:
    pixels, mask = image(3)
    other = np.where(mask, pixels, 17)
    families = ("first_order", "shape", "texture", "colour", "symmetry")
    assert same(features(pixels, mask, families), features(other, mask, families), rtol=1e-9, atol=0) == []
    assert same(features(pixels, mask, ("contrast",)), features(other, mask, ("contrast",)))


def test_where_the_tumour_lies_does_not_matter() -> None:
    pixels, mask = image(1)
    pixels, mask = (np.pad(a, ((0, 0), (20, 20), (20, 20))) for a in (pixels, mask))
    moved, inside = np.roll(pixels, (3, -2), (1, 2)), np.roll(mask, (3, -2), (1, 2))
    assert same(features(pixels, mask), features(moved, inside), rtol=1e-6, atol=1e-6) == []


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (6, 6), (5, 4, 3), (1, 1, 1)])
@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_names_never_depend_on_values(size: tuple[int, ...], channels: int) -> None:
    random = np.random.default_rng(0)
    shape, one = (channels, *size), np.zeros((1, *size), bool)
    one.flat[0] = True
    for masks in ([None], [one, ~one, one | True, one & False]):
        named = set()
        for mask in masks:
            for pixels in (np.zeros(shape), np.full(shape, 0.1), random.normal(size=shape), np.full(shape, np.nan)):
                found = features(pixels.astype(np.float32), mask)
                assert not np.isinf(list(found.values())).any()
                named.add(tuple(found))
        assert len(named) == 1


def test_an_empty_mask_defines_nothing_and_an_ordinary_one_everything() -> None:
    pixels, mask = image(3)
    assert np.isnan(list(features(pixels, mask & False).values())).all()
    assert np.isfinite(list(features(pixels, mask).values())).all()
    assert np.isfinite(list(features(pixels).values())).all()


def test_a_constant_image_has_a_mean_and_no_skewness() -> None:
    found = features(np.full((3, 12, 12), 0.1, np.float32))
    assert found["channel0.mean"] == pytest.approx(0.1)
    assert found["channel0.sd"] == found["channel0.entropy"] == 0
    for name in ("skewness", "correlation.d1", "information1.d1", "asymmetry_most", "middle_border_effect"):
        assert np.isnan(found[f"channel0.{name}"])


def test_pixels_that_are_no_numbers_do_not_belong() -> None:
    pixels, mask = image(1)
    holed = pixels.copy()
    holed[0, :5] = np.nan
    kept = np.ones_like(mask)
    kept[0, :5] = False
    families = ("first_order", "texture")
    assert same(features(holed, None, families), features(pixels, kept, families)) == []


def test_a_colour_image_has_fewer_than_400_features() -> None:
    pixels, mask = image(3)
    assert 200 < len(features(pixels)) < 400
    assert 200 < len(features(pixels, mask)) < 400
