"""Are attributions what their definitions say?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import PIL.Image
import pytest
import torch
from captum.attr import IntegratedGradients, LayerAttribution, LayerGradCam

import fusiondx as fdx
from fusiondx.core.batch import Batch, Items
from fusiondx.core.components import ImageShape, RawImages
from fusiondx.core.targets import Classes, TargetValues
from fusiondx.data.preprocess import BEND
from fusiondx.encoders.frozen import FrozenBackbone
from fusiondx.explain import unfrozen
from fusiondx.explain.heat import STEPS, cam, integrated
from fusiondx.explain.probe import Probe, Read, Reading
from fusiondx.explain.question import Question
from fusiondx.explain.rollout import rolled
from fusiondx.fusion.mean import Mean
from fusiondx.heads.diagnosis import Diagnosis
from fusiondx.network import Network

IDS = np.array(["P0", "P1", "P2"], dtype=object)
BLANK = np.full(3, "", dtype=object)


def diagnosis() -> Any:
    target = TargetValues(Classes("label"), {"label": np.array([0, 1, 0])}, np.ones(3, bool), ("no", "yes"))
    return Diagnosis().build(target, 8)


def test_a_heads_slope_is_that_of_its_formula() -> None:
    answers = torch.randn(3, 2, generator=torch.Generator().manual_seed(0)).requires_grad_()
    reading = Reading(diagnosis(), Question("label", "yes"), IDS, BLANK, np.ones(3, np.int64))
    (found,) = torch.autograd.grad(Read.apply(answers, reading).sum(), answers)
    (true,) = torch.autograd.grad(answers.double().softmax(dim=1)[:, 1].sum(), answers)
    torch.testing.assert_close(found, true, atol=1e-6, rtol=1e-5)


def seeing(size: int) -> tuple[Any, Probe, Callable[[torch.Tensor], torch.Tensor]]:
    """An encoder of images of that size in a network before three patients, and the number as a function of pixels."""
    torch.manual_seed(0)
    encoder = fdx.SmallCNN(channels=(4, 4, 4), dense=4).build(ImageShape(1, (size, size)), 8)
    network = Network({"photo": encoder}, Mean().build(("photo",), 8), {"label": diagnosis()}, 0.0)
    items = Items({"pixels": torch.randn(3, 1, size, size)}, torch.arange(3), 3)
    reading = Reading(
        dict(network.named_heads())["label"], Question("label", "yes", scale="link"), IDS, BLANK, np.ones(3, np.int64)
    )
    probe = Probe.of([network], Batch(tuple(IDS), {"photo": items}, {}), reading)
    return encoder, probe, lambda pixels: probe.number("photo", Items({"pixels": pixels}, items.patient, 3))


def test_maps_of_pixels_are_captums() -> None:
    _, probe, number = seeing(16)  # as many pixels as cells: nothing is averaged
    pixels = probe.items("photo").fields["pixels"]
    start = pixels.mean(dim=(2, 3), keepdim=True).expand_as(pixels)
    # its batches hold the patients several times over, one copy after the other: one point at a time keeps them apart
    theirs = IntegratedGradients(number).attribute(
        pixels, start, n_steps=STEPS, method="riemann_middle", internal_batch_size=3
    )
    torch.testing.assert_close(integrated(probe, "photo"), theirs.sum(dim=1).float(), atol=1e-6, rtol=1e-4)


def test_maps_of_one_layer_are_captums() -> None:
    encoder, probe, number = seeing(32)
    items = probe.items("photo")
    theirs = LayerGradCam(number, encoder.readers[0]).attribute(items.fields["pixels"], attribute_to_layer_input=True)
    cells = theirs.shape[2] * theirs.shape[3]
    large = LayerAttribution.interpolate(theirs, (32, 32), "bilinear")[:, 0] * cells / 32**2
    torch.testing.assert_close(cam(probe, "photo", "gradcam"), large.detach(), atol=1e-7, rtol=1e-4)


@pytest.mark.parametrize("components", [None, 3], ids=["columns", "principal components"])
def test_of_a_linear_model_a_column_did_what_taking_it_away_undoes(components: int | None) -> None:
    random = np.random.default_rng(0)
    names = [f"x{j}" for j in range(6)]
    frame = pd.DataFrame(random.normal(size=(40, 6)) * [1, 2, 3, 1, 1, 5] + 7, columns=names).assign(
        patient_id=[f"P{i}" for i in range(40)], y=lambda f: f["x2"] - f["x5"] + random.normal(size=40)
    )
    settings: dict[str, Any] = {"modalities": {"table": fdx.Table(numeric=("x*",))}, "targets": {"y": fdx.Number("y")}}
    cohort = fdx.Cohort.from_frame(frame, **settings)
    encoder = fdx.MLP(hidden=(), components=components, dropout=0, input_dropout=0)
    training = fdx.Training(epochs=3, validation=0)
    model = fdx.FusionModel({"table": encoder}, "mean", training=training, dim=8).fit(cohort)
    found = model.explain(cohort).features.pivot(index="patient_id", columns="column", values="attribution")
    whole = model.predict(cohort)["y"].value
    for name in names:
        prepared = model.preparations_["table"]
        at = prepared.numeric.index(name)
        average = prepared.median[at] + BEND * prepared.spread[at] * np.sinh(prepared.level[at])
        with pytest.warns(fdx.FusionDxWarning, match="always the same"):
            without = fdx.Cohort.from_frame(frame.assign(**{name: average}), **settings)
        np.testing.assert_allclose(found[name].loc[cohort.ids], whole - model.predict(without)["y"].value, atol=2e-5)


def test_equal_attention_rolls_out_to_equal_shares() -> None:
    encoder = fdx.Backbone(name="test_vit").build(ImageShape(1, (64, 64)), 8).eval()
    for block in encoder.body.blocks:
        block.attn.qkv.weight.data.zero_()
        block.attn.qkv.bias.data.zero_()
    torch.testing.assert_close(rolled(encoder.body, torch.randn(2, 1, 64, 64)), torch.full((2, 4, 4), 1 / 16))


def test_the_map_of_a_frozen_network_adds_up_to_slope_times_feature() -> None:
    """Means and standard deviations are of degree one in a stage's map, so cell by cell they add up to themselves."""
    import timm

    torch.manual_seed(0)
    body = timm.create_model("test_efficientnet", num_classes=0, in_chans=1)
    extractor = FrozenBackbone(
        "test_efficientnet", body.eval().requires_grad_(False), RawImages(1, (64, 64), white=255.0)
    )
    pixels = (255 * torch.rand(1, 64, 64)).numpy()
    slope = torch.randn(1, len(extractor.names))
    heat = unfrozen.cam(extractor, [(pixels, None)], slope, (48, 40), "hirescam")
    features = extractor(torch.from_numpy(pixels), None)
    assert heat.shape == (1, 48, 40)
    torch.testing.assert_close(heat.sum(), (slope[0] * features).sum(), rtol=0.02, atol=0.05)


def test_a_frozen_network_finds_the_planted_spot(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    corners = random.integers(0, 48, size=(60, 2))
    yes = np.resize([True, False], 60)
    for i, (y, x) in enumerate(corners):
        image = 100 + 10 * random.normal(size=(64, 64))
        image[y : y + 16, x : x + 16] += 80 * yes[i]
        PIL.Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(tmp_path / f"{i}.png")
    frame = pd.DataFrame({"patient_id": [f"P{i}" for i in range(60)], "path": [f"{i}.png" for i in range(60)]})
    frame["label"] = np.where(yes, "yes", "no")
    photo = fdx.Image(path="path", size=64)
    cohort = fdx.Cohort.from_frame(
        frame,
        modalities={"photo": photo},
        targets={"label": fdx.Classes("label", classes=("no", "yes"))},
        data=tmp_path,
    )
    encoder = fdx.Backbone(name="test_efficientnet", freeze=True)
    model = fdx.FusionModel({"photo": encoder}, training=fdx.Training(epochs=10, validation=0)).fit(cohort)
    found = model.explain(cohort, label="yes", scale="link").maps["photo"]
    assert found.method == "hirescam"  # its pixels were read once and for all: no gradient goes back to them
    maps = found.values
    inside = [abs(m[y : y + 16, x : x + 16]).mean() / abs(m).mean() for m, (y, x) in zip(maps, corners, strict=True)]
    assert np.mean(np.array(inside)[yes]) > 1.5
    assert np.mean(np.array(inside)[~yes]) < 1.25
