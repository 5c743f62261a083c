"""The cache: decoded once, found again by content, never half written, never trusted when damaged."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

from fusiondx.data import cache
from fusiondx.data.cache import gather
from fusiondx.data.images import Image, ImageData
from fusiondx.errors import DataError, RunError

SPEC = Image(path="image", size=(8, 6))


def write(path: Path, seed: int, colour: bool = True) -> Path:
    shape = (20, 18, 3) if colour else (20, 18)
    PIL.Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)).save(path)
    return path


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    return [write(tmp_path / f"{seed}.png", seed) for seed in range(5)]


@pytest.fixture
def decodes(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Every file decoded, in order of completion."""
    seen: list[Path] = []
    decode = Image.decode
    monkeypatch.setattr(Image, "decode", lambda self, path, mask: (seen.append(path), decode(self, path, mask))[1])
    return seen


def data(paths: list[Path], spec: Image = SPEC, masks: list[Path | None] | None = None) -> ImageData:
    return ImageData(spec, paths, masks, cache=paths[0].parent / "cache")


def files(paths: list[Path]) -> list[Path]:
    return sorted((paths[0].parent / "cache").iterdir())


def test_nothing_is_read_before_it_is_asked_for(tmp_path: Path) -> None:
    absent = ImageData(SPEC, [tmp_path / "absent.png"], cache=tmp_path / "cache")
    assert len(absent) == 1
    assert absent.size == (8, 6)
    assert not (tmp_path / "cache").exists()


def test_the_order_of_files_is_the_order_of_rows(paths: list[Path]) -> None:
    pixels = data(paths).pixels()
    for row, path in enumerate(paths):
        np.testing.assert_array_equal(pixels[row], SPEC.decode(path, None))
    np.testing.assert_array_equal(data(paths[::-1]).pixels(), pixels[::-1])


def test_a_hit_decodes_nothing_and_gives_the_same(paths: list[Path], decodes: list[Path]) -> None:
    first = np.array(data(paths).pixels())
    assert sorted(decodes) == paths
    again = data(paths).pixels()
    assert sorted(decodes) == paths
    np.testing.assert_array_equal(again, first)
    assert isinstance(again, np.memmap)
    assert not again.flags.writeable


def test_moved_and_touched_files_are_found_again(paths: list[Path], decodes: list[Path]) -> None:
    data(paths).pixels()
    os.utime(paths[0], (1, 1))
    moved = [path.rename(path.with_name(f"moved{path.name}")) for path in paths]
    data(moved).pixels()
    assert len(decodes) == len(paths)
    assert len(files(paths)) == 1


def test_changed_content_and_changed_settings_make_a_new_array(paths: list[Path]) -> None:
    before = np.array(data(paths).pixels())
    write(paths[2], seed=99)
    after = data(paths).pixels()
    changed = (before != after).any(axis=(1, 2, 3))
    assert changed.tolist() == [False, False, True, False, False]
    data(paths, SPEC.replace(crop=0.5)).pixels()
    assert len(files(paths)) == 3


def test_settings_that_do_not_touch_pixels_share_an_array(paths: list[Path], decodes: list[Path]) -> None:
    data(paths).pixels()
    data(paths, SPEC.replace(path="other", file="images.csv", id="patient")).pixels()
    assert len(decodes) == len(paths)


def test_the_digest_is_of_contents_in_order(paths: list[Path]) -> None:
    before = data(paths).digest()
    assert data(paths).digest() == before
    assert data(paths[::-1]).digest() != before
    assert data(paths, masks=[*paths]).digest() != before
    write(paths[0], seed=99)
    assert data(paths).digest() != before


def test_an_unchanged_file_is_hashed_once(paths: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    first = data(paths).digest()
    monkeypatch.setattr("hashlib.file_digest", None)  # calling it now fails
    assert data(paths).digest() == first


@pytest.mark.parametrize("damage", ["truncated", "empty", "text", "longer", "pickled", "other shape"])
def test_a_damaged_cache_file_is_made_again(damage: str, paths: list[Path]) -> None:
    expected = np.array(data(paths).pixels())
    [file] = files(paths)
    whole = file.read_bytes()
    if damage == "pickled":
        np.save(file, np.array([{}], dtype=object), allow_pickle=True)
    elif damage == "other shape":
        np.save(file, np.zeros((2, 3)))
    else:
        file.write_bytes({"truncated": whole[:-1], "empty": b"", "text": b"no array", "longer": whole + b"0"}[damage])
    np.testing.assert_array_equal(data(paths).pixels(), expected)
    assert file.read_bytes() == whole


RACE = """
import sys
from pathlib import Path
from fusiondx.data.images import Image, ImageData
folder = Path(sys.argv[1])
sys.stdin.readline()
data = ImageData(Image(path="image", size=(8, 6)), sorted(folder.glob("*.png")) * 40, cache=folder / "cache")
print(data.pixels().sum())
"""


def test_two_processes_may_fill_it_at_once(paths: list[Path]) -> None:
    command = [sys.executable, "-c", RACE, str(paths[0].parent)]
    racers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for racer in racers:
        racer.stdin.write("go\n")
        racer.stdin.flush()
    sums = [racer.communicate(timeout=60) for racer in racers]
    expected = int(data(paths).pixels().sum()) * 40
    assert [out.strip() for out, _ in sums] == [str(expected)] * 2, sums
    assert all(file.suffix == ".npy" for file in files(paths))


def test_an_unwritable_folder_names_itself_and_the_remedy(paths: list[Path]) -> None:
    with pytest.raises(RunError, match="cannot be written") as caught:
        ImageData(SPEC, paths, cache=paths[0] / "cache").pixels()
    assert str(paths[0]) in str(caught.value)
    assert "FUSIONDX_CACHE" in str(caught.value)


FULL = """
import resource, sys
from pathlib import Path
from fusiondx.data.images import Image, ImageData
from fusiondx.errors import RunError
folder = Path(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    ImageData(Image(path="image", size=64), sorted(folder.glob("*.png")), cache=folder / "cache").pixels()
except RunError as error:
    print(error)
"""


def test_a_full_disk_is_an_error_and_leaves_nothing(paths: list[Path]) -> None:
    command = [sys.executable, "-c", FULL, str(paths[0].parent)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "No space" in run.stdout
    assert "FUSIONDX_CACHE" in run.stdout
    assert not files(paths)


def test_the_folder_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUSIONDX_CACHE", str(tmp_path / "here"))
    ImageData(SPEC, [write(tmp_path / "a.png", 0)]).pixels()
    assert len(list((tmp_path / "here").iterdir())) == 1
    monkeypatch.delenv("FUSIONDX_CACHE")
    assert "fusiondx" in str(cache.folder())


def test_grey_among_colour_is_expanded(tmp_path: Path) -> None:
    mixed = [write(tmp_path / "grey.png", 0, colour=False), write(tmp_path / "colour.png", 1)]
    read = data(mixed)
    assert read.channels == 3
    grey, colour = read.pixels()
    assert (grey == grey[0]).all()
    assert not (colour == colour[0]).all()
    assert data(mixed, SPEC.replace(grey=True)).channels == 1
    assert data(mixed[:1]).channels == 1


def test_masks_are_zero_where_there_is_none(paths: list[Path]) -> None:
    PIL.Image.fromarray(np.full((20, 18), 255, np.uint8)).save(paths[0].parent / "mask.tiff")
    masks = [paths[0].parent / "mask.tiff", None, None, None, None]
    read = data(paths, masks=masks)
    assert read.mask_pixels().shape == (5, 1, 8, 6)
    assert read.mask_pixels().dtype == np.uint8
    assert read.mask_pixels().mean(axis=(1, 2, 3)).tolist() == [255, 0, 0, 0, 0]
    assert data(paths).mask_pixels() is None
    for use in ("crop", "ignore"):
        assert data(paths, SPEC.replace(mask_use=use), masks).mask_pixels() is None


def test_an_ignored_mask_need_not_exist(paths: list[Path]) -> None:
    masks = [path.with_name("absent.png") for path in paths]
    assert data(paths, SPEC.replace(mask_use="ignore"), masks).check() == []
    assert [path.name for path, _ in data(paths, masks=masks).check()] == ["absent.png"]


def test_masks_must_match_images_in_number(paths: list[Path]) -> None:
    with pytest.raises(DataError, match="5 images with 1 mask"):
        data(paths, masks=[None])


def test_no_images_make_an_empty_array(tmp_path: Path) -> None:
    empty = ImageData(SPEC, [], [], cache=tmp_path / "cache")
    assert empty.pixels().shape == (0, 1, 8, 6)
    assert empty.mask_pixels().shape == (0, 1, 8, 6)
    assert empty.check() == []


def test_sending_it_to_another_process_sends_no_pixels(paths: list[Path]) -> None:
    sent = data(paths * 20)
    sent.pixels()
    assert len(pickle.dumps(sent)) < 20_000 < sent.pixels().nbytes * 10
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(sent)).pixels(), sent.pixels())  # noqa: S301


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32])
def test_gather_takes_rows_as_floats(dtype: type, tmp_path: Path) -> None:
    values = np.arange(-30, 30).reshape(5, 3, 2, 2).astype(dtype)
    np.save(tmp_path / "a.npy", values)
    pixels = np.load(tmp_path / "a.npy", mmap_mode="r")
    rows = np.array([4, 0, 4])
    got = gather(pixels, rows)
    assert got.dtype == torch.float32
    np.testing.assert_array_equal(got.numpy(), values[rows].astype(np.float32))
    got.zero_()  # the caller's own
    np.testing.assert_array_equal(pixels, values)


def test_importing_is_light() -> None:
    heavy = ("monai", "torchvision", "lightning", "timm", "matplotlib")
    script = f"import sys, fusiondx.data.images, fusiondx.data.volumes; print([m for m in {heavy} if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True)
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "settings",
    [
        {"size": 0},
        {"size": (4, 4, 4)},
        {"crop": 0},
        {"crop": 1.1},
        {"intensity": (5, 5)},
        {"intensity": (0, float("inf"))},
        {"intensity": "relative"},
        {"margin": -0.1},
        {"mask_use": "paint"},
        {"unknown": 1},
    ],
)
def test_settings_out_of_range_are_refused(settings: dict) -> None:
    with pytest.raises((ValueError, TypeError)):
        Image(path="image", **settings)
