"""Are training images changed at random, their masks with them, by nothing but seed, pass and patient?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import PIL.Image
import pytest
import torch
from torch import Tensor

import fusiondx as fdx
from fusiondx.admission import prepare
from fusiondx.core.settings import parse
from fusiondx.data.augmentation import CHANCES, Augmentation, augmentations
from fusiondx.data.batches import Batches, Prepared
from fusiondx.errors import ConfigError

STILL = Augmentation(mirror="none", rotate=0, zoom=0, shift=0, brightness=0, contrast=0)
PATIENTS, SIDE = 12, 16


def chances(rows: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((rows, CHANCES))


def at(value: float, column: int) -> np.ndarray:
    """One image's chances: in the middle, where nothing changes, but for one."""
    drawn = np.full((1, CHANCES), 0.5)
    drawn[0, column] = value
    return drawn


def disc(height: int, width: int, centre: tuple[float, float]) -> Tensor:
    y, x = torch.meshgrid(torch.arange(height) - centre[0], torch.arange(width) - centre[1], indexing="ij")
    return ((x**2 + y**2) < 36).float()[None, None]


def test_mirrors_turn_each_image_along_its_own_axes() -> None:
    pixels = torch.arange(3 * 2 * 4 * 5, dtype=torch.float32).view(3, 2, 4, 5)
    chosen = np.array([[False, False, True], [True, False, False], [True, True, False]])
    found = STILL.replace(mirror="all").mirrored(pixels.clone(), chosen)
    assert torch.equal(found[0], pixels[0])
    assert torch.equal(found[1], pixels[1].flip(1))
    assert torch.equal(found[2], pixels[2].flip(1, 2))
    found = STILL.replace(mirror="left_right").mirrored(pixels.clone(), chosen)
    assert torch.equal(found[1], pixels[1])
    assert torch.equal(found[2], pixels[2].flip(2))


def test_a_quarter_turn_is_a_quarter_turn() -> None:
    pixels = torch.randn(1, 2, 8, 8)
    turned = STILL.replace(rotate=90)(pixels.clone(), at(1.0, 3), masked=False)
    assert torch.allclose(turned, torch.rot90(pixels, 1, (2, 3)), atol=1e-4) or torch.allclose(
        turned, torch.rot90(pixels, -1, (2, 3)), atol=1e-4
    )


def test_a_turn_keeps_shapes_where_sides_differ() -> None:
    turned = STILL.replace(rotate=90)(disc(24, 48, (11.5, 23.5)), at(1.0, 3), masked=False)
    middle = slice(12, 36)  # beside it the surroundings of the image are its reflection
    assert torch.allclose(turned[..., middle], disc(24, 48, (11.5, 23.5))[..., middle], atol=1e-4)


def test_shift_and_zoom_are_as_large_as_they_say() -> None:
    shifted = STILL.replace(shift=0.25)(disc(32, 32, (16, 16)), at(0.0, 5), masked=False)
    assert torch.equal(shifted.round(), disc(32, 32, (16, 24)))
    grown = STILL.replace(zoom=0.5)(disc(64, 64, (31.5, 31.5)), at(1.0, 4), masked=False)
    assert grown.sum() / disc(64, 64, (31.5, 31.5)).sum() == pytest.approx(1.5**2, rel=0.1)


def test_tones_change_as_much_as_they_say() -> None:
    pixels = torch.randn(1, 3, 8, 8)
    brighter = STILL.replace(brightness=0.3)(pixels.clone(), at(1.0, 8), masked=False)
    assert torch.allclose(brighter, pixels + 0.3, atol=1e-5)
    harder = STILL.replace(contrast=0.2)(pixels.clone(), at(1.0, 9), masked=False)
    assert float(harder.std()) == pytest.approx(1.2 * float(pixels.std()), rel=1e-3)
    assert float(harder.mean()) == pytest.approx(float(pixels.mean()), abs=1e-4)


@pytest.mark.parametrize("size", [(20, 20), (12, 20), (6, 12, 14)])
def test_a_mask_moves_with_its_image_and_stays_a_mask(size: tuple[int, ...]) -> None:
    mask = torch.zeros(30, 1, *size)
    mask[(..., *[slice(2, s // 2) for s in size])] = 1
    both = torch.cat([mask, mask], dim=1)
    found = Augmentation(rotate=60, brightness=0, contrast=0)(both, chances(30), masked=True)
    assert set(found[:, 1].unique().tolist()) == {0.0, 1.0}
    assert torch.equal(found[:, 0].round(), found[:, 1])
    assert len({tuple(image.flatten().tolist()) for image in found[:, 1]}) > 20
    toned = Augmentation(brightness=3)(torch.cat([mask, mask], dim=1), chances(30), masked=True)
    assert set(toned[:, 1].unique().tolist()) == {0.0, 1.0}


def test_nothing_asked_nothing_changed() -> None:
    pixels = torch.randn(5, 3, 8, 8)
    assert torch.allclose(STILL(pixels.clone(), chances(5), masked=False), pixels, atol=1e-6)


@pytest.fixture
def ready(tmp_path: Path) -> Prepared:
    """Two slices per patient in one modality, the same two in another."""
    noise = np.random.default_rng(0)
    for name in ("0.png", "1.png"):
        PIL.Image.fromarray(noise.integers(0, 256, (SIDE, SIDE), dtype=np.uint8)).save(tmp_path / name)
    table = pd.DataFrame({"patient_id": [f"{p}" for p in range(PATIENTS)], "y": np.resize(["a", "b"], PATIENTS)})
    slices = pd.DataFrame({"patient_id": np.repeat(table["patient_id"], 2), "image": ["0.png", "1.png"] * PATIENTS})
    slices.to_csv(tmp_path / "slices.csv", index=False)
    cohort = fdx.Cohort.from_frame(
        table,
        modalities={name: fdx.Image(path="image", file="slices.csv", size=SIDE) for name in ("pre", "post")},
        targets={"y": fdx.Classes("y")},
        data=tmp_path,
    )
    return Prepared(cohort, prepare(cohort))


def seen(batches: Batches, name: str = "pre") -> dict[str, Tensor]:
    """What one pass shows of each patient."""
    return {
        patient: batch.inputs[name].fields["pixels"][batch.inputs[name].patient == row]
        for batch in batches
        for row, patient in enumerate(batch.ids)
    }


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[p], other[p]) for p in one)


def test_what_a_patient_gets_depends_on_seed_pass_and_patient_alone(ready: Prepared) -> None:
    everyone, how = np.arange(PATIENTS), {"pre": Augmentation(), "post": Augmentation()}
    small = Batches(ready, everyone, 3, seed=0, augmentations=how)
    large = Batches(ready, everyone, 12, seed=0, augmentations=how)
    first, second = seen(small), seen(small)
    assert same(first, seen(large))
    assert same(second, seen(large))
    assert not any(torch.equal(first[p], second[p]) for p in first)
    few = seen(Batches(ready, np.array([3, 7]), 2, seed=0, augmentations=how))
    assert same(few, {p: first[p] for p in few})
    assert not same(first, seen(Batches(ready, everyone, 3, seed=1, augmentations=how)))


def test_registered_modalities_move_alike(ready: Prepared) -> None:
    how = {"pre": Augmentation(), "post": Augmentation()}
    one, other = (seen(Batches(ready, np.arange(PATIENTS), 4, seed=0, augmentations=how), n) for n in how)
    assert same(one, other)
    patients = list(one.values())
    assert not torch.equal(patients[0], patients[1])


def test_predictions_see_images_as_they_are(ready: Prepared) -> None:
    everyone = np.arange(PATIENTS)
    plain = seen(Batches(ready, everyone, 4))
    assert same(plain, seen(Batches(ready, everyone, 4, seed=0)))
    assert same(plain, seen(Batches(ready, everyone, 4, augmentations={"pre": Augmentation()})))


def test_defaults_follow_the_kind() -> None:
    kinds = {"clinical": "table", "photo": "image", "ct": "volume"}
    default = augmentations({}, kinds)
    assert {name: how.mirror for name, how in default.items()} == {"photo": "all", "ct": "left_right"}
    assert augmentations({"ct": STILL}, kinds) == {"photo": default["photo"], "ct": STILL}


def test_mistakes_are_named() -> None:
    with pytest.raises(ConfigError, match=r"training.augmentation: 'phto' is no modality .* Did you mean 'photo'"):
        augmentations({"phto": STILL}, {"photo": "image"})
    with pytest.raises(ConfigError, match="'clinical' is no modality whose images are trained on"):
        augmentations({"clinical": STILL}, {"clinical": "table", "photo": "image"})


def test_settings_come_from_a_file() -> None:
    found = parse(fdx.Training, {"augmentation": {"photo": {"rotate": 40}}}, "experiment.yaml")
    assert found.augmentation == {"photo": Augmentation(rotate=40)}
    with pytest.raises(ConfigError, match=r"augmentation\.photo\.rotate: 400 does not fit. Give 180 or less"):
        parse(fdx.Training, {"augmentation": {"photo": {"rotate": 400}}}, "experiment.yaml")
    with pytest.raises(ConfigError, match=r"augmentation\.photo\.rotat: unknown key. Did you mean 'rotate'"):
        parse(fdx.Training, {"augmentation": {"photo": {"rotat": 4}}}, "experiment.yaml")


def test_a_model_trains_on_changed_images_only_where_asked(tmp_path: Path) -> None:
    """Same seed, other images: other weights; without changes, the settings of the changes do not matter."""
    cohort = fdx.Cohort.read(fdx.simulate(tmp_path, 24, missing=0, image_size=16)).select(modalities=["image"])

    def fitted(**settings: Any) -> Tensor:
        training = fdx.Training(epochs=1, validation=0, **settings)
        model = fdx.FusionModel({"image": "smallcnn"}, dim=8, training=training).fit(cohort)
        return torch.cat([p.flatten() for p in model.networks_[0].parameters()])

    off = fitted(augment=False)
    assert not torch.equal(off, fitted())
    assert torch.equal(off, fitted(augment=False, augmentation={"image": Augmentation(rotate=90)}))
    assert not torch.equal(fitted(), fitted(augmentation={"image": Augmentation(rotate=90)}))
