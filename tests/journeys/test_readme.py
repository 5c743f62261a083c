"""Does the README hold, word for word? Its snippets are run as they stand."""

from __future__ import annotations

import os
import re
import shlex
import sys
import warnings
from pathlib import Path

import pytest

import fusiondx as fdx

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.S | re.M)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A newcomer's folder: CSVs, images, and the README's own cohort.yaml."""
    fdx.simulate(tmp_path, patients=60, seed=0)
    (tmp_path / "cohort.yaml").write_text(blocks("yaml")[0], encoding="utf-8")
    (tmp_path / "experiment.yaml").write_text("cohort: cohort.yaml\nfolds: {k: 5}\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_python_snippets_run_in_order(folder: Path) -> None:
    names: dict[str, object] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", fdx.FusionDxWarning)  # sixty simulated patients are few
        for block in blocks("python"):
            exec(compile(block, "README.md", "exec"), names)
    assert (folder / "report.html").read_text(encoding="utf-8").count("<table") > 2
    assert isinstance(names["again"], fdx.FusionModel)
    assert names["survival"].shape == (len(names["test"]), 3)  # type: ignore[attr-defined, arg-type]


def test_the_shell_command_runs(folder: Path) -> None:
    from typer.testing import CliRunner

    from fusiondx.cli import app

    command = next(block for block in blocks("sh") if "fusiondx run" in block)
    done = CliRunner().invoke(app, [*shlex.split(command)[1:], "--set", "model.training.epochs=2"])
    assert done.exit_code == 0, done.output
    assert {"report.html", "manifest.json"} <= {p.name for p in (folder / "runs" / "first").iterdir()}


def test_the_tour_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    tour = (ROOT / "docs" / "tour.md").read_text(encoding="utf-8")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", fdx.FusionDxWarning)
        exec(compile(tour.split("```python\n")[1].split("```")[0], "tour.md", "exec"), names)
    assert (tmp_path / "tour.html").stat().st_size > 10_000


def test_every_link_leads_somewhere() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), ROOT / "CONTRIBUTING.md", *ROOT.glob("configs/*.md")]
    for page in pages:
        for link in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
QUICK = "first_model"


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=() if path.stem == QUICK else pytest.mark.slow, id=path.stem) for path in NOTEBOOKS],
)
def test_notebooks_run_without_the_real_cohorts(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    monkeypatch.delenv("FUSIONDX_DATA", raising=False)
    monkeypatch.setenv("FUSIONDX_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert not any(cell.get("outputs") for cell in notebook.cells), "clear the outputs before committing"
    run = nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(path.parent)}}).execute()
    said = [output.get("text", "") for cell in run.cells for output in cell.get("outputs", ())]
    assert any("SIMULATED" in text for text in said)
