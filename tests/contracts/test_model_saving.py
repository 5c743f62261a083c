"""Does a saved model come back the same, whole or not at all, without running anything?"""

from __future__ import annotations

import json
import pickle
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import PIL.Image
import pytest
import torch
from safetensors.torch import load_file, save_file

import fusiondx as fdx
from fusiondx.core.components import ImageShape
from fusiondx.encoders import AnyEncoder
from fusiondx.errors import ConfigError, FusionDxError, RunError
from fusiondx.fusion import AnyFusion, Gated

QUICK = fdx.Training(epochs=1, batch_size=16)
PATIENTS, SIDE = 36, 32


@pytest.fixture(scope="module")
def everyone(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A table with gaps and categories, a wide matrix and an image; a third of the patients lack each of the latter."""
    folder, random = tmp_path_factory.mktemp("files"), np.random.default_rng(0)
    for row in range(PATIENTS):
        PIL.Image.fromarray(random.integers(0, 256, (SIDE, SIDE), dtype=np.uint8)).save(folder / f"{row}.png")
    table = pd.DataFrame(random.normal(size=(PATIENTS, 8)), columns=["age", "size", *(f"g{j}" for j in range(6))])
    table.loc[::5, "size"] = np.nan
    table.loc[::3, [f"g{j}" for j in range(6)]] = np.nan
    table = table.assign(
        patient_id=[f"{row:03d}" for row in range(PATIENTS)],
        sex=random.choice(["female", "male"], PATIENTS),
        image=[f"{row}.png" if row % 3 else None for row in range(PATIENTS)],
        label=random.permutation(np.resize(["no", "yes", "perhaps"], PATIENTS)),
        months=random.exponential(size=PATIENTS),
        event=random.integers(0, 2, PATIENTS),
        dose=random.normal(50, 5, PATIENTS),
    )
    modalities = {
        "clinical": fdx.Table(numeric=("age", "size"), categorical=("sex",)),
        "omics": fdx.Genomics(columns=("g*",)),
        "photo": fdx.Image(path="image", size=SIDE),
    }
    targets = {
        "label": fdx.Classes("label"),
        "survival": fdx.Survival("months", "event"),
        "dose": fdx.Number("dose", unit="mg"),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FUSIONDX_CACHE", str(folder / "cache"))
        yield fdx.Cohort.from_frame(table, modalities=modalities, targets=targets, data=folder)


def fitted(everyone: fdx.Cohort, **settings: Any) -> fdx.FusionModel:
    base = {"dim": 8, "training": QUICK, "encoders": {"photo": fdx.ConvNet(channels=(8,))}}
    return fdx.FusionModel(**{**base, **settings}).fit(everyone)


@pytest.fixture(scope="module")
def model(everyone: fdx.Cohort) -> fdx.FusionModel:
    return fitted(everyone)


def same(one: fdx.FusionModel, other: fdx.FusionModel, patients: fdx.Cohort) -> bool:
    """Whether both predict the same, to the last bit."""
    mine, theirs = one.predict(patients), other.predict(patients)
    fields = {"label": "probability", "survival": "curves", "dose": "value"}
    return set(mine) == set(theirs) and all(
        np.array_equal(getattr(mine[name], field), getattr(theirs[name], field)) for name, field in fields.items()
    )


ENCODERS = get_args(get_args(AnyEncoder)[0])
PROJECTED = [m(components=n) for m in ENCODERS for n in (None, 3) if "components" in m.__dataclass_fields__]
TABLES = [
    *(pytest.param(m(), id=m.kind) for m in ENCODERS if "table" in m.accepts),
    *(pytest.param(spec, id=f"{spec.kind}-{spec.components}") for spec in PROJECTED),
]
IMAGES = [pytest.param(m(), id=m.kind) for m in ENCODERS if "image" in m.accepts]


@pytest.mark.parametrize("spec", [pytest.param(m(), id=m.kind) for m in get_args(get_args(AnyFusion)[0])])
def test_every_fusion_comes_back_the_same(everyone: fdx.Cohort, tmp_path: Path, spec: Any) -> None:
    model = fitted(everyone, fusion=spec)
    loaded = fdx.FusionModel.load(model.save(tmp_path / "model"))
    assert same(model, loaded, everyone)
    assert loaded.fusion == spec


@pytest.mark.parametrize("spec", TABLES)
def test_every_encoder_of_tables_comes_back_the_same(everyone: fdx.Cohort, tmp_path: Path, spec: Any) -> None:
    tables = everyone.select(modalities=["clinical", "omics"])
    model = fitted(tables, encoders={"clinical": spec, "omics": spec})
    assert same(model, fdx.FusionModel.load(model.save(tmp_path / "model")), tables)


@pytest.mark.parametrize("spec", IMAGES)
def test_every_encoder_of_images_comes_back_the_same(everyone: fdx.Cohort, tmp_path: Path, spec: Any) -> None:
    photos = everyone.select(modalities=["photo"])
    model = fitted(photos, encoders={"photo": spec})
    assert same(model, fdx.FusionModel.load(model.save(tmp_path / "model")), photos)


@pytest.mark.parametrize("name", ["type", "keys", "o.s", "50%", "training", "OS / PFS", ""])
def test_targets_of_any_name_are_learnt_and_come_back(everyone: fdx.Cohort, tmp_path: Path, name: str) -> None:
    targets = {name: everyone.targets["label"], f"{name}%2E": everyone.targets["dose"]}
    patients = replace(everyone.select(modalities=["clinical"]), targets=targets)
    model = fitted(patients, encoders=None)
    loaded = fdx.FusionModel.load(model.save(tmp_path / "model"))
    assert list(loaded.predict(patients)) == list(targets)
    assert np.array_equal(loaded.predict_proba(patients), model.predict_proba(patients))


def test_embedded_categories_and_all_members_come_back(everyone: fdx.Cohort, tmp_path: Path) -> None:
    encoders = {"clinical": fdx.MLP(categories="embedding"), "photo": fdx.ConvNet(channels=(8,))}
    model = fitted(everyone, encoders=encoders, training=QUICK.replace(members=2))
    loaded = fdx.FusionModel.load(model.save(tmp_path / "model"))
    assert len(loaded.networks_) == 2
    assert same(model, loaded, everyone)
    assert np.array_equal(model.embed(everyone), loaded.embed(everyone))


def test_everything_else_comes_back(model: fdx.FusionModel, everyone: fdx.Cohort, tmp_path: Path) -> None:
    loaded = fdx.FusionModel.load(model.save(tmp_path / "model"))
    assert loaded.preparations_ == model.preparations_
    assert {n: (t.spec, t.classes) for n, t in loaded.targets_.items()} == {
        n: (t.spec, t.classes) for n, t in model.targets_.items()
    }
    pd.testing.assert_frame_equal(loaded.history_, model.history_, check_dtype=False)
    assert loaded.parameters_ == model.parameters_
    assert (loaded.dim, loaded.seed, loaded.training) == (8, 0, QUICK)
    assert same(loaded.fit(everyone), model, everyone)  # its settings are those of the original, defaults filled in


def test_a_loaded_model_can_be_saved_again(model: fdx.FusionModel, everyone: fdx.Cohort, tmp_path: Path) -> None:
    once = fdx.FusionModel.load(model.save(tmp_path / "once"))
    twice = fdx.FusionModel.load(once.save(tmp_path / "twice"))
    assert same(model, twice, everyone)
    assert (tmp_path / "once/model.json").read_bytes() == (tmp_path / "twice/model.json").read_bytes()


def test_settings_changed_after_the_fit_do_not_spoil_what_is_saved(everyone: fdx.Cohort, tmp_path: Path) -> None:
    model = fitted(everyone)
    before = fdx.FusionModel.load(model.save(tmp_path / "before"))
    model.set_params(fusion="concat", dim=16, training=QUICK.replace(members=3))
    after = fdx.FusionModel.load(model.save(tmp_path / "after"))
    assert same(before, after, everyone)
    assert after.fusion == Gated()


def test_the_folder_holds_json_and_weights_and_no_cell_of_a_patient(model: fdx.FusionModel, tmp_path: Path) -> None:
    folder = model.save(tmp_path / "deep/in/model")
    assert sorted(file.name for file in folder.iterdir()) == ["model.json", "weights.safetensors"]
    written = json.loads((folder / "model.json").read_text())
    assert written["format"] == 4
    assert '"031"' not in (folder / "model.json").read_text()
    assert [p.name for p in folder.parent.iterdir()] == ["model"]


def test_an_existing_folder_is_kept_unless_told_otherwise(
    model: fdx.FusionModel, everyone: fdx.Cohort, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "precious.txt").write_text("keep me")
    with pytest.raises(RunError, match="exists"):
        model.save(folder)
    assert [file.name for file in folder.iterdir()] == ["precious.txt"]
    model.save(folder, overwrite=True)
    assert same(model, fdx.FusionModel.load(folder), everyone)
    assert not (folder / "precious.txt").exists()


STEPS = ["safetensors.torch.save_file", "fusiondx.saving.sync", "fusiondx.saving.json.dumps", "pathlib.Path.rename"]


@pytest.mark.parametrize("step", STEPS)
def test_a_failure_midway_leaves_the_old_model_whole(
    model: fdx.FusionModel, everyone: fdx.Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    folder = model.save(tmp_path / "model")

    def full(*args: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(step, full)
        with pytest.raises(RunError, match=r"could not be saved.*No space left"):
            model.save(folder, overwrite=True)
        with pytest.raises(RunError):
            model.save(tmp_path / "other")
    assert same(model, fdx.FusionModel.load(folder), everyone)
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_a_failure_while_changing_places_leaves_the_old_model_whole(
    model: fdx.FusionModel, everyone: fdx.Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = model.save(tmp_path / "model")
    rename, calls = Path.rename, []

    def second_fails(self: Path, target: Path) -> Path:
        calls.append(target)
        if len(calls) == 2:
            raise OSError(5, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", second_fails)
    with pytest.raises(RunError, match="could not be saved"):
        model.save(folder, overwrite=True)
    assert same(model, fdx.FusionModel.load(folder), everyone)
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_an_interrupt_leaves_the_old_model_whole(
    model: fdx.FusionModel, everyone: fdx.Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = model.save(tmp_path / "model")

    def stopped(file: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("fusiondx.saving.sync", stopped)
    with pytest.raises(KeyboardInterrupt):
        model.save(folder, overwrite=True)
    assert same(model, fdx.FusionModel.load(folder), everyone)
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


# -- folders that are not a whole model -----------------------------------------------------------------------------


@pytest.fixture
def folder(model: fdx.FusionModel, tmp_path: Path) -> Path:
    return model.save(tmp_path / "model")


def edited(folder: Path, change: Any) -> None:
    file = folder / "model.json"
    written = json.loads(file.read_text())
    change(written)
    file.write_text(json.dumps(written))


def refused(folder: Path, match: str | None = None) -> None:
    with pytest.raises((RunError, ConfigError), match=match) as caught:
        fdx.FusionModel.load(folder)
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize("name", ["model.json", "weights.safetensors"])
def test_truncated_or_absent_files_are_refused(folder: Path, name: str) -> None:
    whole = (folder / name).read_bytes()
    for kept in (0, 5, len(whole) // 2, len(whole) - 1):
        (folder / name).write_bytes(whole[:kept])
        refused(folder)
    (folder / name).unlink()
    refused(folder)
    (folder / name).mkdir()
    refused(folder)


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    refused(tmp_path / "nowhere")
    refused(tmp_path)
    (tmp_path / "model.json").write_text("[]")
    save_file({}, tmp_path / "weights.safetensors")
    refused(tmp_path)


@pytest.mark.parametrize("format", [0, 3, "4", None])
def test_other_formats_are_refused(folder: Path, format: object) -> None:
    edited(folder, lambda written: written.update(format=format))
    refused(folder, "format")


KEYS = ["encoders", "fusion", "heads", "dim", "training", "seed", "kinds", "preparations", "targets", "history"]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("instead", [None, "text", {"a": 1}])
def test_a_tampered_description_is_refused(folder: Path, key: str, instead: object) -> None:
    edited(folder, lambda written: written.update({key: instead}))
    refused(folder)


def test_a_component_from_elsewhere_is_refused(folder: Path) -> None:
    for kind in ("os.system", "fusiondx.fusion.gated.Gated", "builtins.eval"):
        edited(folder, lambda written, kind=kind: written.update(fusion={"kind": kind}))
        refused(folder, "unknown kind")


def test_a_missing_key_is_refused_by_name(folder: Path) -> None:
    edited(folder, lambda written: written.pop("fusion"))
    refused(folder, "fusion: missing")


def test_loading_fetches_no_pretrained_weights(
    everyone: fdx.Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = everyone.select(modalities=["photo"])
    folder = fitted(photos, encoders={"photo": fdx.Backbone()}).save(tmp_path / "model")
    edited(folder, lambda written: written["encoders"]["photo"].update(pretrained=True))
    monkeypatch.setattr("fusiondx.encoders.backbone.create", no_downloads())
    loaded = fdx.FusionModel.load(folder)
    assert loaded.encoders == {"photo": fdx.Backbone(pretrained=True)}


def test_frozen_batch_statistics_come_back_without_the_weights_they_came_with(
    everyone: fdx.Cohort, tmp_path: Path
) -> None:
    photos = everyone.select(modalities=["photo"])
    network = fdx.Backbone("test_resnet").build(ImageShape(1, (8, 8)), 4)
    torch.save(network.body.state_dict(), tmp_path / "w.pt")
    model = fitted(
        photos, encoders={"photo": fdx.Backbone("test_resnet", weights=str(tmp_path / "w.pt"), norm="frozen")}
    )
    folder = model.save(tmp_path / "model")
    (tmp_path / "w.pt").unlink()
    assert same(fdx.FusionModel.load(folder), model, photos)


def no_downloads() -> Any:
    from fusiondx.encoders.backbone import create

    def created(spec: fdx.Backbone, channels: int, size: tuple[int, ...]) -> Any:
        assert not spec.pretrained
        return create(spec, channels, size)

    return created


def test_loading_leaves_random_numbers_elsewhere_alone(folder: Path) -> None:
    before = torch.get_rng_state()
    fdx.FusionModel.load(folder)
    assert torch.equal(torch.get_rng_state(), before)


def test_sizes_beyond_reason_are_refused_without_being_built(folder: Path) -> None:
    edited(folder, lambda written: written.update(dim=10**12))
    refused(folder)


def test_weights_of_another_model_are_refused(
    model: fdx.FusionModel, everyone: fdx.Cohort, folder: Path, tmp_path: Path
) -> None:
    other = fitted(everyone, dim=4).save(tmp_path / "other")
    shutil.copy(other / "weights.safetensors", folder / "weights.safetensors")
    refused(folder, "weights do not belong")


def test_weights_lacking_or_of_other_shape_are_refused(folder: Path) -> None:
    weights = load_file(folder / "weights.safetensors")
    name = next(n for n in weights if n.endswith("weight"))
    save_file({n: w for n, w in weights.items() if n != name}, folder / "weights.safetensors")
    refused(folder, "weights do not belong")
    save_file({**weights, "more": torch.zeros(1)}, folder / "weights.safetensors")
    refused(folder, "weights do not belong")
    scale = next(n for n in weights if n.endswith("dose.scale"))
    save_file({**weights, scale: torch.ones(7).double()}, folder / "weights.safetensors")
    refused(folder, "weights do not belong")


def test_pickles_are_never_opened(folder: Path, tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "exploded",)

    for name in ("weights.safetensors", "model.json"):
        (folder / name).write_bytes(pickle.dumps(Bomb()))
        refused(folder)
    torch.save(Bomb(), folder / "weights.safetensors")
    refused(folder)
    assert not (tmp_path / "exploded").exists()


# -- components of the user's own -----------------------------------------------------------------------------------


class Own:
    """A fusion that is not in the union: gated, by another name."""

    def build(self, names: tuple[str, ...], dim: int) -> Any:
        return Gated().build(names, dim)


def test_components_of_one_s_own_work_in_python_and_are_not_saved(
    everyone: fdx.Cohort, model: fdx.FusionModel, tmp_path: Path
) -> None:
    own = fitted(everyone, fusion=Own())
    assert same(own, model, everyone)
    with pytest.raises(ConfigError, match="fusion: Own is not one of fusiondx's own components"):
        own.save(tmp_path / "model")
    assert not list(tmp_path.iterdir())
    assert issubclass(ConfigError, FusionDxError)
