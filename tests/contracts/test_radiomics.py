"""Is radiomics an encoder like any other, and are its settings checked?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import PIL.Image
import pytest
import torch

import fusiondx as fdx
from fusiondx.core.components import RawImages

N = 16


def scans(folder: Path) -> fdx.Cohort:
    """The tumours of half of the patients are coarser; patient P2 has no image, the mask of P3 is empty."""
    random = np.random.default_rng(0)
    for p in range(N):
        grain = random.integers(0, 255, (32, 32))
        pixels = np.kron(grain[:8, :8], np.ones((4, 4))) if p % 2 else grain
        PIL.Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{p}.png")
        mask = np.zeros((32, 32), np.uint8)
        mask[8:24, 8:24] = 255 * (p != 3)
        PIL.Image.fromarray(mask).save(folder / f"mask{p}.png")
    rows = [p for p in range(N) if p != 2]
    columns = {"path": [f"{p}.png" for p in rows], "mask": [f"mask{p}.png" for p in rows]}
    pd.DataFrame({"patient_id": [f"P{p}" for p in rows], **columns}).to_csv(folder / "images.csv", index=False)
    frame = pd.DataFrame({"patient_id": [f"P{p}" for p in range(N)], "coarse": [str(p % 2) for p in range(N)]})
    scan = {"kind": "image", "file": "images.csv", "path": "path", "mask": "mask", "size": 32}
    targets = {"coarse": {"kind": "classes", "column": "coarse"}}
    return fdx.Cohort.from_frame(frame, modalities={"scan": scan}, targets=targets, data=folder)


def test_a_model_reads_texture_and_is_the_same_after_saving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUSIONDX_CACHE", str(tmp_path / "cache"))
    cohort = scans(tmp_path)
    spec = fdx.Radiomics(reader=fdx.MLP(hidden=(8,)))
    training = fdx.Training(epochs=15, batch_size=8, modality_dropout=0)
    model = fdx.FusionModel(encoders={"scan": spec}, training=training).fit(cohort)
    with_image = [p for p in range(N) if p not in (2, 3)]
    probability = model.predict(cohort)["coarse"].probability[:, 1]
    ill = np.array([p % 2 == 1 for p in with_image])
    assert probability[with_image][ill].min() > probability[with_image][~ill].max()
    assert np.isfinite(probability).all()
    loaded = fdx.FusionModel.load(model.save(tmp_path / "model"))
    np.testing.assert_allclose(loaded.predict(cohort)["coarse"].probability[:, 1], probability, rtol=1e-5)


@pytest.mark.filterwarnings("error")
def test_two_pixels_of_tumour_are_described_without_a_warning() -> None:
    mask = torch.zeros(1, 16, 16, dtype=torch.bool)
    mask[0, 4, 4:6] = True
    found = fdx.Radiomics().extractor(RawImages(1, (16, 16), True))(torch.rand(1, 16, 16), mask)
    assert not torch.isinf(found).any()


@pytest.mark.parametrize(("channels", "size"), [(1, (16, 16)), (3, (16, 16)), (4, (16, 16)), (1, (8, 9, 10))])
@pytest.mark.parametrize("masked", [True, False])
def test_one_name_per_feature(channels: int, size: tuple[int, ...], masked: bool) -> None:
    extractor = fdx.Radiomics().extractor(RawImages(channels, size, masked))
    found = extractor(torch.rand(channels, *size), torch.ones(1, *size, dtype=torch.bool) if masked else None)
    assert found.shape == (len(extractor.names),)
    assert found.dtype == torch.float32
    assert len(set(extractor.names)) == len(extractor.names)


def test_an_image_without_the_masks_that_others_have_is_undefined() -> None:
    extractor = fdx.Radiomics().extractor(RawImages(1, (16, 16), masked=True))
    assert extractor(torch.rand(1, 16, 16), torch.zeros(1, 16, 16, dtype=torch.bool)).isnan().all()
    assert extractor(torch.rand(1, 16, 16), None).isnan().all()


def test_other_settings_are_another_recipe() -> None:
    images = RawImages(1, (16, 16))
    recipes = {
        spec.extractor(images).recipe for spec in (fdx.Radiomics(), fdx.Radiomics(bins=16), fdx.Radiomics(ring=2))
    }
    assert len(recipes) == 3


@pytest.mark.parametrize(
    "settings",
    [
        {"limits": (5, 5)},
        {"limits": (0, float("inf"))},
        {"bins": 1},
        {"distances": ()},
        {"distances": (0,)},
        {"families": ()},
        {"families": ("wavelets",)},
        {"scales": (0,)},
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        fdx.Radiomics(**settings)
