"""Does the README hold, word for word? Its snippets are run as they stand."""

from __future__ import annotations

import json
import re
import shlex
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


def test_every_link_leads_somewhere() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), ROOT / "CONTRIBUTING.md", *ROOT.glob("configs/*.md")]
    for page in pages:
        for link in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


@pytest.mark.parametrize("notebook", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_notebooks_run(notebook: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", fdx.FusionDxWarning)
        for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
            if cell["cell_type"] == "code":
                exec(compile("".join(cell["source"]), notebook.name, "exec"), names)
    assert isinstance(names["report"], fdx.Report)
