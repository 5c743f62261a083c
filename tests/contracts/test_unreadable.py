"""`on_unreadable`: does a file that cannot be used stop, or become a missing item that is counted?"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import PIL.Image
import pytest

import fusiondx as fdx
from fusiondx.data.images import ImageData
from fusiondx.data.sifting import sift
from fusiondx.errors import DataError, FusionDxWarning

N = 12
SPEC = fdx.Image(path="image", file="images.csv", size=8, on_unreadable="missing")


def picture(path: Path, seed: int, colour: bool = False) -> None:
    shape = (9, 9, 3) if colour else (9, 9)
    PIL.Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)).save(path)


def folder(where: Path) -> Path:
    """Two images per patient. Cut: one of P0, both of P1; no image: one of P2; a bad mask: one of P3; absent: of P4."""
    where.mkdir()
    rows = []
    for p in range(N):
        for n in range(2):
            name = f"{p}_{n}.png"
            picture(where / name, 10 * p + n)
            rows.append({"patient_id": f"P{p}", "image": name, "mask": ""})
    for name in ("0_1", "1_0", "1_1"):
        content = (where / f"{name}.png").read_bytes()
        (where / f"{name}.png").write_bytes(content[: len(content) - 30])
    (where / "2_0.png").write_text("no image")
    PIL.Image.new("L", (4, 4)).save(where / "mask.png")
    rows[6]["mask"] = "mask.png"
    (where / "4_0.png").unlink()
    pd.DataFrame(rows).to_csv(where / "images.csv", index=False)
    return where


def frame() -> pd.DataFrame:
    ids = [f"P{p}" for p in range(N)]
    return pd.DataFrame({"patient_id": ids, "age": np.arange(N) + 40.0, "ill": ["yes", "no"] * (N // 2)})


def read(where: Path, **settings: Any) -> fdx.Cohort:
    modalities = {"photo": SPEC.replace(mask="mask", **settings), "clinical": fdx.Table(numeric=("age",))}
    return fdx.Cohort.from_frame(frame(), modalities=modalities, targets={"ill": fdx.Classes("ill")}, data=where)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FUSIONDX_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_bad_files_become_missing_items_and_are_counted(tmp_path: Path, cache: Path) -> None:
    with pytest.warns(FusionDxWarning, match="photo: 6 files of 24 cannot be used and count as missing") as caught:
        cohort = read(folder(tmp_path / "data"))
    assert len([w for w in caught if w.category is FusionDxWarning]) == 1
    photo = cohort.modalities["photo"]
    assert photo.counts[:5].tolist() == [1, 0, 1, 1, 1]
    assert photo.unreadable.tolist() == [1, 2, 1, 1, 1] + [0] * (N - 5)
    assert cohort.check() == []
    assert cohort.pattern[1] == "clinical"
    described = cohort.describe().modalities.set_index("modality")
    assert described.loc["photo", "unreadable"] == 6
    assert cohort[[1, 7]].describe().modalities["unreadable"].tolist() == [2, 0]
    assert "unreadable" not in cohort[[7, 8]].describe().modalities


def test_an_error_is_the_default(tmp_path: Path, cache: Path) -> None:
    where = folder(tmp_path / "data")
    with pytest.raises(DataError, match="do not exist"):
        read(where, on_unreadable="error")
    picture(where / "4_0.png", 3)
    assert len(read(where, on_unreadable="error").check()) == 5


def test_the_same_as_if_the_files_had_never_been(tmp_path: Path, cache: Path) -> None:
    where = folder(tmp_path / "data")
    rows = pd.read_csv(where / "images.csv", dtype=str).fillna("")
    bad = rows["image"].isin(["0_1.png", "1_0.png", "1_1.png", "2_0.png", "4_0.png"]) | (rows["mask"] != "")
    rows[~bad].to_csv(where / "sound.csv", index=False)
    with pytest.warns(FusionDxWarning):
        sifted = read(where)
    sound = read(where, file="sound.csv", on_unreadable="error")
    assert sifted.fingerprint == sound.fingerprint
    np.testing.assert_array_equal(sifted.modalities["photo"].data.pixels(), sound.modalities["photo"].data.pixels())
    settings = {"encoders": {"photo": "smallcnn"}, "training": fdx.Training(epochs=1), "seed": 0}
    model, other = (fdx.FusionModel(**settings).fit(cohort) for cohort in (sifted, sound))
    np.testing.assert_array_equal(model.predict_proba(sifted), other.predict_proba(sound))
    loaded = fdx.FusionModel.load(model.save(tmp_path / "model"))
    np.testing.assert_array_equal(loaded.predict_proba(sifted), model.predict_proba(sifted))


def test_a_report_counts_them(tmp_path: Path, cache: Path) -> None:
    with pytest.warns(FusionDxWarning):
        cohort = read(folder(tmp_path / "data"))
    model = fdx.FusionModel(encoders={"photo": "smallcnn"}, training=fdx.Training(epochs=1)).fit(cohort[6:])
    report = fdx.evaluate(model, cohort[:6], baselines=False, replicates=20)
    assert any("photo: 6 files" in note for note in report.notes)


@pytest.fixture
def decodes(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    seen: list[Path] = []
    decode = fdx.Image.decode
    monkeypatch.setattr(fdx.Image, "decode", lambda self, path, mask: (seen.append(path), decode(self, path, mask))[1])
    return seen


def test_every_file_is_decoded_once(tmp_path: Path, cache: Path, decodes: list[Path]) -> None:
    where = folder(tmp_path / "data")
    with pytest.warns(FusionDxWarning):
        read(where).modalities["photo"].data.pixels()
    assert len(decodes) == len(set(decodes)) <= 2 * N
    decodes.clear()
    with pytest.warns(FusionDxWarning, match="6 files of 24"):
        again = read(where)
    again.modalities["photo"].data.pixels()
    again.modalities["photo"].data.mask_pixels()
    assert decodes == []


def test_a_mended_file_is_read_again_and_a_damaged_verdict_made_again(tmp_path: Path, cache: Path) -> None:
    where = folder(tmp_path / "data")
    with pytest.warns(FusionDxWarning):
        read(where)
    [verdict] = cache.glob("*.json")
    assert len(json.loads(verdict.read_text())) == 6
    assert str(tmp_path) not in verdict.read_text()
    verdict.write_text("[")
    with pytest.warns(FusionDxWarning, match="6 files"):
        read(where)
    picture(where / "2_0.png", 5)
    with pytest.warns(FusionDxWarning, match="5 files"):
        read(where)


def test_a_bad_file_in_colour_leaves_the_others_grey(tmp_path: Path) -> None:
    for n in range(3):
        picture(tmp_path / f"{n}.png", n, colour=n == 0)
    content = (tmp_path / "0.png").read_bytes()
    (tmp_path / "0.png").write_bytes(content[:-40])
    data = ImageData(SPEC, [tmp_path / f"{n}.png" for n in range(3)], cache=tmp_path / "cache")
    good, refused = sift(data)
    assert list(refused) == [0]
    assert good.pixels().shape == (2, 1, 8, 8)


def test_nothing_left_is_no_error(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "a.png").write_text("no image")
    with pytest.warns(FusionDxWarning, match="1 file of 1"):
        cohort = fdx.Cohort.from_frame(
            pd.DataFrame({"patient_id": ["P0"], "image": ["a.png"]}),
            modalities={"photo": SPEC.replace(file=None)},
            data=tmp_path,
        )
    assert not cohort.modalities["photo"].present.any()
    assert cohort.check() == []


def test_bags_and_times(tmp_path: Path, cache: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((3, 4)))
    np.save(tmp_path / "b.npy", np.full((3, 4), np.inf))
    picture(tmp_path / "a.png", 0)
    (tmp_path / "b.png").write_bytes(b"")
    table = pd.DataFrame({"patient_id": ["P0", "P1", "P1"], "bag": ["a.npy", "b.npy", "a.npy"]})
    table.assign(image=["a.png", "b.png", "a.png"], when=[3, 2, 1]).to_csv(tmp_path / "files.csv", index=False)
    bag = fdx.Bag(path="bag", file="files.csv", on_unreadable="missing")
    photo = SPEC.replace(file="files.csv", time="when")
    with pytest.warns(FusionDxWarning, match="1 file of 3"):
        cohort = fdx.Cohort.from_frame(
            pd.DataFrame({"patient_id": ["P0", "P1"]}), modalities={"slide": bag, "photo": photo}, data=tmp_path
        )
    for modality in cohort.modalities.values():
        assert modality.counts.tolist() == [1, 1]
        assert modality.lost == 1
    assert cohort.modalities["photo"].time.tolist() == [3, 1]
    assert cohort.check() == []


def test_pipes_and_devices_are_never_opened(tmp_path: Path, cache: Path) -> None:
    import os

    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    for name in ("pipe.png", "zero.png", "../outside.png", "/etc/passwd", "\0.png"):
        table = pd.DataFrame({"patient_id": ["P0"], "image": [name]})
        with pytest.raises(DataError), warnings.catch_warnings():
            fdx.Cohort.from_frame(table, modalities={"photo": SPEC.replace(file=None)}, data=tmp_path)
