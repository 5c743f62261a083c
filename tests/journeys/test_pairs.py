"""Does every fusion train with every head? As a program (`make pairs`), it writes docs/fusions.md from doing so."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest

import fusiondx as fdx
from fusiondx.core.components import LateFusion
from fusiondx.core.targets import TargetSpec
from fusiondx.data.missingness import keep, present
from fusiondx.fusion import AnyFusion
from fusiondx.heads import AnyHead

PAGE = Path(__file__).parents[2] / "docs" / "fusions.md"
PATIENTS = 32
MODALITIES = ("x", "y", "z")
ONE_EPOCH = fdx.Training(epochs=1, batch_size=16, validation=0)
QUESTIONS: dict[str, Any] = {
    "classes": fdx.Classes("grade", ("low", "middle", "high"), ordered=True),
    "labels": fdx.Labels(("spread", "relapse")),
    "survival": fdx.Survival("months", "event"),
    "competing": fdx.CompetingRisks("months", "first", ("relapse", "death")),
    "number": fdx.Number("dose"),
}
"""One of each kind of target."""


def specs(union: Any) -> dict[str, Any]:
    """The members of a closed union with their defaults, by name."""
    return {member.kind: member() for member in get_args(get_args(union)[0])}


FUSIONS, HEADS = specs(AnyFusion), specs(AnyHead)


def cohort() -> fdx.Cohort:
    """Three tables, every pattern of missing ones four times, and an answer to every kind of question."""
    random = np.random.default_rng(0)
    table = pd.DataFrame(random.normal(size=(PATIENTS, 3)), columns=list(MODALITIES))
    for bit, name in enumerate(MODALITIES):
        table.loc[np.arange(PATIENTS) >> bit & 1 == 0, name] = np.nan
    table = table.assign(
        patient_id=[f"P{row:02d}" for row in range(PATIENTS)],
        grade=random.permutation(np.resize(["low", "middle", "high"], PATIENTS)),
        spread=random.permutation(np.resize([0, 1], PATIENTS)),
        relapse=random.permutation(np.resize([0, 0, 1], PATIENTS)),
        months=random.exponential(size=PATIENTS) + 0.1,
        event=random.permutation(np.resize([0, 1, 1], PATIENTS)),
        first=random.permutation(np.resize([0, 1, 2], PATIENTS)),
        dose=random.normal(50, 5, PATIENTS),
    )
    tables = {name: fdx.Table(numeric=(name,)) for name in MODALITIES}
    return fdx.Cohort.from_frame(table, modalities=tables, targets=QUESTIONS)


def numbers(model: fdx.FusionModel, patients: fdx.Cohort) -> pd.DataFrame:
    """What is predicted, one row per patient."""
    (said,) = model.predict(patients).values()
    return said.to_frame().select_dtypes("number")


def trained(fusion: Any, head: Any) -> str:
    """Fit the pair for one epoch: "yes" where its loss and its predictions for everybody are numbers that differ, and
    that hang on nothing but what each patient has."""
    patients = cohort().select(targets=[head.answers])
    model = fdx.FusionModel(fusion=fusion, heads={head.answers: head}, dim=8, training=ONE_EPOCH).fit(patients)
    said = numbers(model, patients)
    if not np.isfinite(model.history_["train_loss"]).all() or not said.notna().all(axis=None):
        return "no: not finite"
    for had in ([], ["x"], ["y", "z"]):  # whoever has just these, and whoever is left with these
        masked = numbers(model, keep(patients, present(patients) & np.isin(MODALITIES, had)))
        same = patients.pattern == ("+".join(had) or "none")
        if not masked.notna().all(axis=None) or not np.allclose(masked[same], said[same], atol=1e-5):
            return "no: missing modalities count"
    if not np.allclose(said[patients.pattern == "none"], said[patients.pattern == "none"].iloc[0], atol=1e-5):
        return "no: patients of whom nothing is known differ"
    return "yes" if (said.nunique() > 1).any() else "no: the same for all patients"


def row(name: str) -> str:
    """One fusion with every head."""
    return f"| `{name}` | " + " | ".join(trained(FUSIONS[name], head) for head in HEADS.values()) + " |"


def idea(name: str) -> str:
    """One fusion in a sentence, with its size."""
    spec = FUSIONS[name]
    module = spec.build(MODALITIES, 64)
    said = " ".join((inspect.getdoc(type(spec)) or "").split("\n\n")[0].split())
    size = sum(parameter.numel() for parameter in module.parameters())
    return f"| `{name}` | {'late' if isinstance(module, LateFusion) else 'early'} | {size:,} | {said} |"


def top() -> str:
    heads = " | ".join(f"`{name}`" for name in HEADS)
    return f"| | {heads} |\n|---|{'---|' * len(HEADS)}"


def page() -> str:
    return "\n".join(
        [
            "# Fusions",
            "",
            "Written by `make pairs`. Parameters are of the fusion alone, of three modalities at the default width 64.",
            "",
            "| fusion | | parameters | |",
            "|---|---|---|---|",
            *map(idea, FUSIONS),
            "",
            "## Each fusion with each head",
            "",
            "Every pair was trained for one epoch on patients who had all, some or none of three modalities; yes where",
            "loss and predictions were finite for all of them, told patients apart, and hung on nothing but what each",
            "patient had.",
            "",
            top(),
            *map(row, FUSIONS),
            "",
        ]
    )


def test_there_is_a_question_for_every_kind_of_target() -> None:
    assert set(QUESTIONS) == {member.kind for member in get_args(get_args(TargetSpec)[0])}


@pytest.mark.parametrize("name", FUSIONS)
def test_every_fusion_trains_with_every_head_as_the_docs_say(name: str) -> None:
    found, written = row(name), PAGE.read_text(encoding="utf-8")
    assert "no" not in found.replace(name, "")
    for part in (top(), found, idea(name)):
        assert part in written, "docs/fusions.md is not of today: run `make pairs`"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
