"""Is an image whose encoder does not train looked at once, and is what was found its own?"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import PIL.Image
import pytest
import torch

import fusiondx as fdx
from fusiondx.core.components import RawImages
from fusiondx.data.features import FILE
from fusiondx.encoders import PRETRAINED, default, weights
from fusiondx.encoders.backbone import create
from fusiondx.encoders.frozen import FrozenBackbone
from fusiondx.errors import ConfigError, DataError, RunError
from fusiondx.extraction import extractor_of

FROZEN = fdx.Backbone(name="test_efficientnet", freeze=True, size=32, reader=fdx.MLP(hidden=(8,)))
QUICK = fdx.Training(epochs=2, batch_size=8, modality_dropout=0)
N = 16


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FUSIONDX_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry per image that an extractor has looked at."""
    seen: list[int] = []
    forward = FrozenBackbone.forward

    def counted(self: FrozenBackbone, pixels: Any, mask: Any) -> Any:
        seen.append(1)
        return forward(self, pixels, mask)

    monkeypatch.setattr(FrozenBackbone, "forward", counted)
    return seen


def photos(folder: Path, mode: str = "RGB", masks: bool = False, **settings: Any) -> fdx.Cohort:
    """Half of the patients are darker, and ill; patient P1 has a second photograph, P2 has none."""
    folder.mkdir(exist_ok=True)
    random = np.random.default_rng(0)
    rows = []
    for p in [*range(N), 1]:
        name = f"{len(rows)}.png"
        values = random.integers(0, 128, (40, 48, 3)) + 100 * (p % 2)
        PIL.Image.fromarray(values.astype(np.uint8)).convert(mode).save(folder / name)
        inside = np.zeros((40, 48), np.uint8)
        inside[10:20, 5 : 5 + 2 * p] = 255
        PIL.Image.fromarray(inside).save(folder / f"mask{name}")
        rows.append({"patient_id": f"P{p}", "path": "" if p == 2 else name, "mask": "" if p == 2 else f"mask{name}"})
    pd.DataFrame(rows).to_csv(folder / "images.csv", index=False)
    frame = pd.DataFrame({"patient_id": [f"P{p}" for p in range(N)], "ill": [str(p % 2) for p in range(N)]})
    photo = {"kind": "image", "file": "images.csv", "path": "path", "size": 24, **settings}
    if masks:
        photo["mask"] = "mask"
    targets = {"ill": {"kind": "classes", "column": "ill"}}
    return fdx.Cohort.from_frame(frame, modalities={"photo": photo}, targets=targets, data=folder)


def model(spec: Any = FROZEN, **settings: Any) -> fdx.FusionModel:
    return fdx.FusionModel(encoders={"photo": spec}, training=QUICK, **settings)


def test_every_image_is_looked_at_once(tmp_path: Path, cache: Path, looks: list[int]) -> None:
    cohort = photos(tmp_path / "a")
    for train, test in cohort.folds(4):
        model().fit(cohort[train]).predict(cohort[test])
    assert len(looks) == N  # one patient has two, one has none
    model(fusion="mean").fit(photos(tmp_path / "a"))
    assert len(looks) == N  # nor by another process that reads the cohort anew


def test_what_decides_the_features_decides_the_key(tmp_path: Path, cache: Path, looks: list[int]) -> None:
    model().fit(photos(tmp_path / "a"))
    for spec, settings in (
        (FROZEN, {"grey": True}),
        (FROZEN, {"crop": 0.5}),
        (FROZEN, {"masks": True}),
        (FROZEN.replace(size=48), {}),
        (FROZEN.replace(name="test_vit"), {}),
    ):
        before = len(looks)
        model(spec).fit(photos(tmp_path / "a", **settings))
        assert len(looks) == before + N, (spec, settings)
    before = len(looks)
    model(FROZEN.replace(reader=fdx.MLP(hidden=(4,)))).fit(photos(tmp_path / "a"))
    assert len(looks) == before  # who reads them does not matter


def test_other_weights_are_another_extractor(tmp_path: Path, cache: Path, looks: list[int]) -> None:
    cohort = photos(tmp_path / "a")
    for seed in (1, 2):
        torch.manual_seed(seed)
        body = create(FROZEN, 3, (32, 32))
        torch.save(body.state_dict(), tmp_path / f"{seed}.pt")
        model(FROZEN.replace(weights=str(tmp_path / f"{seed}.pt"))).fit(cohort)
    assert len(looks) == 2 * N


def test_weights_written_anew_under_the_same_name_are_read_anew(tmp_path: Path) -> None:
    file, images, found = tmp_path / "w.pt", RawImages(3, (32, 32), white=255), []
    for seed in (1, 2):
        torch.manual_seed(seed)
        torch.save(create(FROZEN, 3, (32, 32)).state_dict(), file)
        os.utime(file, (seed, seed))
        found.append(extractor_of(FROZEN.replace(weights=str(file)), images))
    first, second = (each(torch.full((3, 32, 32), 200.0), None) for each in found)
    assert not torch.equal(first, second)
    assert extractor_of(FROZEN.replace(weights=str(file)), images) is found[1]


def test_features_depend_on_nothing_but_the_image(tmp_path: Path, cache: Path) -> None:
    cohort = photos(tmp_path / "a")
    fitted = model().fit(cohort)
    whole = fitted.predict_proba(cohort)
    (cache / FILE).unlink()
    alone = np.concatenate([fitted.predict_proba(cohort[[p]]) for p in range(N)])
    np.testing.assert_allclose(alone, whole, atol=1e-6)


def test_it_learns_and_survives_saving(tmp_path: Path, cache: Path) -> None:
    cohort = photos(tmp_path / "a", masks=True)
    fitted = fdx.FusionModel(encoders={"photo": FROZEN}, training=fdx.Training(epochs=20, validation=0)).fit(cohort)
    assert fitted.score(cohort.having(["photo"])) > 0.9
    loaded = fdx.FusionModel.load(fitted.save(tmp_path / "model"))
    (cache / FILE).unlink()
    np.testing.assert_array_equal(loaded.predict_proba(cohort), fitted.predict_proba(cohort))


def test_the_patients_images_stay_with_them(tmp_path: Path, cache: Path) -> None:
    cohort = photos(tmp_path / "a")
    fitted = model().fit(cohort)
    order = np.random.default_rng(1).permutation(N)
    np.testing.assert_allclose(fitted.predict_proba(cohort[order]), fitted.predict_proba(cohort)[order], atol=1e-6)


def test_a_tumour_has_features_of_its_own(tmp_path: Path) -> None:
    images = RawImages(3, (32, 32), masked=True, white=255.0)
    extractor = FROZEN.extractor(images)
    assert extractor is not None
    pixels, mask = torch.rand(3, 32, 32) * 255, torch.zeros(1, 32, 32, dtype=torch.bool)
    half = len(extractor.names) // 2
    assert [name.removesuffix(" in the tumour") for name in extractor.names[half:]] == list(extractor.names[:half])
    assert extractor(pixels, mask)[half:].isnan().all()
    everywhere = extractor(pixels, ~mask)
    torch.testing.assert_close(everywhere[half:], everywhere[:half], rtol=1e-3, atol=1e-4)
    mask[:, :16] = True
    assert extractor(pixels, mask).isfinite().all()
    assert not torch.allclose(extractor(pixels, mask)[half:], everywhere[half:])


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
@pytest.mark.parametrize("name", ["test_efficientnet", "test_vit", "test_convnext"])
def test_any_network_and_any_channels(name: str, channels: int) -> None:
    extractor = fdx.Backbone(name=name, freeze=True).extractor(RawImages(channels, (64, 64), white=65535.0))
    assert extractor is not None
    assert extractor(torch.rand(channels, 64, 64) * 65535, None).shape == (len(extractor.names),)


def test_units_without_black_and_white_are_refused() -> None:
    with pytest.raises(ConfigError, match="intensity to a window"):
        FROZEN.extractor(RawImages(1, (32, 32)))


def test_a_size_the_network_cannot_read_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"test_vit cannot read images of 24x40.*multiple of its patches"):
        fdx.Backbone("test_vit", freeze=True).extractor(RawImages(1, (24, 40), white=255))


def test_volumes_in_the_place_of_images_are_refused(tmp_path: Path, cache: Path) -> None:
    fitted, folder = model().fit(photos(tmp_path / "a")), tmp_path / "b"
    folder.mkdir()
    np.save(folder / "v.npy", np.zeros((4, 5, 6), np.int16))
    frame = pd.DataFrame({"patient_id": ["P1"], "path": ["v.npy"]})
    volumes = fdx.Cohort.from_frame(frame, modalities={"photo": fdx.Volume("path")}, data=folder)
    with pytest.raises(DataError, match=r"'photo' is a volume here, but the model was trained on images"):
        fitted.predict(volumes)


def test_other_images_than_in_training_are_refused(tmp_path: Path, cache: Path) -> None:
    fitted = model().fit(photos(tmp_path / "a"))
    fitted.predict(photos(tmp_path / "a", size=99))  # its own size counts, not the cohort's
    with pytest.raises(DataError, match=r"1-channel, 8 bit.*trained on 3-channel"):
        fitted.predict(photos(tmp_path / "a", grey=True))


def test_a_damaged_or_closed_cache_says_so(tmp_path: Path, cache: Path) -> None:
    cohort = photos(tmp_path / "a")
    cache.mkdir()
    (cache / FILE).write_bytes(b"not a database" * 100)
    with pytest.raises(RunError, match=r"damaged. Delete it"):
        model().fit(cohort)
    (cache / FILE).unlink()
    (cache / FILE).mkdir()
    with pytest.raises(RunError, match="cannot be"):
        model().fit(cohort)


def test_a_vector_of_another_length_is_found_again(tmp_path: Path, cache: Path, looks: list[int]) -> None:
    cohort = photos(tmp_path / "a")
    expected = model().fit(cohort).predict_proba(cohort)
    with sqlite3.connect(cache / FILE) as kept:
        kept.execute("update features set vector = x'00'")
    np.testing.assert_array_equal(model().fit(cohort).predict_proba(cohort), expected)
    assert len(looks) == 2 * N


def test_a_run_that_stops_keeps_what_it_found(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fusiondx.data.features.TOGETHER", 4)
    forward, seen = FrozenBackbone.forward, []

    def stopping(self: FrozenBackbone, pixels: Any, mask: Any) -> Any:
        seen.append(1)
        if len(seen) == 11:
            raise KeyboardInterrupt
        return forward(self, pixels, mask)

    monkeypatch.setattr(FrozenBackbone, "forward", stopping)
    cohort = photos(tmp_path / "a")
    with pytest.raises(KeyboardInterrupt):
        model().fit(cohort)
    model().fit(cohort)
    assert len(seen) == 11 + N - 8


class TestWeights:
    """Do pretrained weights fit exactly, or not at all?"""

    @pytest.fixture
    def state(self) -> dict[str, torch.Tensor]:
        torch.manual_seed(3)
        made: dict[str, torch.Tensor] = create(fdx.Backbone(name="test_efficientnet"), 3, (32, 32)).state_dict()
        return made

    def put(self, file: Path, channels: int = 3) -> Any:
        return create(fdx.Backbone(name="test_efficientnet", weights=str(file)), channels, (32, 32))

    def test_both_formats_give_the_same(self, tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
        from safetensors.torch import save_file

        save_file(state, tmp_path / "w.safetensors")
        torch.save({"state_dict": state}, tmp_path / "w.pth")
        for file in ("w.safetensors", "w.pth"):
            body = self.put(tmp_path / file)
            assert all(torch.equal(tensor, state[name]) for name, tensor in body.state_dict().items())

    def test_a_classifier_is_left_over(self, tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
        torch.save({**state, "classifier.weight": torch.zeros(1000, 256)}, tmp_path / "w.pt")
        self.put(tmp_path / "w.pt")

    @pytest.mark.parametrize("change", ["lacking", "strange", "other"])
    def test_anything_else_is_refused(self, tmp_path: Path, state: dict[str, torch.Tensor], change: str) -> None:
        name = next(iter(state))
        changed = {n: t for n, t in state.items() if n != name}
        if change == "strange":
            changed |= {name: state[name], "more.weight": torch.zeros(1)}
        if change == "other":
            changed |= {name: torch.zeros(2, 2)}
        torch.save(changed, tmp_path / "w.pt")
        with pytest.raises(ConfigError, match="do not belong to this network"):
            self.put(tmp_path / "w.pt")

    def test_nothing_in_a_file_is_run(self, tmp_path: Path) -> None:
        torch.save(Bomb(tmp_path / "boom"), tmp_path / "w.pt")
        with pytest.raises(ConfigError, match="cannot be read"):
            self.put(tmp_path / "w.pt")
        assert not (tmp_path / "boom").exists()

    def test_absent_damaged_and_other_files_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="there is no file"):
            self.put(tmp_path / "none.pt")
        for name in ("w.pt", "w.safetensors"):
            (tmp_path / name).write_bytes(b"\x00" * 100)
            with pytest.raises(ConfigError, match="cannot be read"):
                self.put(tmp_path / name)
        torch.save([torch.zeros(2)], tmp_path / "list.pt")
        with pytest.raises(ConfigError, match="something else than tensors"):
            self.put(tmp_path / "list.pt")

    def test_grey_images_meet_the_sum_over_colours(self, tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
        torch.save(state, tmp_path / "w.pt")
        grey, colour = self.put(tmp_path / "w.pt", channels=1).eval(), self.put(tmp_path / "w.pt").eval()
        x = torch.rand(2, 1, 32, 32)
        torch.testing.assert_close(grey(x), colour(x.expand(-1, 3, -1, -1)), rtol=1e-4, atol=1e-5)

    def test_settings_that_contradict_each_other_are_refused(self) -> None:
        with pytest.raises(ValueError, match="not both"):
            fdx.Backbone(pretrained=True, weights="w.pt")
        with pytest.raises(ValueError, match="frozen"):
            fdx.Backbone(size=64)

    def test_the_hub_out_of_reach_says_what_to_fetch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def offline(*args: Any, **settings: Any) -> Any:
            raise OSError("no network")

        monkeypatch.setattr("timm.create_model", offline)
        with pytest.raises(ConfigError, match=r"model.safetensors.*'timm/resnet18.*give its path as 'weights'"):
            create(fdx.Backbone(name="resnet18", pretrained=True), 3, (32, 32))


class Bomb:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return Path.touch, (self.mark,)


@pytest.mark.skipif(not weights.packaged(), reason="the extra 'lite0' is not installed")
class TestPackagedWeights:
    def test_names_and_shapes_are_those_of_timm(self) -> None:
        import timm

        whole = timm.create_model(weights.PACKAGED)
        whole.load_state_dict(weights.from_package(), strict=True)
        assert len(weights.from_package()) == len(whole.state_dict())

    def test_layers_follow_each_other_as_in_the_package(self) -> None:
        """The package's order of layers is timm's: a swap of two layers of one shape would show here."""
        import timm

        assert list(weights.from_package()) == list(timm.create_model(weights.PACKAGED).state_dict())

    def test_it_is_what_images_get_by_default(self) -> None:
        assert default("image") == PRETRAINED
        assert default("volume") != PRETRAINED

    def test_a_picture_of_stripes_is_seen(self) -> None:
        extractor = PRETRAINED.extractor(RawImages(3, (64, 64), white=255.0))
        assert extractor is not None
        assert extractor.images.size == (224, 224)
        x = torch.zeros(3, 224, 224)
        flat = extractor(x, None)
        x[:, ::8] = 255
        assert (extractor(x, None) - flat).abs().max() > 0.1


class TestPace:
    """Do pretrained parts learn more slowly?"""

    def test_from_scratch_all_learn_alike(self) -> None:
        from fusiondx.core.components import ImageShape

        encoder: Any = fdx.Backbone(name="test_efficientnet").build(ImageShape(3, (32, 32)), 8)
        assert encoder.paces() == {}

    def test_body_slower_than_the_rest_and_early_layers_slowest(self, tmp_path: Path, cache: Path) -> None:
        torch.save(create(FROZEN, 3, (24, 24)).state_dict(), tmp_path / "w.pt")
        spec = fdx.Backbone(name="test_efficientnet", weights=str(tmp_path / "w.pt"), pace=0.5, layer_decay=0.5)
        (network,) = model(spec).fit(photos(tmp_path / "a")).networks_
        paces = network.paces()
        assert sum(len(group) for group in paces.values()) == len(list(network.parameters()))
        of = {id(p): pace for pace, group in paces.items() for p in group}
        body = network.encoders["photo"].body
        assert of[id(body.conv_stem.weight)] < of[id(body.blocks[-1][0].conv_pw.weight)] <= 0.5
        assert of[id(network.encoders["photo"].project.weight)] == 1.0

    def test_the_optimiser_takes_smaller_steps(self, tmp_path: Path, cache: Path) -> None:
        torch.save(create(FROZEN, 3, (24, 24)).state_dict(), tmp_path / "w.pt")
        moved = {}
        for pace in (1.0, 0.01):
            spec = fdx.Backbone(name="test_efficientnet", weights=str(tmp_path / "w.pt"), pace=pace)
            (network,) = model(spec).fit(photos(tmp_path / "a")).networks_
            after = network.encoders["photo"].body.conv_stem.weight.detach()
            moved[pace] = float(
                (after - torch.load(tmp_path / "w.pt", weights_only=True)["conv_stem.weight"]).abs().mean()
            )
        assert moved[0.01] < 0.1 * moved[1.0]
