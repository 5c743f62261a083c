"""Does a stack do no harm: is it near its best member, and does it lose nothing to a modality of noise?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import fusiondx as fdx
from fusiondx.data.tables import TableData
from fusiondx.evaluation.discrimination import auroc
from fusiondx.stacking.describing import described_by

PATIENTS = 600
TRAIN, TEST = np.arange(300), np.arange(300, PATIENTS)
SEEDS = range(10)
TABLES = {name: fdx.Table(numeric=(f"{name}_*",)) for name in ("left", "right")}

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::fusiondx.errors.FusionDxWarning")]


def cohort(seed: int) -> fdx.Cohort:
    """Two tables that each tell a part of the answer."""
    random = np.random.default_rng(seed)
    factor = random.normal(size=(PATIENTS, 2))
    frame = pd.DataFrame(
        {f"{side}_{j}": factor[:, k] + random.normal(size=PATIENTS) for k, side in enumerate(TABLES) for j in range(4)}
    ).assign(
        patient_id=[f"P{row:03d}" for row in range(PATIENTS)],
        label=np.where(factor.sum(axis=1) + random.normal(size=PATIENTS) > 0, "yes", "no"),
    )
    return fdx.Cohort.from_frame(frame, modalities=TABLES, targets={"label": fdx.Classes("label", ("no", "yes"))})


def noisy(whole: fdx.Cohort, seed: int) -> fdx.Cohort:
    """The same patients, the right table replaced by noise."""
    modality = whole.modalities["right"]
    assert isinstance(modality.data, TableData)
    noise = np.random.default_rng((seed, 1)).normal(size=modality.data.numeric.shape).astype(np.float32)
    changed = replace(modality, data=replace(modality.data, numeric=noise))
    return replace(whole, modalities={**whole.modalities, "right": changed})


def figures(whole: fdx.Cohort) -> tuple[float, dict[str, float]]:
    """AUROC on held-out patients of a stack and of its members."""
    stack = fdx.Stack().fit(whole[TRAIN])
    truth = whole.targets["label"].fields["label"][TEST]
    seen = described_by(stack.descriptions_, whole[TEST])
    alone = {name: m.answers(seen, stack.questions_)["label"][:, 1] for name, m in stack.members_.items()}
    return float(auroc(stack.predict_proba(whole[TEST])[:, 1], truth)), {
        name: float(auroc(answer, truth)) for name, answer in alone.items()
    }


def test_it_is_near_its_best_member_also_beside_noise() -> None:
    clean, beside_noise = [], []
    for seed in SEEDS:
        whole = cohort(seed)
        stacked, members = figures(whole)
        clean.append(stacked - max(members.values()))
        spoilt, members = figures(noisy(whole, seed))
        alone = fdx.Stack().fit(whole.select(modalities=["left"])[TRAIN])
        without = alone.predict_proba(whole.select(modalities=["left"])[TEST])[:, 1]
        truth = whole.targets["label"].fields["label"][TEST]
        beside_noise.append(spoilt - float(auroc(without, truth)))
    print(f"stack minus best member {np.mean(clean):+.4f}, minus stack without the noise {np.mean(beside_noise):+.4f}")
    assert np.mean(clean) >= -0.005
    assert np.mean(beside_noise) >= -0.005
