"""Do the gates find the genes that matter, and close on the others?"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from jaxtyping import Float
from torch import Tensor

import fusiondx as fdx
from fusiondx.core.batch import Items
from fusiondx.core.components import Paced, Regularised, TableShape
from fusiondx.data.batches import Prepared
from fusiondx.encoders import GeneGate
from fusiondx.encoders.genegate import GeneGateEncoder

GATES = ("l1", "attention")
PLANTED, COLUMNS, PATIENTS = 5, 500, 300


def planted(seed: int) -> fdx.Cohort:
    """Five columns decide the class, 495 are noise."""
    random = np.random.default_rng(seed)
    values = random.normal(size=(PATIENTS, COLUMNS))
    decides = values[:, :PLANTED] @ np.array([1, -1, 1, -1, 1]) + random.normal(0, 0.5, PATIENTS)
    frame = pd.DataFrame(values, columns=[f"g{j}" for j in range(COLUMNS)])
    frame = frame.assign(patient_id=[f"P{i}" for i in range(PATIENTS)], y=np.where(decides > 0, "a", "b"))
    modalities = {"omics": fdx.Genomics(columns=("g*",))}
    return fdx.Cohort.from_frame(frame, modalities=modalities, targets={"y": fdx.Classes("y")})


def fitted(spec: GeneGate, seed: int) -> tuple[GeneGateEncoder, Items]:
    cohort = planted(seed)
    model = fdx.FusionModel(encoders={"omics": spec}, seed=seed).fit(cohort)
    encoder = model.networks_[0].encoders["omics"].eval()
    assert isinstance(encoder, GeneGateEncoder)
    return encoder, Prepared(cohort, model.preparations_).items("omics")


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("gate", GATES)
def test_planted_genes_are_found_and_the_others_shrink(gate: str, seed: int) -> None:
    encoder, items = fitted(GeneGate(gate=gate), seed)
    importance = encoder.importance(items)
    assert importance.shape == (PATIENTS, COLUMNS)
    top = importance.mean(dim=0).topk(PLANTED).indices
    assert (top < PLANTED).sum() >= PLANTED - 1
    gates = openness(encoder, items)
    assert gates[PLANTED:].mean() < 0.3 * gates[:PLANTED].mean()


def test_without_a_price_gates_stay_open() -> None:
    encoder, items = fitted(GeneGate(strength=0), 0)
    assert openness(encoder, items)[PLANTED:].mean() > 0.7


def openness(encoder: GeneGateEncoder, items: Items) -> Float[Tensor, " columns"]:
    with torch.inference_mode():
        gates: Tensor = encoder.gate(encoder.columns(items.fields)).abs().mean(dim=0)
    return gates


def built(spec: GeneGate) -> GeneGateEncoder:
    torch.manual_seed(0)
    encoder = spec.build(TableShape(("a", "b"), (3,)), 8)
    assert isinstance(encoder, GeneGateEncoder)
    return encoder


def some(patients: int) -> Items:
    fields = {"numeric": torch.randn(patients, 2), "codes": torch.arange(patients).unsqueeze(1) % 4}
    return Items(fields, torch.arange(patients), max(patients, 1))


@pytest.mark.parametrize("gate", GATES)
def test_the_price_is_the_mean_gate(gate: str) -> None:
    encoder = built(GeneGate(gate=gate, strength=3.0)).train()
    assert isinstance(encoder, Regularised)
    assert isinstance(encoder, Paced)
    encoder(some(64))
    assert encoder.penalty().item() == pytest.approx(3.0, rel=0.2)  # gates start at about 1
    encoder.penalty().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in encoder.gate.parameters())
    encoder(some(0))
    assert encoder.penalty().item() == 0


def test_a_closed_gate_silences_its_column_all_levels_of_a_category_at_once() -> None:
    encoder, items = built(GeneGate()).eval(), some(4)
    with torch.no_grad():
        encoder.gate.openings[2] = 0.0
    other = Items({**items.fields, "codes": (items.fields["codes"] + 1) % 4}, items.patient, 4)
    torch.testing.assert_close(encoder(items).values, encoder(other).values)
    assert encoder.importance(items).shape == (4, 3)
    assert encoder.importance(items)[:, 2].tolist() == [0.0] * 4


def test_only_attention_depends_on_the_patient() -> None:
    items = some(6)
    for gate, varies in (("l1", False), ("attention", True)):
        importance = built(GeneGate(gate=gate)).eval().importance(items)
        assert (importance.std(dim=0).max() > 1e-4) == varies
