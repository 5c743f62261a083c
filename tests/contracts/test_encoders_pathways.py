"""Does every gene set get its token, its genes and nothing else?"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

import fusiondx as fdx
from fusiondx.core.batch import Items
from fusiondx.core.components import TableShape
from fusiondx.encoders import Pathways
from fusiondx.encoders.genesets import by_affix, gene_of, read_gmt
from fusiondx.encoders.pathways import PathwaysEncoder
from fusiondx.errors import ConfigError, DataError, FusionDxWarning

COLUMNS = ("EGFR_rna", "EGFR_cnv", "TP53_rna", "IDH1_rna", "MYC_rna", "MYC_rna missing")
SETS = {"growth": ("EGFR", "MYC"), "repair": ("TP53",), "elsewhere": ("BRCA1",)}
STRIP = ("*_rna", "*_cnv")


def gmt(folder: Path, text: str) -> Path:
    file = folder / "sets.gmt"
    file.write_text(text, encoding="utf-8")
    return file


def built(spec: Pathways, columns: tuple[str, ...] = COLUMNS, categories: tuple[int, ...] = ()) -> PathwaysEncoder:
    torch.manual_seed(0)
    encoder = spec.build(TableShape(columns, categories), 8)
    assert isinstance(encoder, PathwaysEncoder)
    return encoder.eval()


def items(values: Tensor, codes: Tensor | None = None) -> Items:
    n = len(values)
    nothing = torch.zeros(n, 0, dtype=torch.int64)
    return Items({"numeric": values, "codes": nothing if codes is None else codes}, torch.arange(n), n)


def moved(encoder: PathwaysEncoder, column: int) -> list[str]:
    """Which tokens change when one column does."""
    values = torch.zeros(2, len(encoder.cover.numeric))
    values[1, column] = 1.0
    tokens = encoder(items(values)).values
    return [name for name, far in zip(encoder.names, (tokens[1] - tokens[0]).norm(dim=1), strict=True) if far > 1e-6]


def test_a_token_per_set_reads_the_columns_of_its_genes() -> None:
    encoder = built(Pathways(sets=SETS, strip=STRIP))
    assert encoder.names == ("growth", "repair", "rest")
    of = ["growth", "growth", "repair", "rest", "growth", "growth"]  # that a value is missing goes with the value
    assert [moved(encoder, j) for j in range(6)] == [[name] for name in of]


def test_a_gene_of_two_sets_moves_both() -> None:
    encoder = built(Pathways(sets={"b": ("EGFR", "TP53"), "a": ("TP53",)}, strip=STRIP, rest=False))
    assert encoder.names == ("b", "a")
    assert moved(encoder, 2) == ["b", "a"]
    assert moved(encoder, 3) == []


def test_columns_grouped_by_their_names() -> None:
    assert built(Pathways()).names == ("rna", "cnv")
    assert built(Pathways(sets="prefix")).names == ("EGFR", "TP53", "IDH1", "MYC")
    assert built(Pathways(), ("age", "_x", "x_", "a_b_c")).names == ("c", "rest")
    assert by_affix(["A_1_rna", "plain"], "suffix") == {"rna": ("A_1_rna",)}
    assert by_affix(["A_1_rna", "plain"], "prefix") == {"A": ("A_1_rna",)}


def test_categories_are_read_by_the_rest() -> None:
    encoder = built(Pathways(), categories=(2,))
    assert encoder.names == ("rna", "cnv", "rest")
    values = torch.zeros(2, len(COLUMNS))
    tokens = encoder(items(values, torch.tensor([[1], [2]]))).values
    assert ((tokens[0] - tokens[1]).norm(dim=1) > 1e-6).tolist() == [False, False, True]


def test_a_set_of_that_name_is_not_taken_for_the_rest() -> None:
    assert built(Pathways(sets={"rest": ("EGFR",)}, strip=STRIP)).names == ("rest", "rest of the columns")


@pytest.mark.parametrize(
    ("column", "gene"),
    [("EGFR_rna", "EGFR"), ("EGFR_cnv", "EGFR"), ("EGFR_mut", "EGFR_mut"), ("_rna", "_rna"), ("rna_A_rna", "rna_A")],
)
def test_the_gene_of_a_column(column: str, gene: str) -> None:
    assert gene_of(column, STRIP) == gene


def test_a_prefix_to_strip() -> None:
    assert gene_of("rna:EGFR", ("rna:*",)) == "EGFR"


def test_sets_and_genes_left_out_are_counted_at_fit() -> None:
    encoder = built(Pathways(sets=SETS, strip=STRIP, min_genes=2))
    assert encoder.names == ("growth", "rest")
    with pytest.warns(FusionDxWarning) as caught:
        encoder.prime(items(torch.zeros(1, 6)))
    (said,) = [str(w.message) for w in caught]
    assert "1 set with no gene in the table: elsewhere" in said
    assert "1 set with fewer than 2 genes in the table: repair" in said
    assert "2 genes in no set, together as 'rest': TP53, IDH1" in said
    with pytest.warns(FusionDxWarning, match="2 genes in no set, not used"):
        built(Pathways(sets=SETS, strip=STRIP, min_genes=2, rest=False)).prime(items(torch.zeros(1, 6)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        built(Pathways()).prime(items(torch.zeros(1, 6)))


def test_no_token_left_is_refused() -> None:
    with pytest.raises(ConfigError, match="no set has 1 gene in the table"):
        built(Pathways(sets=SETS, rest=False))


def test_a_gmt_file(tmp_path: Path) -> None:
    file = gmt(tmp_path, "growth\thttp://x\tEGFR\tMYC\tEGFR\t\n\nrepair\t\tTP53\r\n")
    assert read_gmt(file) == {"growth": ("EGFR", "MYC"), "repair": ("TP53",)}
    assert built(Pathways(sets=str(file), strip=STRIP)).names == ("growth", "repair", "rest")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\tx\tEGFR\nb\tx\n", r"sets.gmt, line 2: a set without genes"),
        ("a\tx\tEGFR\nb x TP53\n", r"line 2: a set without genes"),
        ("\n\tx\tEGFR\n", r"line 2: a set without name"),
        ("a\tx\tEGFR\na\tx\tMYC\n", r"line 2: the set 'a' is there twice"),
        ("\n", r"holds no gene sets"),
    ],
)
def test_a_malformed_gmt_file_is_refused_by_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_gmt(gmt(tmp_path, text))


def test_a_gmt_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_gmt(tmp_path / "no.gmt")


def test_patterns_need_one_star() -> None:
    with pytest.raises(ValidationError, match="needs one"):
        Pathways(strip=("_rna",))


def test_contributions_and_weights_by_name() -> None:
    encoder = built(Pathways(sets=SETS, strip=STRIP))
    values = torch.zeros(2, 6)
    values[1, 2] = 3.0
    found = encoder.contributions(items(values))
    assert found.shape == (2, 3)
    assert found[0].tolist() == [0, 0, 0]
    assert (found[1] > 1e-6).tolist() == [False, True, False]
    weights = encoder.gene_weights()
    assert list(weights) == ["growth", "repair", "rest"]
    assert list(weights["growth"]) == ["EGFR_rna", "EGFR_cnv", "MYC_rna", "MYC_rna missing"]
    assert weights["repair"]["TP53_rna"] == pytest.approx(encoder.weight[4].norm().item())


def test_many_sets_over_many_genes_stay_small() -> None:
    names = tuple(f"g{j}" for j in range(20_000))
    random = np.random.default_rng(0)
    sets = {f"s{k}": tuple(random.choice(names, 100, replace=False)) for k in range(300)}
    encoder = built(Pathways(sets=sets), names)
    assert sum(p.numel() for p in encoder.parameters()) < 2e6  # a dense layer would have 96 million
    tokens = encoder.train()(items(torch.randn(8, 20_000)))
    tokens.values.sum().backward()
    assert tokens.values.shape == (8, 301, 8)


def test_a_saved_model_needs_no_file_of_sets(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    frame = pd.DataFrame(random.normal(size=(40, 4)), columns=["A_rna", "B_rna", "C_rna", "C_cnv"])
    frame["patient_id"], frame["y"] = [f"P{i}" for i in range(40)], ["a", "b"] * 20
    modalities = {"omics": fdx.Genomics(columns=("*_rna", "*_cnv"))}
    cohort = fdx.Cohort.from_frame(frame, modalities=modalities, targets={"y": fdx.Classes("y")})
    file = gmt(tmp_path, "one\t\tA\tC\ntwo\t\tB\n")
    encoders = {"omics": {"kind": "pathways", "sets": str(file), "strip": ["*_rna", "*_cnv"]}}
    model = fdx.FusionModel(encoders=encoders, training=fdx.Training(epochs=2)).fit(cohort)
    before = model.predict_proba(cohort)
    model.save(tmp_path / "model")
    file.unlink()
    read = fdx.FusionModel.load(tmp_path / "model")
    np.testing.assert_array_equal(read.predict_proba(cohort), before)
    read.save(tmp_path / "again")
    assert str(file) not in (tmp_path / "again" / "model.json").read_text()
