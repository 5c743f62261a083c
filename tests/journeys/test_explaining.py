"""Do explanations find what was planted, follow the weights, and reach a reader?"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import PIL.Image
import pytest
import torch

import fusiondx as fdx
from fusiondx.explain.explanation import Explanation

Array = npt.NDArray[Any]

GENES, SIZE, SPOT, CELL = 20, 32, 8, 4
SMALL = fdx.SmallCNN(channels=(8, 16, 16), dense=16)
PLANTED = "gene_07"
TISSUE = 110.0


class Planted:
    """A cohort whose class says whether one gene and the brightness of a spot, somewhere in an image, add up to more
    than nothing."""

    def __init__(self, folder: Path, patients: int, seed: int = 0) -> None:
        random = np.random.default_rng(seed)
        self.folder = folder
        genes = random.normal(size=(patients, GENES))
        bright = random.choice([-1.0, 1.0], size=patients) * random.uniform(0.5, 1.5, size=patients)
        self.corner = random.integers(0, (SIZE - SPOT) // CELL + 1, size=(patients, 2)) * CELL
        self.images = TISSUE + 12 * random.normal(size=(patients, SIZE, SIZE))
        for image, (y, x), light in zip(self.images, self.corner, bright, strict=True):
            image[y : y + SPOT, x : x + SPOT] += 60 * light
        column = genes[:, int(PLANTED[-2:])]
        self.frame = pd.DataFrame(genes, columns=[f"gene_{j:02d}" for j in range(GENES)]).assign(
            patient_id=[f"P{i:03d}" for i in range(patients)],
            label=np.where(column + 1.5 * bright > 0, "yes", "no"),
            months=30 * (random.exponential(size=patients) * np.exp(-column - 1.5 * bright)).clip(1e-3),
            event=1,
        )

    def cohort(self, frame: pd.DataFrame | None = None, images: Array | None = None) -> fdx.Cohort:
        """The cohort, perhaps with other genes or other images."""
        pixels = (self.images if images is None else images).clip(0, 255).astype(np.uint8)
        place = self.folder / hashlib.sha256(pixels.tobytes()).hexdigest()
        table = (self.frame if frame is None else frame).assign(image=[f"{i}.png" for i in range(len(self.frame))])
        if not place.exists():
            place.mkdir(parents=True)
            for i, image in enumerate(pixels):
                PIL.Image.fromarray(image).save(place / f"{i}.png")
        return fdx.Cohort.from_frame(
            table,
            modalities={"omics": fdx.Table(numeric=("gene_*",)), "photo": fdx.Image(path="image", size=SIZE)},
            targets={"label": fdx.Classes("label", classes=("no", "yes")), "survival": fdx.Survival("months", "event")},
            data=place,
        )


def some(planted: Planted, rows: slice) -> Planted:
    """The same for some of the patients."""
    part = object.__new__(Planted)
    part.folder, part.frame = planted.folder, planted.frame[rows].reset_index(drop=True)
    part.corner, part.images = planted.corner[rows], planted.images[rows]
    return part


def fitted(cohort: fdx.Cohort, omics: Any = "mlp", photo: Any = SMALL, epochs: int = 30) -> fdx.FusionModel:
    training = fdx.Training(epochs=epochs, validation=0, augment=False)
    return fdx.FusionModel({"omics": omics, "photo": photo}, "concat", training=training).fit(cohort)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    return Planted(tmp_path_factory.mktemp("planted"), 140)


@pytest.fixture(scope="module")
def model(planted: Planted) -> fdx.FusionModel:
    return fitted(some(planted, slice(0, 120)).cohort())


@pytest.fixture(scope="module")
def shown(planted: Planted) -> Planted:
    return some(planted, slice(120, 140))


@pytest.fixture(scope="module")
def explanation(model: fdx.FusionModel, shown: Planted) -> Explanation:
    return model.explain(shown.cohort(), "label", label="yes", scale="link")


def peaks_inside(explanation: Explanation, planted: Planted) -> Array:
    """Whether each heat map is strongest within the planted spot, give or take two pixels."""
    maps = np.abs(explanation.maps["photo"].values)
    y, x = np.unravel_index(maps.reshape(len(maps), -1).argmax(axis=1), maps.shape[1:])
    low, high = planted.corner.T - 2, planted.corner.T + SPOT + 2
    return np.asarray((y >= low[0]) & (y < high[0]) & (x >= low[1]) & (x < high[1]))


def strongest(explanation: Explanation) -> str:
    """The column with the largest mean attribution."""
    size = explanation.features["attribution"].abs().groupby(explanation.features["column"]).mean()
    return str(size.idxmax())


def areas(model: fdx.FusionModel, said: Array, deleted: Iterator[fdx.Cohort]) -> Array:
    """Area under each patient's deletion curve: the mean log odds of the class predicted at first, as more goes."""
    rows = np.arange(len(said))
    curves = []
    for cohort in deleted:
        p = model.predict_proba(cohort, "label")[rows, said].clip(1e-9, 1 - 1e-9)
        curves.append(np.log(p / (1 - p)))
    return np.mean(curves, axis=0)


def without_genes(planted: Planted, order: Array, mean: pd.Series[Any], steps: int) -> Iterator[fdx.Cohort]:
    """The cohort with more and more genes at the training patients' mean, in each patient's order."""
    names = np.array([f"gene_{j:02d}" for j in range(GENES)])
    for gone in np.linspace(0, GENES, steps + 1).astype(int)[1:-1]:
        frame = planted.frame.copy()
        values = frame[names].to_numpy(copy=True)
        np.put_along_axis(values, order[:, :gone], mean[names].to_numpy()[order[:, :gone]], axis=1)
        yield planted.cohort(frame.assign(**dict(zip(names, values.T, strict=True))))


def without_cells(planted: Planted, order: Array, steps: int) -> Iterator[fdx.Cohort]:
    """The cohort with more and more cells of its images replaced by tissue."""
    side = SIZE // CELL
    for gone in np.linspace(0, side**2, steps + 1).astype(int)[1:-1]:
        images = planted.images.copy()
        for image, cells in zip(images, order[:, :gone], strict=True):
            for y, x in zip(*np.divmod(cells, side), strict=True):
                image[y * CELL : (y + 1) * CELL, x * CELL : (x + 1) * CELL] = TISSUE
        yield planted.cohort(images=images)


def pushes_of_genes(model: fdx.FusionModel, planted: Planted) -> Array:
    """The attribution of every gene, in the order of their numbers."""
    cohort = planted.cohort()
    found = model.explain(cohort, "label", scale="link").features
    return found.pivot(index="patient_id", columns="column", values="attribution").loc[cohort.ids].to_numpy()


def falls_of_genes(model: fdx.FusionModel, planted: Planted) -> Array:
    """By how much the number falls without each gene alone."""
    cohort, frame = planted.cohort(), planted.frame
    said, names = model.predict_proba(cohort, "label").argmax(axis=1), [f"gene_{j:02d}" for j in range(GENES)]
    mean = model.cohort_.table.frame(names).mean()
    without = [areas(model, said, iter([planted.cohort(frame.assign(**{name: mean[name]}))])) for name in names]
    return areas(model, said, iter([cohort]))[:, None] - np.stack(without, axis=1)


def genes_beat_random(model: fdx.FusionModel, planted: Planted, pushes: Array, draws: int, steps: int) -> int:
    """Patients whose deletion curve by `pushes` falls faster than the mean curve of random orders."""
    cohort, random = planted.cohort(), np.random.default_rng(0)
    names = [f"gene_{j:02d}" for j in range(GENES)]
    said, mean = model.predict_proba(cohort, "label").argmax(axis=1), model.cohort_.table.frame(names).mean()
    ours = areas(model, said, without_genes(planted, np.argsort(-pushes, axis=1), mean, steps))
    orders = [random.permuted(np.tile(np.arange(GENES), (len(cohort), 1)), axis=1) for _ in range(draws)]
    theirs = np.mean([areas(model, said, without_genes(planted, o, mean, steps)) for o in orders], axis=0)
    return int((ours < theirs).sum())


def cells_beat_random(model: fdx.FusionModel, planted: Planted, draws: int, steps: int) -> int:
    """The same for the cells of images, by heat."""
    cohort, random = planted.cohort(), np.random.default_rng(0)
    maps = model.explain(cohort, "label", scale="link").maps["photo"].values
    side = SIZE // CELL
    heat = maps.reshape(len(maps), side, CELL, side, CELL).sum(axis=(2, 4)).reshape(len(maps), -1)
    said = model.predict_proba(cohort, "label").argmax(axis=1)
    ours = areas(model, said, without_cells(planted, np.argsort(-heat, axis=1), steps))
    orders = [random.permuted(np.tile(np.arange(side**2), (len(cohort), 1)), axis=1) for _ in range(draws)]
    theirs = np.mean([areas(model, said, without_cells(planted, order, steps)) for order in orders], axis=0)
    return int((ours < theirs).sum())


def test_the_planted_gene_and_the_planted_spot_are_found(explanation: Explanation, shown: Planted) -> None:
    assert strongest(explanation) == PLANTED
    assert peaks_inside(explanation, shown).mean() >= 0.75


def test_modalities_add_up_and_the_signs_are_right(explanation: Explanation, shown: Planted) -> None:
    added = explanation.modalities.pivot(index="patient_id", columns="modality", values="contribution")
    values = explanation.values.set_index("patient_id")
    np.testing.assert_allclose(added.sum(axis=1), values["value"] - values["with_nothing"], atol=1e-9)
    genes = shown.frame.set_index("patient_id")[PLANTED]
    assert np.corrcoef(added["omics"], genes.loc[added.index])[0, 1] > 0.6


def test_deleting_by_attribution_beats_random_orders(model: fdx.FusionModel, shown: Planted) -> None:
    few = some(shown, slice(0, 8))
    assert genes_beat_random(model, few, pushes_of_genes(model, few), draws=2, steps=4) >= 7
    assert cells_beat_random(model, few, draws=2, steps=4) >= 7


def test_the_explanation_goes_when_weights_are_randomised(
    model: fdx.FusionModel, shown: Planted, explanation: Explanation
) -> None:
    """The model parameter randomisation test of Adebayo et al. (2018)."""
    blank = fdx.FusionModel(model.encoders, "concat", training=fdx.Training(epochs=1, validation=0), seed=7)
    blank.fit(model.cohort_)
    with torch.no_grad():
        for network in blank.networks_:
            for parameter in network.parameters():
                parameter.copy_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(3)))
    other = blank.explain(shown.cohort(), "label", label="yes", scale="link")
    before, after = (e.features["attribution"].abs().to_numpy() for e in (explanation, other))
    assert pd.Series(before).corr(pd.Series(after), method="spearman") < 0.5
    assert strongest(other) != PLANTED
    assert abs(np.corrcoef(explanation.maps["photo"].values.ravel(), other.maps["photo"].values.ravel())[0, 1]) < 0.5


def test_a_prognosis_is_explained_at_its_horizon(model: fdx.FusionModel, shown: Planted) -> None:
    cohort = some(shown, slice(0, 6)).cohort()
    near, far = (model.explain(cohort, "survival", horizon=t) for t in (6, 60))
    np.testing.assert_allclose(near.values["value"], 1 - model.predict_survival(cohort, [6])[:, 0])
    assert not np.allclose(near.modalities["contribution"], far.modalities["contribution"])
    assert strongest(far) == PLANTED


def learnt(planted: Planted, omics: Any, photo: Any, epochs: int) -> tuple[fdx.FusionModel, Planted]:
    """A model of the first 200 patients, and the others; one that has not learnt what was planted could not be
    explained by it."""
    model, shown = fitted(some(planted, slice(0, 200)).cohort(), omics, photo, epochs), some(planted, slice(200, 300))
    said = model.predict_proba(shown.cohort(), "label").argmax(axis=1) == 1
    assert (said == (shown.frame["label"] == "yes")).mean() >= 0.9
    return model, shown


@pytest.mark.slow
@pytest.mark.parametrize(
    ("omics", "photo", "epochs"),
    [
        pytest.param("mlp", SMALL, 30, id="mlp-smallcnn"),
        pytest.param(fdx.SNN(components=16), fdx.ConvNet(channels=(8, 16)), 30, id="snn-convnet"),
        pytest.param(fdx.GeneGate(strength=0.1), fdx.FCN(channels=(8, 8, 16)), 30, id="gene_gate-fcn"),
        pytest.param("mlp", fdx.UNet(channels=4, depth=2), 60, id="mlp-unet"),
        pytest.param(
            fdx.Pathways(sets={"all": tuple(f"gene_{j:02d}" for j in range(GENES))}),
            fdx.ConvNet(channels=(8, 16), grid=4),
            30,
            id="pathways-grid",
        ),
        pytest.param(fdx.FTTransformer(width=16, blocks=1), SMALL, 30, id="fttransformer-smallcnn"),
    ],
)
def test_a_hundred_patients(tmp_path: Path, omics: Any, photo: Any, epochs: int) -> None:
    model, shown = learnt(Planted(tmp_path, 300, seed=1), omics, photo, epochs)
    found = model.explain(shown.cohort(), "label", label="yes", scale="link")
    assert found.features["attribution"].abs().max() > 0.1, "genes go unread: all gates are shut"
    counts = {
        "gene": strongest(found) == PLANTED,
        "peaks": int(peaks_inside(found, shown).sum()),
        "genes": genes_beat_random(model, shown, pushes_of_genes(model, shown), draws=4, steps=8),
        "cells": cells_beat_random(model, shown, draws=4, steps=8),
    }
    print(counts)
    assert counts["gene"]
    assert min(counts["peaks"], counts["genes"], counts["cells"]) >= 95


@pytest.mark.slow
def test_a_hundred_patients_of_tabnet(tmp_path: Path) -> None:
    """TabNet chooses anew which columns to look at once some are gone, so that no order falls as it should: not even
    that of what the answer loses without each gene alone, which is what an order of genes can know at best. How
    many of 100 patients pass hangs on the epochs: after 80, 90, 110 these are 90, 86, 78, one at a time 86, 83, 94."""
    model, shown = learnt(Planted(tmp_path, 300, seed=1), "tabnet", SMALL, epochs=90)
    found = model.explain(shown.cohort(), "label", label="yes", scale="link")
    ours, theirs = (
        genes_beat_random(model, shown, order(model, shown), draws=4, steps=8)
        for order in (pushes_of_genes, falls_of_genes)
    )
    print({"genes": ours, "genes one at a time": theirs})
    assert strongest(found) == PLANTED
    assert ours >= theirs
    assert cells_beat_random(model, shown, draws=4, steps=8) >= 95
