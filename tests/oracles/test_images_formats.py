"""Arrays, TIFFs of several pages, 16-bit colour and whole slides, held against the arrays they were made from."""

from __future__ import annotations

import io
import struct
import sys
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import PIL.Image
import pytest
import tifffile

import fusiondx as fdx
from fusiondx.data.images import ImageData
from fusiondx.data.volumes import Volume
from fusiondx.errors import DataError, MissingPackageError

HEIGHT, WIDTH, DEPTH = 12, 10, 5
NATIVE = fdx.Image(path="image", size=(HEIGHT, WIDTH))
STACK = Volume(path="ct", size=(DEPTH, HEIGHT, WIDTH))


def ramp(low: float, high: float, *shape: int) -> np.ndarray:
    return np.linspace(low, high, int(np.prod(shape))).reshape(shape)


def decoded(path: Path, spec: Any = NATIVE) -> np.ndarray:
    return np.array(ImageData(spec, [path], cache=path.parent / "cache").pixels()[0])


def reason(path: Path, spec: Any = NATIVE) -> str:
    [(_, why)] = ImageData(spec, [path], cache=path.parent / "cache").check()
    return why


def saved(path: Path, values: Any) -> Path:
    (np.save if path.suffix == ".npy" else np.savez_compressed)(path, values)
    return path


@pytest.mark.parametrize("ending", [".npy", ".npz"])
class TestArrays:
    @pytest.mark.parametrize(
        ("dtype", "kept"),
        [
            ("u1", "u1"),
            ("u2", "u2"),
            (">u2", "u2"),
            ("i2", "f4"),
            ("i4", "f4"),
            ("f2", "f4"),
            ("f4", "f4"),
            ("f8", "f4"),
        ],
    )
    @pytest.mark.parametrize("channels", [(), (1,), (3,), (5,)])
    def test_pictures(self, ending: str, dtype: str, kept: str, channels: tuple[int, ...], tmp_path: Path) -> None:
        values = ramp(-100 if dtype[-2] in "if" else 0, 250, HEIGHT, WIDTH, *channels).astype(dtype)
        got = decoded(saved(tmp_path / f"a{ending}", values))
        assert got.dtype == kept
        np.testing.assert_array_equal(got, np.atleast_3d(values).transpose(2, 0, 1).astype(kept))

    def test_masks_of_yes_and_no(self, ending: str, tmp_path: Path) -> None:
        values = ramp(0, 1, HEIGHT, WIDTH) > 0.3
        np.testing.assert_array_equal(decoded(saved(tmp_path / f"a{ending}", values))[0], values * 255)
        PIL.Image.new("L", (WIDTH, HEIGHT)).save(tmp_path / "a.png")
        data = ImageData(NATIVE, [tmp_path / "a.png"], [tmp_path / f"a{ending}"], tmp_path / "cache")
        np.testing.assert_array_equal(data.mask_pixels()[0, 0] > 0, values)

    def test_volumes(self, ending: str, tmp_path: Path) -> None:
        values = ramp(-1000, 1000, DEPTH, HEIGHT, WIDTH).astype(np.int16)
        path = saved(tmp_path / f"a{ending}", values)
        got = decoded(path, STACK)
        assert got.dtype == np.int16
        np.testing.assert_array_equal(got[0], values)
        np.testing.assert_array_equal(decoded(path, STACK.replace(window=(-9.0, 9.0)))[0], values.clip(-9, 9))

    def test_spacing_must_be_told(self, ending: str, tmp_path: Path) -> None:
        path = saved(tmp_path / f"a{ending}", np.arange(10.0)[:, None, None] * np.ones((10, 4, 4)))
        assert "file_spacing" in reason(path, STACK.replace(spacing=1.0))
        spec = STACK.replace(spacing=(2.0, 1.0, 1.0), file_spacing=(4.0, 1.0, 1.0), size=(19, 4, 4))
        np.testing.assert_allclose(decoded(path, spec)[0, :, 2, 2], np.arange(19) / 2, atol=1e-3)

    def test_shapes_and_kinds_that_are_none(self, ending: str, tmp_path: Path) -> None:
        for values in (np.zeros(4), np.zeros((3, HEIGHT, WIDTH)), np.zeros((2, 3, 4, 5)), np.zeros((0, 4))):
            assert reason(saved(tmp_path / f"a{ending}", values))
        assert "channels last" in reason(saved(tmp_path / f"a{ending}", np.zeros((3, HEIGHT, WIDTH))))
        for values in (np.zeros((4, 4), complex), np.full((4, 4), "text"), np.zeros((4, 4), "M8[s]")):
            assert "numbers" in reason(saved(tmp_path / f"a{ending}", values))
        for values in (np.full((4, 4), np.nan), np.full((4, 4), 1e300)):
            assert "not finite" in reason(saved(tmp_path / f"a{ending}", values))
        assert "depth x height x width" in reason(saved(tmp_path / f"a{ending}", np.zeros((4, 4))), STACK)
        grey = NATIVE.replace(grey=True)
        assert "5 channels" in reason(saved(tmp_path / f"a{ending}", np.zeros((HEIGHT, WIDTH, 5))), grey)

    def test_pickles_are_never_loaded(self, ending: str, tmp_path: Path) -> None:
        class Trap:
            def __reduce__(self) -> Any:
                return Path.touch, (tmp_path / "sprung",)

        values = np.empty((4, 4), dtype=object)
        values[:] = Trap()
        path = tmp_path / f"a{ending}"
        np.save(tmp_path / "a.npy", values, allow_pickle=True)
        if ending == ".npz":
            with zipfile.ZipFile(path, "w") as archive:
                archive.write(tmp_path / "a.npy", "a.npy")
        assert "numbers" in reason(path)
        assert "numbers" in reason(path, STACK)
        assert not (tmp_path / "sprung").exists()

    def test_truncations(self, ending: str, tmp_path: Path) -> None:
        whole = saved(tmp_path / f"whole{ending}", ramp(0, 9, HEIGHT, WIDTH)).read_bytes()
        for length in range(0, len(whole), max(1, len(whole) // 40)):
            (tmp_path / f"{length}{ending}").write_bytes(whole[:length])
        cut = sorted(tmp_path.glob(f"[0-9]*{ending}"))
        assert len(ImageData(NATIVE, cut, cache=tmp_path / "cache").check()) == len(cut)

    def test_claims_beyond_the_budget(self, ending: str, tmp_path: Path) -> None:
        head = io.BytesIO()
        np.lib.format.write_array_header_1_0(head, {"descr": "|u1", "fortran_order": False, "shape": (40_000, 40_000)})
        path = tmp_path / f"a{ending}"
        if ending == ".npy":
            with path.open("wb") as file:
                file.write(head.getvalue())
                file.truncate(len(head.getvalue()) + 40_000**2)  # a sparse file: takes no room
        else:
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a.npy", "w") as packed:
                packed.write(head.getvalue())
                for _ in range(400):
                    packed.write(bytes(4 * 10**6))
            assert path.stat().st_size < 2 * 10**6
        assert "512 MB" in reason(path)


def test_an_archive_of_several_arrays_needs_a_key(tmp_path: Path) -> None:
    values = ramp(0, 255, HEIGHT, WIDTH).astype(np.uint8)
    np.savez(tmp_path / "a.npz", image=values, other=values[::-1])
    assert "Say which with `key`" in reason(tmp_path / "a.npz")
    np.testing.assert_array_equal(decoded(tmp_path / "a.npz", NATIVE.replace(key="other"))[0], values[::-1])
    assert "Say which" in reason(tmp_path / "a.npz", NATIVE.replace(key="third"))


def test_an_archive_that_lies_about_a_checksum(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", ramp(0, 9, HEIGHT, WIDTH))
    content = bytearray((tmp_path / "a.npz").read_bytes())
    content[300] ^= 1
    (tmp_path / "b.npz").write_bytes(content)
    assert "damaged" in reason(tmp_path / "b.npz")


def test_channels_that_do_not_go_together(tmp_path: Path) -> None:
    paths = [saved(tmp_path / f"{n}.npy", np.zeros((HEIGHT, WIDTH, n))) for n in (1, 3, 5)]
    [(path, why)] = ImageData(NATIVE, paths, cache=tmp_path / "cache").check()
    assert path.name == "3.npy"
    assert "3 channels where others have 5" in why
    assert ImageData(NATIVE, [paths[0], paths[2]], cache=tmp_path / "cache").pixels().shape[1] == 5


class TestPages:
    @pytest.mark.parametrize("dtype", ["u1", "u2", "i2", "f4"])
    @pytest.mark.parametrize("compression", [None, "zlib"])
    def test_a_volume_and_its_pages(self, dtype: str, compression: str | None, tmp_path: Path) -> None:
        values = ramp(0, 255, DEPTH, HEIGHT, WIDTH).astype(dtype)
        path = tmp_path / "a.tif"
        tifffile.imwrite(path, values, photometric="minisblack", compression=compression)
        np.testing.assert_array_equal(decoded(path, STACK)[0], values)
        np.testing.assert_array_equal(decoded(path, NATIVE.replace(page=2))[0], values[2])
        assert "holds 5 pages" in reason(path)
        assert "no page 5" in reason(path, NATIVE.replace(page=5))
        assert "file_spacing" in reason(path, STACK.replace(spacing=1.0))

    def test_pages_that_make_no_volume(self, tmp_path: Path) -> None:
        with tifffile.TiffWriter(tmp_path / "a.tif") as file:
            file.write(np.zeros((4, 4), np.uint8))
            file.write(np.zeros((4, 5), np.uint8))
        assert "different sizes" in reason(tmp_path / "a.tif", STACK)
        tifffile.imwrite(tmp_path / "b.tif", np.zeros((3, 4, 4, 3), np.uint8), photometric="rgb")
        assert "not a volume" in reason(tmp_path / "b.tif", STACK)
        PIL.Image.new("L", (4, 4)).save(tmp_path / "c.png")
        assert "not a volume" in reason(tmp_path / "c.png", STACK)
        assert decoded(tmp_path / "b.tif", NATIVE.replace(page=1, size=4)).shape == (3, 4, 4)

    def test_truncations(self, tmp_path: Path) -> None:
        tifffile.imwrite(tmp_path / "a.tif", ramp(0, 255, DEPTH, HEIGHT, WIDTH).astype(np.uint8))
        whole = (tmp_path / "a.tif").read_bytes()
        for length in range(0, len(whole), len(whole) // 25):
            (tmp_path / f"{length}.tif").write_bytes(whole[:length])
        cut = sorted(tmp_path.glob("[0-9]*.tif"))
        refused = ImageData(STACK, cut, cache=tmp_path / "cache").check()
        assert len(refused) == len(cut)


def png(values: np.ndarray) -> bytes:
    """A PNG of 16-bit channels, written by hand: Pillow cannot."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    height, width, channels = values.shape
    kind = {2: 4, 3: 2, 4: 6}[channels]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


class TestDeepColour:
    @pytest.mark.parametrize("channels", [2, 3, 4])
    def test_png(self, channels: int, tmp_path: Path) -> None:
        values = ramp(0, 65535, HEIGHT, WIDTH, channels).astype(np.uint16)
        (tmp_path / "a.png").write_bytes(png(values))
        got = decoded(tmp_path / "a.png")
        assert got.dtype == np.uint16
        np.testing.assert_array_equal(got, values[..., : 3 if channels > 2 else 1].transpose(2, 0, 1))
        content = bytearray(png(values))
        content[-30] ^= 1
        (tmp_path / "b.png").write_bytes(content)
        assert reason(tmp_path / "b.png")

    @pytest.mark.parametrize("planar", ["contig", "separate"])
    @pytest.mark.parametrize("settings", [{}, {"compression": "zlib"}, {"byteorder": ">"}, {"extra": True}])
    def test_tiff(self, planar: str, settings: dict[str, Any], tmp_path: Path) -> None:
        settings, channels = dict(settings), 3
        if settings.pop("extra", False):
            settings, channels = {"extrasamples": ["unassalpha"]}, 4
        values = ramp(0, 65535, HEIGHT, WIDTH, channels).astype(np.uint16)
        stored = values if planar == "contig" else values.transpose(2, 0, 1)
        tifffile.imwrite(tmp_path / "a.tif", stored, photometric="rgb", planarconfig=planar, **settings)
        got = decoded(tmp_path / "a.tif")
        assert got.dtype == np.uint16
        np.testing.assert_array_equal(got, values[..., :3].transpose(2, 0, 1))

    def test_turned(self, tmp_path: Path) -> None:
        values = ramp(0, 65535, HEIGHT, WIDTH, 3).astype(np.uint16)
        tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb", extratags=[(274, 3, 1, 6, True)])
        got = decoded(tmp_path / "a.tif", NATIVE.replace(size=(WIDTH, HEIGHT)))
        np.testing.assert_array_equal(got, np.rot90(values, -1).transpose(2, 0, 1))
        inside = np.zeros((WIDTH, HEIGHT), np.uint8)
        inside[2:4, 5:9] = 1
        PIL.Image.fromarray(inside).save(tmp_path / "mask.png")
        spec = NATIVE.replace(size=(WIDTH, HEIGHT))
        mask = ImageData(spec, [tmp_path / "a.tif"], [tmp_path / "mask.png"], tmp_path / "cache").mask_pixels()
        np.testing.assert_array_equal(mask[0, 0] > 0, inside > 0)

    def test_windowed_and_grey(self, tmp_path: Path) -> None:
        values = ramp(0, 4095, HEIGHT, WIDTH, 3).astype(np.uint16)
        tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb")
        got = decoded(tmp_path / "a.tif", NATIVE.replace(intensity=(0.0, 4095.0)))
        assert np.abs(got - values.transpose(2, 0, 1) / 4095 * 255).max() <= 0.51
        grey = decoded(tmp_path / "a.tif", NATIVE.replace(grey=True))
        assert np.abs(grey[0] - values @ np.array([0.299, 0.587, 0.114])).max() <= 1

    def test_a_compression_without_its_package(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        tifffile.imwrite(tmp_path / "a.tif", np.zeros((8, 8, 3), np.uint16), photometric="rgb", compression="zlib")
        monkeypatch.setattr(tifffile.TiffPage, "asarray", lambda page: (_ for _ in ()).throw(
            ValueError("<COMPRESSION.LZW: 5> requires the 'imagecodecs' package")))  # fmt: skip
        with pytest.raises(MissingPackageError, match="pip install imagecodecs"):
            ImageData(NATIVE, [tmp_path / "a.tif"], cache=tmp_path / "cache").check()


SLIDE = np.random.default_rng(0).integers(0, 256, (64, 48, 3), dtype=np.uint8).repeat(8, axis=0).repeat(8, axis=1)
"""Blocks of 8 x 8 pixels of one colour: the levels of its pyramid are exact."""


def slide(path: Path, mpp: float | None = 0.25) -> Path:
    with tifffile.TiffWriter(path) as file:
        for factor in (1, 2, 4):
            where = {} if mpp is None else {"resolution": (1e4 / mpp / factor,) * 2, "resolutionunit": "CENTIMETER"}
            settings = {"photometric": "rgb", "tile": (128, 128), "metadata": None, **where}
            more = {"subifds": 2} if factor == 1 else {"subfiletype": 1}
            file.write(SLIDE[::factor, ::factor], **settings, **more)
    return path


def region(**settings: Any) -> fdx.Image:
    return fdx.Image(path="image", size=16, region=fdx.Region(**settings))


class TestSlides:
    def test_regions_at_each_level(self, tmp_path: Path) -> None:
        path = slide(tmp_path / "a.tif")
        for level in (0, 1, 2):
            spec = region(x=64, y=128, width=16, height=16, level=level)
            factor = 2**level
            expected = SLIDE[128 : 128 + 16 * factor : factor, 64 : 64 + 16 * factor : factor]
            np.testing.assert_array_equal(decoded(path, spec), expected.transpose(2, 0, 1))

    def test_micrometres_per_pixel(self, tmp_path: Path) -> None:
        path = slide(tmp_path / "a.tif")
        for mpp, factor in ((0.25, 1), (0.5, 2), (1.0, 4)):
            got = decoded(path, region(x=64, y=128, width=16, height=16, mpp=mpp))
            expected = SLIDE[128 : 128 + 16 * factor : factor, 64 : 64 + 16 * factor : factor]
            np.testing.assert_array_equal(got, expected.transpose(2, 0, 1))
        between = decoded(path, region(x=64, y=128, width=16, height=16, mpp=0.375)).astype(float)
        whole = PIL.Image.fromarray(SLIDE[128:152, 64:88]).resize((16, 16), PIL.Image.Resampling.BILINEAR)
        assert np.abs(between - np.asarray(whole).transpose(2, 0, 1)).max() <= 1
        assert "micrometres" in reason(slide(tmp_path / "b.tif", None), region(mpp=0.5))

    def test_the_whole_slide(self, tmp_path: Path) -> None:
        path = slide(tmp_path / "a.tif")
        spec = fdx.Image(path="image", size=(128, 96), region=fdx.Region())
        np.testing.assert_array_equal(decoded(path, spec), SLIDE[::4, ::4].transpose(2, 0, 1))
        np.testing.assert_array_equal(
            decoded(path, spec.replace(region=fdx.Region(level=2))), SLIDE[::4, ::4].transpose(2, 0, 1)
        )

    def test_what_is_not_there(self, tmp_path: Path) -> None:
        path = slide(tmp_path / "a.tif")
        assert "beyond the slide" in reason(path, region(x=380, y=0, width=16, height=16))
        assert "no level 3" in reason(path, region(level=3))
        (tmp_path / "b.svs").write_bytes(path.read_bytes()[:2000])
        (tmp_path / "c.svs").write_bytes(b"no slide")
        assert reason(tmp_path / "b.svs", region())
        assert reason(tmp_path / "c.svs", region())
        assert reason(tmp_path / "d.svs", region()) == "there is no such file"

    def test_columns_say_where(self, tmp_path: Path) -> None:
        slide(tmp_path / "a.tif")
        frame = pd.DataFrame({"patient_id": ["P1", "P2"], "image": "a.tif", "left": [64, 0], "top": [128, 8]})
        spec = region(x="left", y="top", width=16, height=16)
        cohort = fdx.Cohort.from_frame(frame, modalities={"slide": spec}, data=tmp_path)
        data = cohort.modalities["slide"].data
        for row, (x, y) in enumerate([(64, 128), (0, 8)]):
            np.testing.assert_array_equal(data.pixels()[row], SLIDE[y : y + 16, x : x + 16].transpose(2, 0, 1))
        moved = fdx.Cohort.from_frame(frame.assign(left=[72, 0]), modalities={"slide": spec}, data=tmp_path)
        assert moved.fingerprint != cohort.fingerprint
        np.testing.assert_array_equal(
            moved.modalities["slide"].data.at((16, 16)).pixels()[0], SLIDE[128:144, 72:88].transpose(2, 0, 1)
        )
        with pytest.raises(DataError, match=r"column 'left': 1 patient \(P2\) without a whole number"):
            fdx.Cohort.from_frame(frame.assign(left=[64, -1]), modalities={"slide": spec}, data=tmp_path)

    def test_settings_that_make_no_region(self) -> None:
        for settings in ({"x": 1}, {"level": 1, "mpp": 1.0}, {"level": -1}, {"mpp": 0}):
            with pytest.raises(ValueError, match=r"region|level|greater"):
                fdx.Region(**settings)

    def test_without_the_extra(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "tiffslide", None)
        with pytest.raises(MissingPackageError, match=r"pip install fusiondx\[wsi\]"):
            ImageData(region(), [slide(tmp_path / "a.tif")], cache=tmp_path / "cache").check()
