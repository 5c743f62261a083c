"""Stand-ins: simulated cohorts laid out as the public ones, so that what is written for those runs anywhere."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import PIL.Image

from fusiondx.data.synthetic import survival_times
from fusiondx.errors import ConfigError, did_you_mean

Floats = npt.NDArray[np.float64]
Generator = np.random.Generator
VARIABLE = "FUSIONDX_DATA"
"""The environment variable that names the folder of the real cohorts, a subfolder each."""


def real_or_simulated(name: str, patients: int = 200, seed: int = 0) -> tuple[Path, str]:
    """The folder of a public cohort where `FUSIONDX_DATA` has it, else a simulated stand-in; and a sentence on which.

    `name` is a folder of ``configs``; `patients` and `seed` are of the stand-in, a new temporary folder. Raises
    `ConfigError` for a name that is no such cohort.
    """
    _writer(name)
    if VARIABLE in os.environ and (Path(os.environ[VARIABLE]) / name).is_dir():
        return Path(os.environ[VARIABLE]) / name, f"The REAL cohort '{name}'."
    folder = stand_in(name, mkdtemp(prefix=f"{name}-"), patients, seed)
    return folder, (
        f"A SIMULATED stand-in for '{name}', {patients} patients: no patient stands behind it, and its figures say "
        f"nothing about the real one. Set {VARIABLE} to the folder that holds '{name}' to run on that."
    )


def stand_in(name: str, folder: str | Path, patients: int = 200, seed: int = 0) -> Path:
    """Write a simulated cohort in the layout that ``configs/<name>/cohort.yaml`` reads; returns `folder`.

    A latent factor per modality raises risk, as in `simulate`. Raises `ConfigError` for a name that is no such cohort.
    """
    write = _writer(name)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    write(folder, random.normal(size=(patients, 3)), random)
    return folder


def _writer(name: str) -> Callable[[Path, Floats, Generator], None]:
    if name not in WRITERS:
        raise ConfigError(f"There is no stand-in for '{name}'.{did_you_mean(name, list(WRITERS))}")
    return WRITERS[name]


def glioma(folder: Path, factors: Floats, random: Generator) -> None:
    """Clinical table and omics; MRI slices with tumour masks for one patient in four."""
    frame = _patients("G", factors, random)
    low = factors.sum(axis=1) < 0.5
    frame["project"] = np.where(low, random.choice(["ASTR", "ODG"], len(frame)), "GBM")
    frame["site"] = random.choice([f"T{i}" for i in range(8)], len(frame))
    frame["idh1_mutation"] = (random.random(len(frame)) < 1 / (1 + np.exp(2 * factors[:, 2]))).astype(int)
    frame["os_months"], frame["os_event"] = _outcome(factors, random)
    frame["published_fold"] = random.permutation(np.arange(len(frame)) % 5)
    frame.to_csv(folder / "patients.csv", index=False)
    loading = np.resize([1.0, -1.0, 0.0, 0.0, 0.0], 60)
    genes = random.normal(size=(len(frame), 60)) + factors[:, 1:2] * loading
    names = [*(f"gene{j}_rnaseq" for j in range(50)), *(f"arm{j}_cnv" for j in range(6))]
    omics = pd.DataFrame(genes[:, :56], columns=names).round(4)
    for j in range(56, 60):
        omics[f"gene{j}_mut"] = (genes[:, j] > 0.8).astype(int)
    omics.insert(0, "patient_id", frame["patient_id"])
    omics.to_csv(folder / "omics.csv.gz", index=False)
    rows = []
    for i in np.flatnonzero(np.arange(len(frame)) % 4 == 0):
        for number in range(2):
            stem = f"mri/{frame['patient_id'][i]}_{number}"
            picture, mask = _lesion((64, 64), factors[i, 2], random)
            _save(folder / f"{stem}.png", np.repeat(picture[..., None], 3, axis=2))
            _save(folder / f"{stem}_mask.png", mask * np.uint8(255))
            rows.append((frame["patient_id"][i], f"{stem}.png", f"{stem}_mask.png"))
    pd.DataFrame(rows, columns=["patient_id", "image", "mask"]).to_csv(folder / "images.csv", index=False)


def derm7pt(folder: Path, factors: Floats, random: Generator) -> None:
    """Two colour photographs of each lesion, and three columns."""
    frame = _patients("D", factors, random).drop(columns="age_years")
    frame["location"] = random.choice(["back", "abdomen", "upper limbs", "lower limbs"], len(frame))
    level = np.digitize(factors[:, 0] + random.normal(scale=0.7, size=len(frame)), [-0.5, 0.8])
    frame["elevation"] = np.array(["flat", "palpable", "nodular"])[level]
    log_odds = 1.6 * factors.sum(axis=1) - 1.5
    frame["melanoma"] = (random.random(len(frame)) < 1 / (1 + np.exp(-log_odds))).astype(int)
    frame["split"] = random.permutation(np.resize(["train", "train", "valid", "test", "test"], len(frame)))
    for column, factor in (("clinic", 1), ("derm", 2)):
        frame[column] = [f"images/{id}_{column}.png" for id in frame["patient_id"]]
        for name, value in zip(frame[column], factors[:, factor], strict=True):
            picture, inside = _lesion((64, 64), value, random)
            skin, spot = np.array([225, 175, 150]), np.array([110, 70, 50])
            colour = np.where(inside[..., None] > 0, spot + picture[..., None] / 4, skin)
            _save(folder / name, (colour + random.normal(scale=6, size=colour.shape)).clip(0, 255).astype(np.uint8))
    frame.to_csv(folder / "cases.csv", index=False)


def nsclc_ct(folder: Path, factors: Floats, random: Generator) -> None:
    """Clinical table, radiomics, and a CT volume with a tumour mask, from two hospitals."""
    import nibabel  # late: only this cohort needs it

    frame = _patients("N", factors, random).drop(columns="sex")
    frame["site"] = random.choice(["l1", "l2"], len(frame), p=[0.66, 0.34])
    stage = np.digitize(factors[:, 0] + random.normal(scale=0.5, size=len(frame)), [-0.8, 0.2, 1.0])
    frame["t_stage"], frame["n_stage"], frame["m_stage"] = stage + 1, random.integers(0, 4, len(frame)), 0
    frame.loc[::25, "m_stage"] = 1
    frame["histology"] = random.choice(["adenocarcinoma", "squamous cell carcinoma", "nos"], len(frame))
    months, frame["os_event"] = _outcome(factors, random)
    frame["os_days"] = np.maximum((months * 30).round(), 1)
    frame["ct"] = [f"ct/{id}.nii.gz" for id in frame["patient_id"]]
    frame["tumour_mask"] = [f"mask/{id}.nii.gz" for id in frame["patient_id"]]
    frame.to_csv(folder / "patients.csv", index=False)
    names = [f"{kind}_{j}" for kind in ("shape", "firstorder", "glcm", "glrlm") for j in range(3)]
    radiomics = random.normal(size=(len(frame), 12)) + factors[:, 1:2] * np.resize([1.0, 0.0, -1.0, 0.0], 12)
    table = pd.DataFrame(radiomics, columns=names).round(4)
    table.insert(0, "patient_id", frame["patient_id"])
    table.to_csv(folder / "radiomics.csv", index=False)
    for ct, mask, factor in zip(frame["ct"], frame["tumour_mask"], factors[:, 2], strict=True):
        picture, inside = _lesion((24, 24, 24), factor, random)
        for name, voxels in ((ct, picture.astype(np.int16) * 5 - 1000), (mask, inside)):
            (folder / name).parent.mkdir(exist_ok=True)
            nibabel.save(nibabel.Nifti1Image(voxels, np.diag([2.0, 2.0, 2.0, 1.0])), folder / name)


WRITERS: dict[str, Callable[[Path, Floats, Generator], None]] = {
    "glioma": glioma,
    "derm7pt": derm7pt,
    "nsclc_ct": nsclc_ct,
}


def _patients(letter: str, factors: Floats, random: Generator) -> pd.DataFrame:
    """Ids, age and sex; age carries part of the first factor."""
    age = 60 + 8 * factors[:, 0] + random.normal(scale=5, size=len(factors))
    ids = [f"SIM-{letter}{i:04d}" for i in range(len(factors))]
    sex = random.choice(["female", "male"], len(factors))
    return pd.DataFrame({"patient_id": ids, "age_years": age.round(1), "sex": sex})


def _outcome(factors: Floats, random: Generator) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Months and event, at a log hazard ratio of 0.8 per factor."""
    months, event = survival_times(0.8 * factors.sum(axis=1), random)
    return np.maximum(months.round(2), 0.01), event.astype(np.int64)


def _lesion(size: tuple[int, ...], factor: float, random: Generator) -> tuple[Any, Any]:
    """A ball or disc on tissue, the larger and the brighter the higher the factor; and its mask, 1 inside."""
    grid = np.stack(np.meshgrid(*(np.arange(n) / n - 0.5 for n in size), indexing="ij"))
    centre = random.uniform(-0.15, 0.15, len(size)).reshape(-1, *[1] * len(size))
    inside = np.linalg.norm(grid - centre, axis=0) < 0.14 + 0.12 / (1 + np.exp(-factor))
    tissue = 70 + 10 * random.normal(size=size)
    lesion = 140 + 25 * np.tanh(factor) + 10 * random.normal(size=size)
    return np.where(inside, lesion, tissue).clip(0, 255).astype(np.uint8), inside.astype(np.uint8)


def _save(path: Path, pixels: npt.NDArray[np.uint8]) -> None:
    path.parent.mkdir(exist_ok=True)
    PIL.Image.fromarray(pixels).save(path)
