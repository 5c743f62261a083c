"""Synthetic cohorts with a known truth. They are for tests and tutorials; no patient stands behind them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import PIL.Image

from fusiondx.core.targets import Classes, Survival
from fusiondx.data.cohort import Cohort
from fusiondx.data.tables import Table
from fusiondx.errors import ConfigError

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

GENES = 60
ACTIVE_GENES = 12
COHORT_FILE = """\
title: SIMULATED cohort, no patient stands behind it
patients: {file: patients.csv, id: patient_id, site: site}
modalities:
  clinical: {kind: table, numeric: [age_years], categorical: [sex, stage]}
  omics: {kind: genomics, file: omics.csv.gz, columns: ["gene_*"]}
  image: {kind: image, file: images.csv, path: image, size: IMAGE_SIZE}
targets:
  survival: {kind: survival, time: os_months, event: os_event, unit: months}
  diagnosis: {kind: classes, column: diagnosis, classes: [benign, malignant]}
"""


def simulate(
    folder: str | Path, patients: int = 300, missing: float = 0.2, seed: int = 0, image_size: int = 64
) -> Path:
    """Write a cohort into `folder` and return the path of its cohort.yaml.

    Three independent latent factors, one per modality, add up to the log hazard and to the log odds of malignancy;
    so every modality tells a part, and all together tell more than any one. `missing` is the share of patients
    without omics and, drawn apart, without image. About 40 % are censored. ``truth.csv`` holds the factors. Raises
    `ConfigError` for settings out of range.

    >>> path = fdx.simulate("made", patients=20, image_size=16)
    >>> path.name
    'cohort.yaml'
    >>> len(fdx.Cohort.read(path))
    20
    """
    if patients < 1 or not 0 <= missing <= 1 or seed < 0 or image_size < 1:
        raise ConfigError("Give patients and image_size from 1, seed from 0, and missing from 0 to 1.")
    folder = Path(folder)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    ids = np.array([f"S{i:04d}" for i in range(patients)], dtype=object)
    factors = pd.DataFrame(random.normal(size=(patients, 3)), columns=["clinical", "omics", "image"])
    factors["risk"] = factors.sum(axis=1) * 0.8
    _clinical(ids, factors, random).to_csv(folder / "patients.csv", index=False)
    has = random.random((patients, 2)) >= missing
    omics = _omics(ids, factors["omics"].to_numpy(), random)[has[:, 0]]
    omics.to_csv(folder / "omics.csv.gz", index=False, float_format="%.4f", compression={"method": "gzip", "mtime": 0})
    names = [f"images/{id}.png" for id in ids]
    for name, factor in zip(names, factors["image"], strict=True):
        PIL.Image.fromarray(_lesion(float(factor), image_size, random)).save(folder / name)
    pd.DataFrame({"patient_id": ids, "image": names})[has[:, 1]].to_csv(folder / "images.csv", index=False)
    for name, seen in zip(names, has[:, 1], strict=True):
        if not seen:
            (folder / name).unlink()
    factors.insert(0, "patient_id", ids)
    factors.to_csv(folder / "truth.csv", index=False)
    written = folder / "cohort.yaml"
    written.write_text(COHORT_FILE.replace("IMAGE_SIZE", str(image_size)), encoding="utf-8")
    return written


def _clinical(ids: Array, factors: pd.DataFrame, random: np.random.Generator) -> pd.DataFrame:
    """Age and stage carry the clinical factor; sex and site carry nothing; outcomes follow the whole risk."""
    factor, risk = factors["clinical"].to_numpy(), factors["risk"].to_numpy()
    months, event = survival_times(risk, random)
    stage = np.digitize(factor + random.normal(scale=0.5, size=len(ids)), [-0.8, 0.2, 1.0])
    malignant = random.random(len(ids)) < 1 / (1 + np.exp(-2 * risk))
    age = 60 + 8 * factor + random.normal(scale=4, size=len(ids))
    return pd.DataFrame(
        {
            "patient_id": ids,
            "site": random.choice(["north", "south", "east", "west", "centre", "coast"], len(ids)),
            "age_years": np.where(random.random(len(ids)) < 0.05, np.nan, age.round(1)),
            "sex": random.choice(["female", "male"], len(ids)),
            "stage": np.array(["I", "II", "III", "IV"])[stage],
            "os_months": np.maximum(months.round(2), 0.01),
            "os_event": event.astype(int),
            "diagnosis": np.where(malignant, "malignant", "benign"),
        }
    )


def survival_times(
    risk: Floats, random: np.random.Generator, censored: float = 0.4
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Weibull times with log hazard ratio `risk`; exponential censoring, scaled so that the share `censored` is."""
    death = 30 * (random.exponential(size=len(risk)) * np.exp(-risk)) ** (1 / 1.2)
    leaving = random.exponential(size=len(risk))
    # the share censored falls as censoring times grow: that share of the ratios lies above this scale
    scale = np.quantile(death / leaving, 1 - censored)
    return np.minimum(death, leaving * scale), death <= leaving * scale


def _omics(ids: Array, factor: Floats, random: np.random.Generator) -> pd.DataFrame:
    """A few genes carry the factor, up or down; the others are noise."""
    values = random.normal(size=(len(ids), GENES))
    loadings = np.zeros(GENES)
    loadings[random.choice(GENES, ACTIVE_GENES, replace=False)] = np.resize([1.0, -1.0], ACTIVE_GENES)
    frame = pd.DataFrame(values + factor[:, None] * loadings, columns=[f"gene_{j:02d}" for j in range(GENES)])
    frame.insert(0, "patient_id", ids)
    return frame


def _lesion(factor: float, size: int, random: np.random.Generator) -> npt.NDArray[np.uint8]:
    """A grey disc on tissue: the higher the factor, the larger, the brighter and the coarser."""
    y, x = np.mgrid[:size, :size] / size - 0.5
    centre = random.uniform(-0.15, 0.15, 2)
    radius = 0.16 + 0.10 / (1 + np.exp(-factor))
    angle = np.arctan2(y - centre[0], x - centre[1])
    edge = radius * (1 + 0.08 * np.sin(3 * angle + random.uniform(0, 2 * np.pi)))
    inside = np.hypot(y - centre[0], x - centre[1]) < edge
    grain = np.kron(random.normal(size=(size // 4 + 1, size // 4 + 1)), np.ones((4, 4)))[:size, :size]
    tissue = 70 + 10 * random.normal(size=(size, size))
    lesion = 140 + 20 * np.tanh(factor) + (8 + 6 * np.tanh(factor)) * grain
    return np.where(inside, lesion, tissue).clip(0, 255).astype(np.uint8)


def simulate_xor(patients: int = 200, seed: int = 0) -> Cohort:
    """Two tables of one column; the class says whether their signs differ, which neither tells alone."""
    random = np.random.default_rng(seed)
    # equal shares of the four combinations, so that neither table tells anything even by chance
    signs = random.permutation(np.resize([[-1, -1], [-1, 1], [1, -1], [1, 1]], (patients, 2)))
    values = signs * random.uniform(0.5, 1.5, size=(patients, 2))
    frame = pd.DataFrame(values, columns=["left", "right"]).assign(
        patient_id=[f"X{i:04d}" for i in range(patients)],
        differ=np.where(signs[:, 0] != signs[:, 1], "yes", "no"),
    )
    modalities = {name: Table(numeric=(name,)) for name in ("left", "right")}
    targets = {"differ": Classes(column="differ", classes=("no", "yes"))}
    return Cohort.from_frame(frame, modalities=modalities, targets=targets, title="SIMULATED: exclusive or")


def simulate_null(patients: int = 200, seed: int = 0) -> Cohort:
    """Two tables of noise, a class and a survival time that depend on nothing."""
    random = np.random.default_rng(seed)
    months, event = survival_times(np.zeros(patients), random)
    columns = [f"{side}_{j}" for side in ("left", "right") for j in range(4)]
    frame = pd.DataFrame(random.normal(size=(patients, 8)), columns=columns).assign(
        patient_id=[f"N{i:04d}" for i in range(patients)],
        label=random.permutation(np.resize(["no", "yes"], patients)),
        os_months=months,
        os_event=event.astype(int),
    )
    modalities = {name: Table(numeric=(f"{name}_*",)) for name in ("left", "right")}
    targets = {
        "label": Classes(column="label", classes=("no", "yes")),
        "survival": Survival(time="os_months", event="os_event"),
    }
    return Cohort.from_frame(frame, modalities=modalities, targets=targets, title="SIMULATED: no signal")
