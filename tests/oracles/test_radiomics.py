"""Are radiomics features the right numbers?"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
import scipy.stats
from skimage.feature import graycomatrix, graycoprops
from skimage.filters import threshold_otsu

from fusiondx.encoders.radiomics.cooccurrence import directions, matrix, measures, neighbours
from fusiondx.encoders.radiomics.families import features
from fusiondx.encoders.radiomics.lesion import threshold
from fusiondx.encoders.radiomics.patterns import PATTERN
from fusiondx.encoders.radiomics.region import region

HARALICK = np.array([[0, 0, 1, 1], [0, 0, 1, 1], [0, 2, 2, 2], [2, 2, 3, 3]])
"""The example of the 1973 paper."""


def ball(radius: float, axes: int, squeeze: float = 1.0) -> np.ndarray[Any, Any]:
    """A mask ``(1, *size)``; its first axis is `squeeze` times as long as the others."""
    grid = np.indices((2 * int(radius) + 7,) * axes) - (int(radius) + 3)
    grid = grid / np.array([squeeze, *(1.0,) * (axes - 1)]).reshape(-1, *(1,) * axes)
    return ((grid**2).sum(axis=0) <= radius**2)[None]


def of(mask: np.ndarray[Any, Any], *families: Any) -> dict[str, float]:
    return features(np.zeros(mask.shape, np.float32), mask, families=families)


def test_the_co_occurrence_matrix_of_the_paper() -> None:
    pair = neighbours(np.ones((4, 4), bool), (0, 1), 1)
    expected = np.array([[4, 2, 1, 0], [2, 4, 0, 0], [1, 0, 6, 1], [0, 0, 1, 2]]) / 24
    np.testing.assert_allclose(matrix(HARALICK, *pair, 4), expected)


def test_an_image_has_4_directions_and_a_volume_13() -> None:
    assert sorted(directions(2)) == [(0, 1), (1, -1), (1, 0), (1, 1)]
    found = directions(3)
    assert len(found) == len({max(step, tuple(-s for s in step)) for step in found}) == 13


def test_texture_agrees_with_scikit_image() -> None:
    levels = np.random.default_rng(0).integers(0, 8, (24, 31))
    levels[:, 10:] //= 2
    values = features(levels[None].astype(np.float32), families=("texture",), bins=8, limits=(0, 8), distances=(1,))
    theirs = graycomatrix(
        levels.astype(np.uint8), [1], [0, np.pi / 4, np.pi / 2, 3 * np.pi / 4], 8, symmetric=True, normed=True
    )
    for name, prop in [("asm", "ASM"), *((p, p) for p in ("contrast", "dissimilarity", "homogeneity", "correlation"))]:
        each = graycoprops(theirs, prop)[0]
        assert values[f"channel0.{name}.d1"] == pytest.approx(each.mean())
        assert values[f"channel0.{name}.range"] == pytest.approx(np.ptp(each))
    entropy = np.mean([scipy.stats.entropy(theirs[:, :, 0, a].ravel(), base=2) for a in range(4)])
    assert values["channel0.entropy.d1"] == pytest.approx(entropy)


def test_pairs_in_a_masked_volume_by_brute_force() -> None:
    random = np.random.default_rng(1)
    levels, inside = random.integers(0, 4, (5, 6, 7)), random.random((5, 6, 7)) < 0.6
    for step, distance in product(directions(3), (1, 2)):
        expected = np.zeros((4, 4))
        for here in np.argwhere(inside):
            there = here + distance * np.array(step)
            if (there >= 0).all() and (there < inside.shape).all() and inside[tuple(there)]:
                expected[levels[tuple(here)], levels[tuple(there)]] += 1
                expected[levels[tuple(there)], levels[tuple(here)]] += 1
        found = matrix(levels, *neighbours(inside, step, distance), 4)
        np.testing.assert_allclose(found, expected / expected.sum())


def test_information_measures_where_neighbours_tell_all_or_nothing() -> None:
    all_, nothing = np.eye(4) / 4, np.full((4, 4), 1 / 16)
    found = measures(np.stack([all_, nothing]))
    np.testing.assert_allclose(found["information1"], [-1, 0], atol=1e-12)
    np.testing.assert_allclose(found["information2"], [np.sqrt(1 - 2**-4), 0], atol=1e-7)
    np.testing.assert_allclose(found["correlation"], [1, 0], atol=1e-12)


def test_cluster_measures_by_hand() -> None:
    found = measures(np.array([[[0.75, 0], [0, 0.25]]]))  # both levels 0, or both 1
    p = 0.25
    variance = p * (1 - p)
    third = p * (1 - p) ** 3 - (1 - p) * p**3
    fourth = p * (1 - p) ** 4 + (1 - p) * p**4
    assert found["cluster_shade"][0] == pytest.approx(8 * third / variance**1.5)
    assert found["cluster_prominence"][0] == pytest.approx(16 * fourth / variance**2)


def test_first_order_agrees_with_scipy() -> None:
    values = np.random.default_rng(0).gamma(2, 30, (1, 40, 50)).astype(np.float32)
    found = features(values, families=("first_order",), bins=16)
    flat = values.ravel().astype(np.float64)
    assert found["channel0.mean"] == pytest.approx(flat.mean())
    assert found["channel0.sd"] == pytest.approx(flat.std())
    assert found["channel0.skewness"] == pytest.approx(scipy.stats.skew(flat))
    assert found["channel0.kurtosis"] == pytest.approx(scipy.stats.kurtosis(flat))
    assert found["channel0.energy"] == pytest.approx(np.mean(flat**2))
    assert found["channel0.p95"] == pytest.approx(np.percentile(flat, 95))
    assert found["channel0.iqr"] == pytest.approx(scipy.stats.iqr(flat))
    counts, _ = np.histogram(flat, 16)
    assert found["channel0.entropy"] == pytest.approx(scipy.stats.entropy(counts, base=2))


def test_a_ball() -> None:
    radius = 15
    found = of(ball(radius, 3), "shape")
    assert found["size"] == pytest.approx(4 / 3 * np.pi * radius**3, rel=0.01)
    assert found["surface"] == pytest.approx(4 * np.pi * radius**2, rel=0.1)  # voxels are corners: always above
    assert 0.9 < found["sphericity"] < 1
    assert found["axis_least"] == pytest.approx(2 * radius, rel=0.02)
    assert found["elongation"] == found["flatness"] == pytest.approx(1)
    assert found["solidity"] > 0.85


def test_a_disc_and_an_ellipse() -> None:
    disc, ellipse = of(ball(30, 2), "shape"), of(ball(30, 2, squeeze=0.5), "shape")
    assert disc["size"] == pytest.approx(np.pi * 900, rel=0.01)
    assert disc["surface"] == pytest.approx(2 * np.pi * 30, rel=0.02)
    assert disc["sphericity"] == pytest.approx(1, rel=0.02)
    assert disc["elongation"] == pytest.approx(1)
    assert ellipse["axis_major"] == pytest.approx(60, rel=0.02)
    assert ellipse["axis_minor"] == pytest.approx(30, rel=0.03)
    assert ellipse["sphericity"] == pytest.approx(0.917, rel=0.02)


@pytest.mark.parametrize("sides", [(4, 9), (3, 4, 9)])
def test_a_box(sides: tuple[int, ...]) -> None:
    found = of(np.pad(np.ones(sides, bool), 2)[None], "shape")
    assert found["size"] == np.prod(sides)
    assert found["extent"] == found["solidity"] == pytest.approx(1)
    assert found["depth"] == (min(sides) + 1) // 2
    assert found["axis_major"] == pytest.approx(9 * (4 if len(sides) == 2 else 2 * 5**0.5) / 12**0.5)
    assert found["elongation"] == pytest.approx(4 / 9)


def test_an_l_is_not_solid() -> None:
    inside = np.zeros((1, 8, 8), bool)
    inside[0, 1:7, 1:3] = inside[0, 5:7, 1:7] = True
    found = of(inside, "shape")
    assert found["size"] == 20
    assert found["extent"] == pytest.approx(20 / 36)
    assert found["solidity"] == pytest.approx(20 / 28)  # the hull cuts the corner of 4 by 4


def test_uniform_patterns() -> None:
    assert np.bincount(PATTERN).tolist() == [1, *(8,) * 7, 1, 256 - 58]
    assert PATTERN[0b00000101] == 9
    assert PATTERN[0b10000011] == 3  # one arc across the end of the code


def test_patterns_by_hand() -> None:
    pixels = np.zeros((1, 5, 5), np.float32)
    pixels[0, 2, 2] = 1
    found = features(pixels, families=("patterns",), distances=(1,))
    assert found["channel0.bright0.r1"] == pytest.approx(1 / 25)  # the peak
    assert found["channel0.bright8.r1"] == pytest.approx(24 / 25)  # nobody else has a darker neighbour


def test_edges_of_a_ramp() -> None:
    ramp = np.broadcast_to(3 * np.arange(40, dtype=np.float32), (1, 40, 40)).copy()
    middle = np.zeros((1, 40, 40), bool)
    middle[0, 15:25, 15:25] = True
    found = features(ramp, middle, families=("edges",), scales=(2.0,))
    assert found["channel0.gradient_mean.s2"] == pytest.approx(3, rel=1e-4)
    assert found["channel0.gradient_sd.s2"] == pytest.approx(0, abs=1e-3)
    assert found["channel0.laplacian_sd.s2"] == pytest.approx(0, abs=1e-3)


def test_contrast_with_the_ring_by_hand() -> None:
    mask = np.zeros((1, 30, 30), bool)
    mask[0, 10:20, 10:20] = True
    pixels = np.full((1, 30, 30), 50, np.float32)
    pixels[0, 8:22, 8:22] = 4  # the ring of 2
    pixels[mask] = 10
    found = features(pixels, mask, families=("contrast",), ring=2)
    assert found["channel0.inside_ring_mean"] == pytest.approx(6)
    assert np.isnan(found["channel0.inside_ring_effect"])  # neither side varies
    pixels[0, 10:20:2, 10:20] = 12
    pixels[0, 8:22, 8:22][~mask[0, 8:22, 8:22]] = np.resize([3, 5], 96)
    found = features(pixels, mask, families=("contrast",), ring=2)
    assert found["channel0.inside_ring_mean"] == pytest.approx(7, abs=0.1)
    assert found["channel0.inside_ring_effect"] == pytest.approx(7, abs=0.1)
    assert found["channel0.inside_ring_sd_ratio"] == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize(("rgb", "hue"), [((200, 0, 0), 0), ((100, 200, 0), 2), ((0, 200, 200), 4), ((100, 0, 200), 6)])
def test_pure_colours(rgb: tuple[int, int, int], hue: int) -> None:
    pixels = np.ones((3, 6, 6), np.float32) * np.array(rgb, np.float32).reshape(3, 1, 1)
    found = features(pixels, families=("colour",))
    assert found[f"hue{hue}"] == pytest.approx(1)
    assert found["hue_concentration"] == pytest.approx(1)
    assert found["saturation_mean"] == pytest.approx(1)
    assert found["red_green_mean"] == pytest.approx(rgb[0] - rgb[1])
    assert found["yellow_blue_mean"] == pytest.approx((rgb[0] + rgb[1]) / 2 - rgb[2])


def test_correlation_between_channels() -> None:
    random = np.random.default_rng(0)
    pixels = random.normal(size=(2, 20, 20)).astype(np.float32)
    pixels[1] += pixels[0]
    found = features(pixels, families=("colour",))
    assert found["channel0.channel1.correlation"] == pytest.approx(np.corrcoef(*pixels.reshape(2, -1))[0, 1])


def test_symmetry_by_hand() -> None:
    pixels = np.zeros((1, 8, 8), np.float32)
    pixels[0, :, :4] = 2  # left and right differ by 2 everywhere, and 2 is two standard deviations
    found = features(pixels, families=("symmetry",))
    assert (found["channel0.asymmetry_least"], found["channel0.asymmetry_most"]) == pytest.approx((0, 2))


def test_parting_agrees_with_scikit_image() -> None:
    random = np.random.default_rng(0)
    values = np.concatenate([random.normal(50, 10, 900), random.normal(120, 15, 400)])
    assert threshold(values) == pytest.approx(threshold_otsu(values, nbins=256), abs=np.ptp(values) / 256)


def test_a_dark_spot_is_found() -> None:
    random = np.random.default_rng(0)
    spot = np.pad(ball(18, 2), ((0, 0), (12, 12), (12, 12)))
    pixels = (random.normal(180, 5, (3, *spot.shape[1:])) - 100 * spot).astype(np.float32)
    found = features(pixels, families=("lesion",))
    framed = np.pi / 4 * spot[0].size
    assert found["lesion.share"] == pytest.approx(spot.sum() / framed, rel=0.05)
    assert found["lesion.sphericity"] > 0.95
    assert found["channel1.lesion_skin_mean"] == pytest.approx(-100, rel=0.05)


def test_levels_are_of_equal_width() -> None:
    pixels = np.array([[[0, 24.9, 25, 50, 99.9, 100, -5, 300]]], np.float32)
    found = region(pixels, None, 4, (0, 100))
    assert found is not None
    assert found.levels.tolist() == [[[0, 0, 1, 2, 3, 3, 0, 3]]]
