"""Laws of image decoding, over any picture."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import PIL.Image
from hypothesis import given, settings
from hypothesis import strategies as st

from fusiondx.data.images import Image

pictures = st.tuples(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**16))
sizes = st.tuples(st.integers(1, 30), st.integers(1, 30))


def picture(height: int, width: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def decoded(values: np.ndarray, spec: Image, mask: np.ndarray | None = None) -> np.ndarray:
    with TemporaryDirectory() as folder:
        path, drawn = Path(folder) / "a.png", Path(folder) / "mask.png"
        PIL.Image.fromarray(values).save(path)
        if mask is None:
            return spec.decode(path, None)
        PIL.Image.fromarray(mask).save(drawn)
        return spec.decode(path, drawn)


@settings(max_examples=40, deadline=None)
@given(pictures, sizes)
def test_mirroring_commutes_with_decoding(made: tuple[int, int, int], size: tuple[int, int]) -> None:
    values, spec = picture(*made), Image(path="image", size=size)
    mirrored = decoded(np.ascontiguousarray(values[:, ::-1]), spec)
    assert np.abs(mirrored[..., ::-1].astype(int) - decoded(values, spec)).max() <= 1


@settings(max_examples=40, deadline=None)
@given(pictures, sizes)
def test_resizing_stays_within_the_range_of_the_picture(made: tuple[int, int, int], size: tuple[int, int]) -> None:
    values = picture(*made)
    got = decoded(values, Image(path="image", size=size))
    assert got.shape == (3, *size)
    assert got.min() >= values.min()
    assert got.max() <= values.max()


@settings(max_examples=40, deadline=None)
@given(pictures, sizes, st.integers(0, 255))
def test_an_even_picture_stays_even(made: tuple[int, int, int], size: tuple[int, int], level: int) -> None:
    values = np.full_like(picture(*made), level)
    assert (decoded(values, Image(path="image", size=size, crop=0.7)) == level).all()


@settings(max_examples=40, deadline=None)
@given(pictures, sizes)
def test_cropping_to_a_mask_of_everything_changes_nothing(made: tuple[int, int, int], size: tuple[int, int]) -> None:
    values, spec = picture(*made), Image(path="image", size=size, mask_use="crop")
    everything = np.full(values.shape[:2], 255, np.uint8)
    np.testing.assert_array_equal(decoded(values, spec, everything), decoded(values, spec))
