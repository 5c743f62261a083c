"""Does every encoder and head that claims it get explained, and is every mistake told?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import PIL.Image
import pytest
import torch

import fusiondx as fdx
from fusiondx.core.batch import Batch, Items
from fusiondx.core.components import ImageShape, Mapped
from fusiondx.core.predictions import ClassPrediction, CompetingPrediction, LabelsPrediction
from fusiondx.core.targets import Classes, TargetValues
from fusiondx.errors import ConfigError
from fusiondx.explain.heat import cam, integrated, reads_maps
from fusiondx.explain.probe import Probe, Reading
from fusiondx.explain.question import Question, asked
from fusiondx.explain.rollout import rollout, transformer
from fusiondx.fusion.mean import Mean
from fusiondx.heads.diagnosis import Diagnosis
from fusiondx.network import Network

ONE_EPOCH = fdx.Training(epochs=1, validation=0, augment=False)
IDS = np.array(["P0", "P1", "P2"], dtype=object)


def probe_of(spec: Any, size: tuple[int, ...], segmented: bool = False) -> Probe:
    """Two untrained networks that read three images of two patients; the third patient has none."""
    torch.manual_seed(0)
    shape = ImageShape(1, size, segmented)
    target = TargetValues(Classes("label"), {"label": np.array([0, 1, 0])}, np.ones(3, bool), ("no", "yes"))
    networks = [
        Network(
            {"photo": spec.build(shape, 8)}, Mean().build(("photo",), 8), {"label": Diagnosis().build(target, 8)}, 0.0
        )
        for _ in range(2)
    ]
    fields = {"pixels": torch.randn(3, 1, *size)}
    if segmented:
        fields |= {"mask": torch.zeros(3, 1, *size), "masked": torch.zeros(3, dtype=torch.bool)}
    batch = Batch(tuple(IDS), {"photo": Items(fields, torch.tensor([0, 0, 1]), 3)}, {})
    question = Question("label", "yes", scale="link")
    head = dict(networks[0].named_heads())["label"]
    reading = Reading(head, question, IDS, np.full(3, "", object), np.ones(3, np.int64))
    return Probe.of(networks, batch, reading)


FLAT = {
    "convnet": fdx.ConvNet(channels=(4, 8)),
    "grid": fdx.ConvNet(channels=(4, 8), grid=2),
    "smallcnn": fdx.SmallCNN(channels=(4, 4, 4), dense=4),
    "alexnet": fdx.AlexNet(width=0.05),
    "fcn": fdx.FCN(channels=(4, 4, 4), scores=4),
    "unet": fdx.UNet(channels=4, depth=1),
    "unet_grid": fdx.UNet(channels=4, depth=1, grid=2),
    "densenet": fdx.DenseNet(blocks=(1, 1), initial=4, growth=2),
    "resnet": fdx.ResNet(channels=(8, 8, 8, 8)),
    "backbone": fdx.Backbone(name="test_efficientnet"),
    "vit_grid": fdx.Backbone(name="test_vit", grid=2),
}
DEEP = {name: FLAT[name] for name in ("convnet", "grid", "fcn", "unet", "unet_grid", "densenet", "resnet")}


@pytest.mark.parametrize("name", FLAT)
def test_every_image_encoder_that_trains_gives_maps(name: str) -> None:
    probe = probe_of(FLAT[name], (32, 32))
    for heat in (integrated(probe, "photo"), cam(probe, "photo", "hirescam")):
        assert heat.shape == (3, 32, 32)
        assert torch.isfinite(heat).all()
        assert (heat.flatten(1).abs().sum(dim=1) > 0).all()
    assert torch.isfinite(cam(probe, "photo", "gradcam")).all()


@pytest.mark.parametrize("name", DEEP)
def test_volumes_get_maps_too(name: str) -> None:
    probe = probe_of(DEEP[name], (8, 20, 16))
    for heat in (integrated(probe, "photo"), cam(probe, "photo", "hirescam")):
        assert heat.shape == (3, 8, 20, 16)
        assert (heat.flatten(1).abs().sum(dim=1) > 0).all()


@pytest.mark.parametrize("name", ["unet", "fcn"])
def test_what_the_tumour_looks_like_counts_in_the_map(name: str) -> None:
    probe = probe_of(FLAT[name], (32, 32), segmented=True)
    with_it = cam(probe, "photo", "hirescam")
    for network in probe.networks:
        network.encoders["photo"].segmenter.project.weight.data.zero_()
    assert not torch.allclose(with_it, cam(probe, "photo", "hirescam"))


@pytest.mark.parametrize("name", ["test_vit", "test_vit3"])  # the latter pools by attention
def test_a_vision_transformer_tells_where_it_looked(name: str) -> None:
    probe = probe_of(fdx.Backbone(name=name), (64, 64))
    encoder = probe.networks[0].encoders["photo"]
    assert isinstance(encoder, Mapped)
    assert not reads_maps(encoder)
    assert transformer(encoder) is not None
    heat = rollout(probe, "photo")
    torch.testing.assert_close(heat.flatten(1).sum(dim=1), torch.ones(3))
    assert all(module.fused_attn for module in encoder.modules() if hasattr(module, "fused_attn"))


def cohort(folder: Path, patients: int = 18, photos: bool = True) -> fdx.Cohort:
    """A table with a gap and a category, genes for some, and one or two photographs for some."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame(random.normal(size=(patients, 4)), columns=["gene_a", "gene_b", "gene_c", "age"]).assign(
        patient_id=[f"P{i:02d}" for i in range(patients)],
        sex=np.resize(["<b>f</b>", "m"], patients),
        label=np.resize(["low", "mid", "high"], patients),
        months=random.exponential(20, size=patients) + 1,
        cause=np.resize([1, 2, 0], patients),
        event=np.resize([1, 0], patients),
        lung=np.resize([1, 0], patients),
        liver=np.resize([0, 1, 1], patients),
        score=random.normal(size=patients),
    )
    frame.loc[3, "age"] = np.nan
    owners = [id for i, id in enumerate(frame["patient_id"]) for _ in range(i % 3)]
    for i in range(len(owners)):
        PIL.Image.fromarray(random.integers(0, 255, (24, 24), dtype=np.uint8)).save(folder / f"{i}.png")
    images = pd.DataFrame({"patient_id": owners, "path": [f"{i}.png" for i in range(len(owners))]})
    images.to_csv(folder / "images.csv", index=False)
    frame[["patient_id", "gene_a", "gene_b", "gene_c"]][::2].to_csv(folder / "genes.csv", index=False)
    modalities = {
        "clinical": fdx.Table(numeric=("age",), categorical=("sex",)),
        "omics": fdx.Genomics(file="genes.csv", columns=("gene_*",)),
        "photo": fdx.Image(file="images.csv", path="path", size=24),
    }
    targets = {
        "label": fdx.Classes("label", classes=("low", "mid", "high")),
        "grade": fdx.Classes("label", classes=("low", "mid", "high"), ordered=True),
        "survival": fdx.Survival("months", "event"),
        "cause": fdx.CompetingRisks("months", "cause", causes=("cancer", "other")),
        "sites": fdx.Labels(("lung", "liver")),
        "score": fdx.Number("score", unit="points"),
    }
    return fdx.Cohort.from_frame(frame, modalities=modalities, targets=targets, data=folder)


@pytest.fixture(scope="module")
def everyone(tmp_path_factory: pytest.TempPathFactory) -> fdx.Cohort:
    return cohort(tmp_path_factory.mktemp("explained"))


@pytest.fixture(scope="module")
def model(everyone: fdx.Cohort) -> fdx.FusionModel:
    encoders = {
        "clinical": "gene_gate",
        "omics": fdx.Pathways(sets={"one": ("gene_a", "gene_b"), "two": ("gene_b", "gene_c")}),
        "photo": fdx.SmallCNN(channels=(4, 4, 4), dense=4),
    }
    return fdx.FusionModel(encoders, "attention", dim=8, training=ONE_EPOCH).fit(everyone)


@pytest.mark.parametrize(
    ("target", "choice", "outcome"),
    [
        ("label", {"label": "high"}, "high"),
        ("grade", {"label": "mid", "scale": "link"}, "mid"),
        ("survival", {"horizon": 12}, "event by 12 months"),
        ("survival", {"horizon": 12, "scale": "link"}, "event by 12 months"),
        ("cause", {"label": "other", "horizon": 12, "scale": "link"}, "other by 12 months"),
        ("sites", {"label": "liver"}, "liver"),
        ("score", {}, "score (points)"),
    ],
)
def test_every_kind_of_target_is_explained(
    model: fdx.FusionModel, everyone: fdx.Cohort, target: str, choice: dict[str, Any], outcome: str
) -> None:
    found = model.explain(everyone[:5], target, **choice)
    assert set(found.values["outcome"]) == {outcome}
    added = found.modalities.groupby("patient_id")["contribution"].sum().to_numpy()
    np.testing.assert_allclose(added, (found.values["value"] - found.values["with_nothing"]), atol=1e-9)
    assert (found.modalities.loc[~found.modalities["present"], "contribution"] == 0).all()
    spread = found.completeness["difference"].abs().clip(lower=0.1)
    assert (found.completeness["gap"].abs() <= 0.05 * spread).all()
    assert np.isfinite(found.maps["photo"].values).all()
    assert found.notes == ()


def test_patients_are_explained_alone_as_together(model: fdx.FusionModel, everyone: fdx.Cohort) -> None:
    together, alone = (model.explain(c, "label", label="low") for c in (everyone[:8], everyone[[7, 2]]))
    for frame, value in (("modalities", "contribution"), ("features", "attribution"), ("attention", "weight")):
        key = [c for c in getattr(alone, frame).columns if c in ("patient_id", "modality", "column", "source", "part")]
        both = getattr(alone, frame).merge(getattr(together, frame), on=key, validate="1:1")
        assert len(both) == len(getattr(alone, frame))
        np.testing.assert_allclose(both[f"{value}_x"], both[f"{value}_y"], atol=1e-5)
    np.testing.assert_allclose(alone.maps["photo"].of("P07"), together.maps["photo"].of("P07"), atol=1e-6)
    assert list(alone.neighbours["patient_id"].unique()) == ["P07", "P02"]


def test_gene_sets_and_their_genes_add_up_alike(model: fdx.FusionModel, everyone: fdx.Cohort) -> None:
    found = model.explain(everyone[:6], "label", label="low")
    genes = found.features[found.features["modality"] == "omics"].groupby("patient_id")["attribution"].sum()
    sets = found.pathways.groupby("patient_id")["attribution"].sum()
    pd.testing.assert_series_equal(genes, sets)
    assert set(found.pathways["pathway"]) == {"one", "two"}


def test_attention_is_named(model: fdx.FusionModel, everyone: fdx.Cohort) -> None:
    found = model.explain(everyone[:9], "label", label="low").attention
    parts = found.groupby(["modality", "source"])["part"].unique().map(set).to_dict()
    assert parts["clinical", "gene gate"] >= {"age", "sex"}
    assert parts["omics", "fusion attention"] == {"one", "two"}
    assert parts["photo", "fusion attention"] == {"item 1", "item 2"}
    gates = found[found["source"] == "gene gate"].groupby("patient_id")["weight"].sum()
    np.testing.assert_allclose(gates, 1, rtol=1e-5)


def test_tabnets_masks_and_kinks(everyone: fdx.Cohort) -> None:
    """Its masks switch columns on and off along the path, so that the sum needs many points, for some patients."""
    only = everyone.select(modalities=["clinical"], targets=["label"])
    tabnet = fdx.FusionModel({"clinical": "tabnet"}, dim=8, training=ONE_EPOCH).fit(only)
    together, alone = tabnet.explain(only[:4], label="low"), tabnet.explain(only[2:3], label="low")
    masks = together.attention.groupby(["source", "patient_id"])["weight"].sum()
    np.testing.assert_allclose(masks.loc["TabNet mask"], 1, rtol=1e-5)
    found = together.features.set_index(["patient_id", "column"])["attribution"]
    np.testing.assert_allclose(found["P02"], alone.features["attribution"], atol=1e-6)
    assert (
        together.completeness["gap"].abs() <= 0.01 * together.completeness["difference"].abs().clip(lower=0.1)
    ).all()


@pytest.mark.parametrize("encoder", ["tabnet", "gene_gate"])
def test_several_rows_of_a_patient_are_no_gap_and_their_weights_a_mean(tmp_path: Path, encoder: str) -> None:
    """Three visits of every other patient, one of the rest, the last of which has a gap."""
    random = np.random.default_rng(0)
    whose = [f"P{i:02d}" for i in range(12) for _ in range(1 if i % 2 else 3)]
    labs = pd.DataFrame({"patient_id": whose, "marker": random.normal(size=len(whose))})
    labs["month"] = -labs.groupby("patient_id").cumcount()
    labs["other"] = random.normal(size=len(whose))
    labs.iloc[-1, labs.columns.get_loc("marker")] = np.nan
    labs.to_csv(tmp_path / "labs.csv", index=False)
    patients = pd.DataFrame({"patient_id": [f"P{i:02d}" for i in range(12)], "label": np.resize(["low", "high"], 12)})
    visits = {"labs": fdx.Table(file="labs.csv", numeric=("marker", "other"), time="month")}
    seen = fdx.Cohort.from_frame(
        patients, modalities=visits, targets={"label": fdx.Classes("label", classes=("low", "high"))}, data=tmp_path
    )
    found = fdx.FusionModel({"labs": encoder}, dim=8, training=ONE_EPOCH).fit(seen).explain(seen, label="high")
    weights = found.attention[found.attention["source"].isin(["TabNet mask", "gene gate"])]
    np.testing.assert_allclose(weights.groupby("patient_id")["weight"].sum(), np.ones(12), rtol=1e-5)
    assert not weights.duplicated(["patient_id", "part"]).any()
    assert "marker (3 rows)" in found.card("P00").html
    assert "(missing)" not in found.card("P00").html
    assert "marker = " in found.card("P01").html
    assert "marker (missing)" in found.card("P11").html


@pytest.mark.parametrize("scale", ["probability", "link"])
def test_outcomes_are_asked_for_by_their_whole_name(scale: Any) -> None:
    """Names that hold what a horizon is told with."""
    names, chance = ("spread by blood", "spread by lymph"), np.array([[0.3, 0.7]])
    diagnosis, findings = ClassPrediction(IDS[:1], names, chance), LabelsPrediction(IDS[:1], names, chance)
    risks = CompetingPrediction(IDS[:1], names, chance, np.ones(1), chance[:, :, None])
    for said in (diagnosis, findings, risks):
        for place, name in enumerate(names):
            question = asked(said, "course", name, None, scale)
            assert question.choice(question.outcomes(said)) == [place]
        for part in ("spread", "spread by blood by 1 months"):
            question = asked(said, "course", part, None, scale)
            with pytest.raises(ConfigError, match="Known: spread by blood, spread by lymph"):
                question.choice(question.outcomes(said))
    question = asked(risks, "course", names[1], 1.0, scale)
    assert question.outcomes(risks).names == ("spread by blood by 1 months", "spread by lymph by 1 months")


def test_a_card_is_whole_and_safe(model: fdx.FusionModel, everyone: fdx.Cohort, tmp_path: Path) -> None:
    found = model.explain(everyone[:6], "survival", horizon=12)
    page, picture = found.card("P05").save(tmp_path / "cards")
    text = page.read_text()
    assert "<b>f</b>" not in text
    assert "<script" not in text
    assert "http" not in text.replace("http://www.w3.org", "").replace("http-equiv", "")
    assert "missing" in found.card("P01").html  # who has no genes
    assert "photo, image 2 of 2" in text
    assert PIL.Image.open(picture).size[0] > 1000
    assert PIL.Image.open(found.plot().save(tmp_path / "all.png")).size[0] > 1000
    assert {f.name for f in found.save(tmp_path / "tables").iterdir()} >= {"modalities.csv", "features.csv"}
    with pytest.raises(fdx.FusionDxError, match="no patient 'P99'"):
        found.card("P99")


def test_a_loaded_model_wants_the_training_patients(
    model: fdx.FusionModel, everyone: fdx.Cohort, tmp_path: Path
) -> None:
    again = fdx.FusionModel.load(model.save(tmp_path / "model"))
    without = again.explain(everyone[:3], "label")
    assert not len(without.features)
    assert any("Pass reference" in note for note in without.notes)
    given, before = again.explain(everyone[:3], "label", reference=everyone), model.explain(everyone[:3], "label")
    np.testing.assert_allclose(given.features["attribution"], before.features["attribution"], atol=1e-6)


def test_a_card_of_bags_volumes_and_drawn_tumours(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    table = pd.DataFrame({"patient_id": [f"P{i}" for i in range(8)], "label": ["no", "yes"] * 4})
    for i in range(8):
        np.save(tmp_path / f"bag{i}.npy", random.normal(size=(3 + i, 5)).astype(np.float32))
        np.save(tmp_path / f"ct{i}.npy", random.normal(size=(6, 12, 12)).astype(np.float32))
        PIL.Image.fromarray(random.integers(0, 255, (16, 16), dtype=np.uint8)).save(tmp_path / f"photo{i}.png")
        mask = np.zeros((16, 16), np.uint8)
        mask[4:10, 4:10] = 255
        PIL.Image.fromarray(mask).save(tmp_path / f"mask{i}.png")
        table.loc[i, ["bag", "ct", "photo", "mask"]] = [f"bag{i}.npy", f"ct{i}.npy", f"photo{i}.png", f"mask{i}.png"]
    table.loc[1, "bag"] = None
    cohort = fdx.Cohort.from_frame(
        table,
        modalities={
            "slide": fdx.Bag("bag"),
            "ct": fdx.Volume("ct", size=(6, 12, 12)),
            "photo": fdx.Image("photo", mask="mask", size=16, mask_use="segment"),
        },
        targets={"label": fdx.Classes("label")},
        data=tmp_path,
    )
    encoders = {"ct": fdx.ConvNet(channels=(4,)), "photo": fdx.UNet(channels=4, depth=1)}
    found = fdx.FusionModel(encoders, dim=8, training=ONE_EPOCH).fit(cohort).explain(cohort)
    patches = found.attention[(found.attention["modality"] == "slide") & (found.attention["patient_id"] == "P2")]
    assert len(patches) == 5  # one weight for each of the patient's patches
    assert patches["weight"].sum() == pytest.approx(1, abs=1e-5)
    text = found.card("P2").html
    assert "1 bag of patches" in text
    assert "The slice with the strongest heat is shown" in text
    assert "The yellow outline is the predicted tumour" in text
    share = float((found.segmentations["photo"].probability[2] >= 0.5).mean())
    assert f"{share:.3f}" in text.split("share of the image")[1][:200]
    assert "missing" in found.card("P1").html


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        ({}, "several targets"),
        ({"target": "lable"}, "Did you mean 'label'"),
        ({"target": "label", "label": "hihg"}, "Did you mean 'high'"),
        ({"target": "label", "horizon": 12}, "does not depend on time"),
        ({"target": "survival", "label": "high"}, "one outcome only"),
        ({"target": "survival", "horizon": -1}, "negative"),
        ({"target": "label", "scale": "odds"}, "'probability' or 'link'"),
        ({"target": "label", "method": "cam"}, "one of: integrated, hirescam, gradcam"),
    ],
)
def test_mistakes_are_told(model: fdx.FusionModel, everyone: fdx.Cohort, choice: dict[str, Any], told: str) -> None:
    with pytest.raises(fdx.FusionDxError, match=told):
        model.explain(everyone[:2], **choice)


def test_what_cannot_be_mapped_is_named(everyone: fdx.Cohort) -> None:
    encoders = {"photo": fdx.Radiomics(families=("first_order",))}
    only = everyone.select(modalities=["photo"], targets=["label"])
    found = fdx.FusionModel(encoders, dim=8, training=ONE_EPOCH).fit(only).explain(only)
    assert found.notes == ("'photo': no heat maps, for its encoder allows none by this method.",)
    assert len(found.features)
