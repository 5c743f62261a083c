"""Does what gets installed hold all that is needed? The wheel is built and used from another folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]
DRAW = """
import sys, pathlib, fusiondx, fusiondx.cli
from fusiondx.reporting.html import Page, render
from importlib.resources import files
assert pathlib.Path(fusiondx.__file__).is_relative_to(sys.argv[1]), fusiondx.__file__
assert (files("fusiondx") / "py.typed").is_file()
assert "<html" in render(Page("Nothing", (), ()))
"""


def run(*command: object, **settings: object) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, **settings)  # type: ignore[call-overload]
    assert done.returncode == 0, done.stdout + done.stderr
    return str(done.stdout)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built of a copy, so that no build folder is left in the source."""
    pytest.importorskip("setuptools", "77", reason="building needs setuptools 77")
    place = tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT / "fusiondx", place / "source" / "fusiondx", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, place / "source")
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", place, place / "source")
    return next(place.glob("*.whl"))


def test_it_holds_every_file_of_the_package_and_no_other(wheel: Path) -> None:
    held = {name for name in ZipFile(wheel).namelist() if ".dist-info/" not in name}
    there = {str(p.relative_to(ROOT)) for p in (ROOT / "fusiondx").rglob("*") if p.is_file()}
    assert held == {name for name in there if "__pycache__" not in name}


def test_it_works_from_another_folder(wheel: Path, tmp_path: Path) -> None:
    place, elsewhere = tmp_path / "installed", tmp_path / "elsewhere"
    elsewhere.mkdir()
    run(sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-compile", "--target", place, wheel)
    alone = {**os.environ, "PYTHONPATH": str(place)}
    run(sys.executable, "-c", DRAW, place, cwd=elsewhere, env=alone)
    said = run(sys.executable, place / "bin" / "fusiondx", "--help", cwd=elsewhere, env=alone)
    assert "evaluate" in said
