"""Can an encoder learn where the tumour is, and is its drawing judged honestly?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import PIL.Image
import pytest
import torch

import fusiondx as fdx
from fusiondx.core.batch import Items
from fusiondx.core.components import ImageShape
from fusiondx.core.predictions import MaskPrediction
from fusiondx.core.targets import Masks, TargetValues
from fusiondx.errors import ConfigError, RunError
from fusiondx.evaluation.estimate import Estimate
from fusiondx.evaluation.score import score
from fusiondx.reporting import record
from fusiondx.segmentation import Segmentation
from fusiondx.validation import cross_validate, evaluate

SIDE, N = 24, 24
SPECS = {"unet": fdx.UNet(channels=8, depth=2, dropout=0), "fcn": fdx.FCN(channels=(8, 8, 16), scores=8, dropout=0)}
TRAINING = fdx.Training(epochs=25, batch_size=4, learning_rate=1e-2, validation=0, modality_dropout=0)


def scene(random: Any, ill: bool) -> tuple[Any, Any]:
    """A noisy image with a bright disc, larger in the ill, and the disc's mask."""
    y, x = np.mgrid[:SIDE, :SIDE]
    cy, cx = random.uniform(8, 16, 2)
    inside = (y - cy) ** 2 + (x - cx) ** 2 <= (5.5 if ill else 3.5) ** 2
    return np.clip(random.normal(80, 20, (SIDE, SIDE)) + 100 * inside, 0, 255).astype(np.uint8), inside


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> fdx.Cohort:
    """Two images per patient; patient P3 has no mask file, P4's masks are empty, P5 has no image."""
    folder = tmp_path_factory.mktemp("scenes")
    random, rows = np.random.default_rng(0), []
    for p in range(N):
        for n in range(2):
            image, inside = scene(random, p % 2 == 1)
            PIL.Image.fromarray(image).save(folder / f"i{p}_{n}.png")
            PIL.Image.fromarray(np.uint8(255 * inside * (p != 4))).save(folder / f"m{p}_{n}.png")
            rows.append({"patient_id": f"P{p}", "image": f"i{p}_{n}.png", "mask": "" if p == 3 else f"m{p}_{n}.png"})
    table = pd.DataFrame(rows)
    table[table.patient_id != "P5"].to_csv(folder / "images.csv", index=False)
    return read(folder)


def read(folder: Path, **settings: Any) -> fdx.Cohort:
    frame = pd.DataFrame({"patient_id": [f"P{p}" for p in range(N)], "ill": [str(p % 2) for p in range(N)]})
    scan = {"kind": "image", "file": "images.csv", "path": "image", "size": SIDE}
    return fdx.Cohort.from_frame(
        frame,
        modalities={"scan": scan | {"mask": "mask", "mask_use": "segment"} | settings},
        targets={"ill": {"kind": "classes", "column": "ill"}},
        data=folder,
    )


@pytest.fixture(scope="module")
def model(cohort: fdx.Cohort) -> fdx.FusionModel:
    return fdx.FusionModel({"scan": SPECS["unet"]}, training=TRAINING).fit(cohort[:16])


def items(n: int, size: tuple[int, ...], masked: bool = True) -> Items:
    torch.manual_seed(0)
    fields = {
        "pixels": torch.randn(n, 1, *size),
        "mask": (torch.rand(n, 1, *size) > 0.7).float(),
        "masked": torch.full((n,), masked),
    }
    return Items(fields, torch.arange(n), n)


@pytest.mark.parametrize("size", [(20, 12), (8, 10, 12)])
@pytest.mark.parametrize("name", SPECS)
class TestEncoder:
    def built(self, name: str, size: tuple[int, ...], segmented: bool = True) -> Any:
        torch.manual_seed(0)
        return SPECS[name].build(ImageShape(1, size, segmented), 6)

    def test_logits_at_full_size(self, name: str, size: tuple[int, ...]) -> None:
        assert self.built(name, size).segment(items(3, size)).shape == (3, 1, *size)

    def test_masks_cost_and_the_cost_falls(self, name: str, size: tuple[int, ...]) -> None:
        encoder, given, costs = self.built(name, size).train(), items(4, size), []
        given.fields["mask"][:] = 0.0
        given.fields["mask"][:, :, : size[0] // 2] = 1.0
        given.fields["pixels"][given.fields["mask"] > 0] += 3
        optimiser = torch.optim.Adam(encoder.parameters(), lr=0.02)
        for _ in range(30):
            optimiser.zero_grad()
            encoder(given)
            encoder.penalty().backward()
            optimiser.step()
            costs.append(encoder.penalty().item())
        assert 0 < costs[-1] < 0.8 * costs[0]

    def test_without_masks_there_is_no_cost(self, name: str, size: tuple[int, ...]) -> None:
        encoder = self.built(name, size).train()
        for given in (
            items(3, size, masked=False),
            items(0, size),
            Items({"pixels": torch.randn(2, 1, *size)}, torch.arange(2), 2),
        ):
            assert encoder(items(2, size)).values.isfinite().all()  # a cost of before must not stay
            encoder(given)
            assert encoder.penalty() == 0

    def test_only_items_with_a_mask_are_held_against_it(self, name: str, size: tuple[int, ...]) -> None:
        encoder, given = self.built(name, size).eval(), items(4, size)
        encoder(given)
        whole = encoder.penalty()
        given.fields["masked"][2:] = False
        encoder(given)
        some = encoder.penalty()
        given.fields["mask"][2:] = 1.0
        encoder(given)
        assert encoder.penalty() == some != whole

    def test_every_parameter_learns(self, name: str, size: tuple[int, ...]) -> None:
        encoder = self.built(name, size).train()
        values = encoder(items(4, size)).values
        ((values * torch.randn(values.shape)).sum() + encoder.penalty()).backward()
        assert not [n for n, p in encoder.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]

    def test_the_question_does_not_move_the_outline(self, name: str, size: tuple[int, ...]) -> None:
        encoder = self.built(name, size).train()
        encoder(items(4, size)).values.sum().backward()
        assert all(p.grad is None or not p.grad.any() for p in encoder.segmenter.score.parameters())

    def test_not_asked_it_is_as_before(self, name: str, size: tuple[int, ...]) -> None:
        encoder = self.built(name, size, segmented=False)
        assert not encoder.segments
        assert not [n for n, _ in encoder.named_parameters() if "segmenter" in n]


@pytest.mark.parametrize("name", SPECS)
def test_it_learns_to_draw(cohort: fdx.Cohort, name: str) -> None:
    fitted = fdx.FusionModel({"scan": SPECS[name]}, training=TRAINING).fit(cohort[:16])
    found = fitted.segment(cohort[16:])["scan"]
    assert found.probability.shape == (16, SIDE, SIDE)
    assert found.frame()["dice"].mean() > 0.75


def test_patients_without_masks_are_drawn_in_as_well(model: fdx.FusionModel, cohort: fdx.Cohort) -> None:
    found = model.segment(cohort[[3, 4, 5, 6]])["scan"]
    frame = found.frame()
    assert frame.index.tolist() == ["P3", "P4", "P6"]  # P5 has no image
    assert frame["dice"].notna().tolist() == [False, False, True]  # an empty mask gives no overlap to judge
    assert found.masked.tolist() == [False, False, True, True, True, True]
    bare = read(cohort.modalities["scan"].data.paths[0].parent, mask=None)
    np.testing.assert_array_equal(model.segment(bare[[3, 4, 5, 6]])["scan"].mask, found.mask)
    np.testing.assert_allclose(model.predict_proba(bare), model.predict_proba(cohort), atol=1e-6)


def test_evaluate_reports_dice_with_an_interval(model: fdx.FusionModel, cohort: fdx.Cohort, tmp_path: Path) -> None:
    report = evaluate(model, cohort[16:], baselines=False, replicates=100)
    (result,) = report.about("scan tumour")
    dice = result.estimate("dice")
    assert isinstance(dice, Estimate)
    assert dice.value == pytest.approx(model.segment(cohort[16:])["scan"].frame()["dice"].mean())
    assert dice.low < dice.value < dice.high
    assert dice.n == 8
    report.to_html(tmp_path / "report.html")
    assert "scan tumour" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert record.write(report) == record.write(record._report(json.loads(record.write(report))))


def test_cross_validation_compares_drawings(cohort: fdx.Cohort) -> None:
    models = {n: fdx.FusionModel({"scan": s}, training=TRAINING.replace(epochs=2)) for n, s in SPECS.items()}
    report = cross_validate(models, cohort, 2, baselines=False, replicates=50)
    assert {r.model for r in report.about("scan tumour")} == set(SPECS)
    assert (report.differences.query("target == 'scan tumour'")["metric"] == "dice").all()


def test_saved_and_loaded_it_draws_the_same(model: fdx.FusionModel, cohort: fdx.Cohort, tmp_path: Path) -> None:
    loaded = fdx.FusionModel.load(model.save(tmp_path / "model"))
    assert loaded.segments_ == ("scan",)
    np.testing.assert_array_equal(
        loaded.segment(cohort[:4])["scan"].probability, model.segment(cohort[:4])["scan"].probability
    )


def test_members_are_averaged(cohort: fdx.Cohort) -> None:
    training = TRAINING.replace(epochs=1, members=2)
    both = fdx.FusionModel({"scan": SPECS["unet"]}, training=training).fit(cohort)
    mean = both.segment(cohort)["scan"].probability.astype(float)
    networks = both.networks_
    alone = []
    for network in networks:
        both.networks_ = [network]
        alone.append(both.segment(cohort)["scan"].probability.astype(float))
    np.testing.assert_allclose(mean, np.mean(alone, axis=0), atol=1e-3)


def test_who_draws_nothing_says_so(cohort: fdx.Cohort) -> None:
    fitted = fdx.FusionModel({"scan": fdx.ConvNet(channels=(4,))}, training=TRAINING.replace(epochs=1)).fit(cohort)
    assert fitted.segments_ == ()
    with pytest.raises(ConfigError, match="'unet' or 'fcn'"):
        fitted.segment(cohort)


def test_masks_are_saved_at_their_patients_names(model: fdx.FusionModel, cohort: fdx.Cohort, tmp_path: Path) -> None:
    found = model.segment(cohort[[4, 6]])["scan"]
    folder = found.save(tmp_path / "masks")
    assert sorted(f.name for f in folder.iterdir()) == ["1_P4_1.png", "1_P4_2.png", "2_P6_1.png", "2_P6_2.png"]
    written = np.asarray(PIL.Image.open(folder / "2_P6_2.png"))
    np.testing.assert_array_equal(written, np.uint8(255 * found.mask[3]))
    with pytest.raises(RunError, match="masks could not be written"):
        found.save(folder)


def test_no_id_leaves_the_folder_and_volumes_keep_their_axes(tmp_path: Path) -> None:
    import nibabel

    probability = np.zeros((1, 3, 4, 5), np.float16)
    probability[0, 2, 1, 0] = 1
    nothing = np.zeros((1, 3, 4, 5), bool)
    ids = np.array(["../../x/évil"], dtype=object)
    found = Segmentation("ct", ids, np.zeros(1, np.int64), probability, nothing, np.zeros(1, bool))
    (file,) = found.save(tmp_path / "a").iterdir()
    assert file.name == "1_______x__vil_1.nii.gz"
    voxels = np.asarray(nibabel.load(file).dataobj)
    assert voxels.shape == (5, 4, 3)
    assert np.argwhere(voxels).tolist() == [[0, 1, 2]]


class TestDice:
    def test_by_hand(self) -> None:
        ids = np.array(["a", "b", "c"], dtype=object)
        said = MaskPrediction(ids, np.array([4.0, 0.0, 2.0]), np.array([3.0, 0.0, 0.0]))
        truth = TargetValues(Masks("mri"), {"value": np.array([8.0, 5.0, 0.0])}, np.array([True, True, False]))
        dice, iou = score([(said, truth)], replicates=50)
        assert isinstance(dice, Estimate)
        assert isinstance(iou, Estimate)
        assert dice.value == pytest.approx((0.5 + 0.0) / 2)  # c, without tumour, is left out
        assert iou.value == pytest.approx((3 / 9 + 0.0) / 2)

    def test_nobody_with_a_tumour_is_undefined(self) -> None:
        said = MaskPrediction(np.array(["a"], dtype=object), np.ones(1), np.zeros(1))
        (dice, _) = score([(said, TargetValues(Masks("m"), {"value": np.zeros(1)}, np.zeros(1, bool)))])
        assert not isinstance(dice, Estimate)
