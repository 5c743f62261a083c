"""Files that must be refused: truncated, corrupt, of the wrong kind, or too large to be true."""

import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import tifffile

from fusiondx.data.images import Image, ImageData
from fusiondx.errors import DataError

SPEC = Image(path="image", size=16)
NOISE = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
KINDS = {"png": {}, "jpg": {"quality": 90}, "tiff": {}, "lzw.tiff": {"compression": "tiff_lzw"}}


def whole(folder: Path, kind: str) -> Path:
    path = folder / f"whole.{kind}"
    PIL.Image.fromarray(NOISE).save(path, **KINDS[kind])
    return path


def refusal(path: Path, folder: Path, spec: Image = SPEC) -> str:
    """Why `path` is refused; it must be, by a `DataError` that names it, and nothing may be left in the cache."""
    with pytest.raises(DataError, match=path.name) as caught:
        ImageData(spec, [path], cache=folder / "cache").pixels()
    assert not list((folder / "cache").glob("*"))
    [(named, reason)] = ImageData(spec, [path], cache=folder / "cache").check()
    assert named == path
    assert reason in str(caught.value)
    return reason


@pytest.mark.parametrize("part", [0.0, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.95])
@pytest.mark.parametrize("kind", KINDS)
def test_truncated_images_are_refused(kind: str, part: float, tmp_path: Path) -> None:
    content = whole(tmp_path, kind).read_bytes()
    path = tmp_path / f"cut.{kind}"
    path.write_bytes(content[: int(part * len(content))])
    refusal(path, tmp_path)


def test_truncation_that_verify_accepts_is_refused(tmp_path: Path) -> None:
    """Why files are decoded, not just verified."""
    path = tmp_path / "cut.jpg"
    path.write_bytes(whole(tmp_path, "jpg").read_bytes()[:2000])
    with PIL.Image.open(path) as image:
        image.verify()
    assert "truncated" in refusal(path, tmp_path)


def test_truncation_is_refused_though_another_library_asked_pillow_to_pass_it(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("PIL.ImageFile.LOAD_TRUNCATED_IMAGES", True)
    path = tmp_path / "cut.jpg"
    path.write_bytes(whole(tmp_path, "jpg").read_bytes()[:2000])
    refusal(path, tmp_path)


@pytest.mark.parametrize("seed", range(30))
def test_a_flipped_bit_in_a_png_is_refused(seed: int, tmp_path: Path) -> None:
    content = bytearray(whole(tmp_path, "png").read_bytes())
    start, end = content.index(b"IDAT") + 4, content.index(b"IEND") - 8
    content[np.random.default_rng(seed).integers(start, end)] ^= 1 << (seed % 8)
    path = tmp_path / "flipped.png"
    path.write_bytes(content)
    refusal(path, tmp_path)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("kind", KINDS)
def test_random_damage_never_raises_anything_else(kind: str, tmp_path: Path) -> None:
    content, rng = whole(tmp_path, kind).read_bytes(), np.random.default_rng(1)
    paths = []
    for row in range(40):
        damaged = bytearray(content)
        for place in rng.integers(0, min(len(damaged), 400), 3):
            damaged[place] = rng.integers(256)
        paths.append(tmp_path / f"{row}.{kind}")
        paths[-1].write_bytes(damaged)
    refused = ImageData(SPEC, paths, cache=tmp_path / "cache").check()
    assert {path for path, _ in refused} <= set(paths)


def test_check_names_every_bad_file_at_once(tmp_path: Path) -> None:
    good, cut, text = whole(tmp_path, "png"), tmp_path / "cut.png", tmp_path / "text.png"
    cut.write_bytes(good.read_bytes()[:300])
    text.write_text("no image")
    data = ImageData(SPEC, [good, cut, tmp_path / "absent.png", text, good], cache=tmp_path / "cache")
    refused = dict(data.check())
    assert set(refused) == {cut, text, tmp_path / "absent.png"}
    assert refused[tmp_path / "absent.png"] == "there is no such file"
    with pytest.raises(DataError, match="3 image files cannot be used"):
        data.pixels()


def test_other_formats_are_refused(tmp_path: Path) -> None:
    for kind in ("bmp", "gif"):
        PIL.Image.fromarray(NOISE).save(tmp_path / f"a.{kind}")
        (tmp_path / f"a.{kind}").rename(tmp_path / f"{kind}.png")
        assert "not a PNG" in refusal(tmp_path / f"{kind}.png", tmp_path)


def test_several_pages_are_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "pages.tiff", np.zeros((4, 20, 20), np.uint8), photometric="minisblack")
    assert "holds 4 pages" in refusal(tmp_path / "pages.tiff", tmp_path)


def test_pixels_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "nan.tiff", np.full((20, 20), np.nan, np.float32))
    assert "not finite" in refusal(tmp_path / "nan.tiff", tmp_path)


def test_mixed_depths_are_refused_unless_windowed(tmp_path: Path) -> None:
    PIL.Image.fromarray(NOISE[..., 0]).save(tmp_path / "8.png")
    PIL.Image.fromarray(NOISE[..., 0].astype(np.uint16) * 257).save(tmp_path / "16.png")
    paths = [tmp_path / "8.png", tmp_path / "16.png"]
    [(path, reason)] = ImageData(SPEC, paths, cache=tmp_path / "cache").check()
    assert path == paths[1]
    assert "uint16" in reason
    windowed = ImageData(SPEC.replace(intensity=(0, 255)), paths, cache=tmp_path / "cache")
    assert windowed.pixels().dtype == np.uint8


def test_a_jpeg_of_labels_is_no_mask(tmp_path: Path) -> None:
    """Its labels are as near to black as the rings around edges are."""
    labels = np.zeros(NOISE.shape[:2], np.uint8)
    labels[10:20, 10:20] = 1
    for scale, sound in ((0, True), (1, False), (255, True)):
        PIL.Image.fromarray(scale * labels).save(tmp_path / "mask.jpg", quality=100)
        found = ImageData(SPEC, [whole(tmp_path, "png")], [tmp_path / "mask.jpg"], tmp_path / "cache").check()
        assert sound == (not found)
        assert sound or "from 0 to 1, not black and white" in found[0][1]


def test_a_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    PIL.Image.fromarray(NOISE[:20, :20, 0]).save(tmp_path / "mask.png")
    for use in ("channel", "crop"):
        data = ImageData(
            SPEC.replace(mask_use=use), [whole(tmp_path, "png")], [tmp_path / "mask.png"], tmp_path / "cache"
        )
        [(path, reason)] = data.check()
        assert path.name == "mask.png"
        assert "20 x 20" in reason
        assert "50 x 40" in reason
    assert not ImageData(SPEC.replace(mask_use="ignore"), data.paths, data.masks, tmp_path / "cache").check()


def png_claiming(side: int) -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(10**6), 9)) + chunk(b"IEND", b"")


def tiff_claiming(side: int, path: Path) -> bytes:
    """A TIFF of one pixel with another width and height written into it."""
    tifffile.imwrite(path, np.zeros((1, 1, 3), np.uint8), byteorder="<", compression="zlib")
    content = path.read_bytes()
    for tag in (256, 257):
        for kind, one in ((3, struct.pack("<HH", 1, 0)), (4, struct.pack("<I", 1))):
            content = content.replace(struct.pack("<HHI", tag, kind, 1) + one, struct.pack("<HHII", tag, 4, 1, side))
    assert content != path.read_bytes()
    return content


BOMBED = """
import resource, sys, time
from pathlib import Path
from fusiondx.data.images import Image, ImageData
paths = sorted(Path(sys.argv[1]).glob("bomb*"))
used = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
before, start = used(), time.perf_counter()
refused = ImageData(Image(path="image"), paths, cache=Path(sys.argv[1]) / "cache").check()
for path, reason in refused: print(path.name, reason, file=sys.stderr)
print(len(paths), len(refused), used() - before, time.perf_counter() - start)
"""


def test_bombs_are_refused_quickly_and_within_little_memory(tmp_path: Path) -> None:
    for side in (13_300, 14_000, 2_000_000):  # just above our budget, above Pillow's, absurd
        (tmp_path / f"bomb{side}.png").write_bytes(png_claiming(side))
        (tmp_path / f"bomb{side}.tiff").write_bytes(tiff_claiming(side, tmp_path / "one.tiff"))
    command = [sys.executable, "-W", "ignore", "-c", BOMBED, str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    files, refused, grown_mb, seconds = run.stdout.split()
    assert (int(files), int(refused)) == (6, 6), run.stderr
    assert int(grown_mb) < 50
    assert float(seconds) < 5
