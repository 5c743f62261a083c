"""What a file decodes to, held against arrays worked out without Pillow's conversions."""

from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import tifffile

from fusiondx.data.images import Image, ImageData

HEIGHT, WIDTH = 12, 10
NATIVE = Image(path="image", size=(HEIGHT, WIDTH))  # the size of the files: nothing is resampled


def ramp(low: float, high: float, bands: int = 1) -> np.ndarray:
    """Different in every pixel and band; shape (height, width, bands)."""
    return np.linspace(low, high, HEIGHT * WIDTH * bands).reshape(HEIGHT, WIDTH, bands)


def decoded(path: Path, cache: Path, spec: Image = NATIVE, mask: Path | None = None) -> np.ndarray:
    return np.array(ImageData(spec, [path], [mask] if mask else None, cache=cache / "cache").pixels()[0])


GREY8 = ramp(0, 255)[..., 0].astype(np.uint8)
RGB8 = ramp(0, 255, 3).astype(np.uint8)
RGBA8 = ramp(0, 255, 4).astype(np.uint8)
CMYK8 = ramp(0, 255, 4).astype(np.uint8)
GREY16 = ramp(0, 65535)[..., 0].astype(np.uint16)
FLOAT = ramp(-3, 1000)[..., 0].astype(np.float32)


def palette() -> PIL.Image.Image:
    image = PIL.Image.fromarray((GREY8 // 64).astype(np.uint8), "P")
    image.putpalette([10, 20, 30, 200, 0, 7, 0, 255, 3, 90, 91, 92])
    return image


def grey_alpha() -> PIL.Image.Image:
    alpha = PIL.Image.fromarray(GREY8[::-1].copy())
    return PIL.Image.merge("LA", (PIL.Image.fromarray(GREY8), alpha))


COLOURS = np.array([[10, 20, 30], [200, 0, 7], [0, 255, 3], [90, 91, 92]])
CMYK_TO_RGB = (255 - CMYK8[..., :3].astype(float)) * (255 - CMYK8[..., 3:].astype(float)) / 255
MODES = {
    "1": (PIL.Image.fromarray(GREY8 > 99), np.where(GREY8 > 99, 255, 0), ("png", "tiff")),
    "L": (PIL.Image.fromarray(GREY8), GREY8, ("png", "tiff", "jpg")),
    "LA": (grey_alpha(), GREY8, ("png", "tiff")),
    "P": (palette(), COLOURS[GREY8 // 64], ("png", "tiff")),
    "RGB": (PIL.Image.fromarray(RGB8), RGB8, ("png", "tiff", "jpg")),
    "RGBA": (PIL.Image.fromarray(RGBA8), RGBA8[..., :3], ("png", "tiff")),
    "CMYK": (PIL.Image.fromarray(CMYK8, "CMYK"), CMYK_TO_RGB, ("tiff", "jpg")),
    "I;16": (PIL.Image.fromarray(GREY16), GREY16, ("png", "tiff")),
    "F": (PIL.Image.fromarray(FLOAT), FLOAT, ("tiff",)),
}


@pytest.mark.parametrize(("mode", "kind"), [(mode, kind) for mode, (*_, kinds) in MODES.items() for kind in kinds])
def test_every_mode_decodes_to_its_values(mode: str, kind: str, tmp_path: Path) -> None:
    image, expected, _ = MODES[mode]
    path = tmp_path / f"image.{kind}"
    image.save(path, **({"quality": 100, "subsampling": 0} if kind == "jpg" else {}))
    got = decoded(path, tmp_path)
    expected = expected[None] if expected.ndim == 2 else np.moveaxis(expected, -1, 0)
    assert got.shape == expected.shape
    # JPEG is lossy, and more so for CMYK, where two rounded numbers are multiplied
    tolerance = {("RGB", "jpg"): 4, ("CMYK", "jpg"): 6}.get((mode, kind), 1)
    assert np.abs(got.astype(float) - expected).max() <= tolerance
    assert got.dtype == {"I;16": np.uint16, "F": np.float32}.get(mode, np.uint8)


@pytest.mark.parametrize("dtype", [np.int16, np.int32])
def test_signed_tiff_keeps_negative_values(dtype: type, tmp_path: Path) -> None:
    values = ramp(-1000, 3000)[..., 0].astype(dtype)
    tifffile.imwrite(tmp_path / "a.tiff", values)
    got = decoded(tmp_path / "a.tiff", tmp_path)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got[0], values)


@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_sixteen_bit_is_not_saturated_and_not_byte_swapped(byteorder: str, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tiff", GREY16, byteorder=byteorder)
    got = decoded(tmp_path / "a.tiff", tmp_path)
    np.testing.assert_array_equal(got[0], GREY16)
    assert len(np.unique(got)) == GREY16.size


def test_sixteen_bit_keeps_its_levels_through_resizing(tmp_path: Path) -> None:
    """Blocks of one level each: an output pixel lies within a block, whose level it keeps."""
    levels = GREY16[:3, :3]
    PIL.Image.fromarray(np.kron(levels, np.ones((8, 8), np.uint16))).save(tmp_path / "a.png")
    got = decoded(tmp_path / "a.png", tmp_path, NATIVE.replace(size=12))  # 2:1, four to a block
    assert got.dtype == np.uint16
    np.testing.assert_array_equal(got[0, 1::4, 1::4], levels)


def test_a_window_maps_to_0_255_and_clips(tmp_path: Path) -> None:
    PIL.Image.fromarray(GREY16).save(tmp_path / "a.png")
    got = decoded(tmp_path / "a.png", tmp_path, NATIVE.replace(intensity=(1000, 41000)))
    expected = (GREY16.astype(float).clip(1000, 41000) - 1000) / 40000 * 255
    assert got.dtype == np.uint8
    assert np.abs(got[0] - expected).max() <= 0.51


def test_a_window_on_colour_treats_each_channel_alike(tmp_path: Path) -> None:
    PIL.Image.fromarray(RGB8).save(tmp_path / "a.png")
    got = decoded(tmp_path / "a.png", tmp_path, NATIVE.replace(intensity=(50, 150)))
    expected = (np.moveaxis(RGB8, -1, 0).astype(float).clip(50, 150) - 50) / 100 * 255
    assert np.abs(got - expected).max() <= 0.51


def test_percentiles_take_gain_and_offset_out_of_every_channel(tmp_path: Path) -> None:
    """What is not black is mapped from its own 1st and 99th percentile to 0..255; black stays black."""
    grey = np.random.default_rng(0).integers(1000, 9000, (40, 30)).astype(np.uint16)
    grey[:10] = 0
    PIL.Image.fromarray(grey).save(tmp_path / "a.png")
    PIL.Image.fromarray(np.where(grey > 0, grey * 3 + 500, 0).astype(np.uint16)).save(tmp_path / "b.png")
    spec = NATIVE.replace(size=(40, 30), intensity="percentiles")
    one, other = (decoded(tmp_path / name, tmp_path, spec) for name in ("a.png", "b.png"))
    low, high = np.percentile(grey[grey > 0], (1, 99))
    assert one.dtype == np.uint8
    assert np.abs(one[0] - (grey.clip(low, high) - low) / (high - low) * 255).max() <= 0.51
    assert np.abs(one.astype(int) - other).max() <= 1
    PIL.Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "black.png")
    assert not decoded(tmp_path / "black.png", tmp_path, spec).any()


def test_brightness_survives(tmp_path: Path) -> None:
    """An image three times as bright stays three times as bright, whatever the depth."""
    for name, dark in (("8", (RGB8 // 4)), ("16", GREY16 // 4)):
        PIL.Image.fromarray(dark).save(tmp_path / f"dark{name}.png")
        PIL.Image.fromarray(dark * 3).save(tmp_path / f"bright{name}.png")
        paths = [tmp_path / f"dark{name}.png", tmp_path / f"bright{name}.png"]
        dim, bright = ImageData(NATIVE.replace(size=6), paths, cache=tmp_path / "cache").pixels().astype(float)
        assert bright.mean() / dim.mean() == pytest.approx(3, rel=0.02)


def test_grey_is_luminance(tmp_path: Path) -> None:
    PIL.Image.fromarray(RGB8).save(tmp_path / "a.png")
    got = decoded(tmp_path / "a.png", tmp_path, NATIVE.replace(grey=True))
    assert got.shape == (1, HEIGHT, WIDTH)
    assert np.abs(got[0] - RGB8 @ np.array([0.299, 0.587, 0.114])).max() <= 1


TURNS = {
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: a.T,
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).T,
    8: np.rot90,
}


@pytest.mark.parametrize("kind", ["png", "jpg", "tiff"])
@pytest.mark.parametrize("turn", TURNS)
def test_exif_orientation_is_honoured(turn: int, kind: str, tmp_path: Path) -> None:
    image = PIL.Image.fromarray(GREY8)
    exif = image.getexif()
    exif[0x0112] = turn
    image.save(tmp_path / f"a.{kind}", exif=exif, **({"quality": 100} if kind == "jpg" else {}))
    expected = TURNS[turn](GREY8).astype(int)
    got = decoded(tmp_path / f"a.{kind}", tmp_path, NATIVE.replace(size=expected.shape))
    assert np.abs(got[0] - expected).max() <= 1


def test_a_mask_is_laid_over_an_image_turned_by_exif(tmp_path: Path) -> None:
    image = PIL.Image.fromarray(GREY8)
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "a.jpg", exif=exif)
    inside = np.zeros((WIDTH, HEIGHT), np.uint8)  # upright, as a viewer would have drawn it
    inside[2:5, 3:8] = 1
    PIL.Image.fromarray(inside).save(tmp_path / "mask.png")
    data = ImageData(NATIVE.replace(size=(WIDTH, HEIGHT)), [tmp_path / "a.jpg"], [tmp_path / "mask.png"], tmp_path)
    np.testing.assert_array_equal(data.mask_pixels()[0, 0], inside * 255)


def test_resizing_averages_rather_than_skips(tmp_path: Path) -> None:
    """Stripes finer than an output pixel become their mean, not a moiré."""
    stripes = np.tile(np.array([0, 255], np.uint8), (64, 32))
    PIL.Image.fromarray(stripes).save(tmp_path / "a.png")
    got = decoded(tmp_path / "a.png", tmp_path, NATIVE.replace(size=8))
    assert np.abs(got.astype(float) - 127.5).max() <= 12


def test_crop_keeps_the_centre(tmp_path: Path) -> None:
    PIL.Image.fromarray(GREY8).save(tmp_path / "a.png")
    got = decoded(tmp_path / "a.png", tmp_path, NATIVE.replace(crop=0.5, size=(6, 5)))
    np.testing.assert_array_equal(got[0], GREY8[3:9, 2:7])


@pytest.mark.parametrize(
    ("margin", "rows", "columns"), [(0, slice(4, 8), slice(2, 4)), (0.5, slice(2, 10), slice(1, 5))]
)
def test_mask_crop_cuts_to_the_bounding_box(margin: float, rows: slice, columns: slice, tmp_path: Path) -> None:
    PIL.Image.fromarray(GREY8).save(tmp_path / "a.png")
    inside = np.zeros((HEIGHT, WIDTH), np.uint8)
    inside[4:8, 2:4] = 255
    PIL.Image.fromarray(inside).save(tmp_path / "mask.png")
    expected = GREY8[rows, columns]
    spec = NATIVE.replace(mask_use="crop", margin=margin, size=expected.shape)
    np.testing.assert_array_equal(decoded(tmp_path / "a.png", tmp_path, spec, tmp_path / "mask.png")[0], expected)


def test_mask_crop_keeps_an_image_with_an_empty_mask_whole(tmp_path: Path) -> None:
    PIL.Image.fromarray(GREY8).save(tmp_path / "a.png")
    PIL.Image.fromarray(np.zeros_like(GREY8)).save(tmp_path / "mask.png")
    spec = NATIVE.replace(mask_use="crop")
    np.testing.assert_array_equal(decoded(tmp_path / "a.png", tmp_path, spec, tmp_path / "mask.png")[0], GREY8)


@pytest.mark.parametrize("side", [16, 33, 64, 150])
def test_a_resized_mask_stays_on_its_tumour(side: int, tmp_path: Path) -> None:
    """A bright square and its mask: after resizing, the mask is where the image is bright."""
    picture = np.zeros((97, 61), np.uint8)
    picture[30:71, 11:40] = 255
    PIL.Image.fromarray(picture).save(tmp_path / "a.png")
    PIL.Image.fromarray(picture // 255).save(tmp_path / "mask.png")
    data = ImageData(Image(path="image", size=side), [tmp_path / "a.png"], [tmp_path / "mask.png"], tmp_path / "cache")
    mask = data.mask_pixels()
    assert set(np.unique(mask)) == {0, 255}
    np.testing.assert_array_equal(mask == 255, data.pixels() >= 128)
