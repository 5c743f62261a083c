"""Does importing stay light and offline, and point downwards only?"""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import fusiondx

PACKAGE = Path(fusiondx.__file__).parent
ROOT = PACKAGE.parent
FILES = sorted(PACKAGE.rglob("*.py"))
HEAVY = ("torchvision", "lightning", "monai", "timm", "matplotlib")

OFFLINE = """
import socket, sys
def refuse(*args, **options):
    raise RuntimeError("the network was asked for")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
import fusiondx
{then}
print(*sorted({{name.partition(".")[0] for name in sys.modules}} & set({heavy!r})))
"""


def loaded(then: str = "") -> list[str]:
    """Which heavy packages a fresh interpreter has loaded after ``import fusiondx`` and what follows."""
    code = OFFLINE.format(then=then, heavy=HEAVY)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_importing_is_light_and_offline() -> None:
    assert loaded() == []


def test_reading_a_cohort_stays_light() -> None:
    assert loaded("from fusiondx.data.synthetic import simulate_xor; simulate_xor(20).split()") == []


def test_the_check_above_would_notice() -> None:
    assert loaded("import matplotlib") == ["matplotlib"]


def imported(file: Path) -> set[str]:
    """Top-level names of the packages a file imports anywhere."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


@pytest.mark.parametrize(
    ("package", "homes"),
    [
        ("lightning", ["training.py"]),
        ("matplotlib", ["reporting/figures.py", "reporting/portrait.py"]),  # of a report, of a patient
        ("jinja2", ["reporting/html.py"]),
        ("captum", ["explain/integrated.py"]),
    ],
)
def test_few_files_know_each_framework(package: str, homes: list[str]) -> None:
    assert [str(file.relative_to(PACKAGE)) for file in FILES if package in imported(file)] == homes


def test_components_do_not_import_each_other() -> None:
    """A fusion or a head knows none of the others: one published idea per file."""
    for family in ("fusion", "heads"):
        siblings = {file.stem for file in (PACKAGE / family).glob("*.py")} - {"__init__"}
        for name in siblings:
            text = (PACKAGE / family / f"{name}.py").read_text(encoding="utf-8")
            assert not [other for other in siblings - {name} if f"fusiondx.{family}.{other}" in text]


def test_imports_point_downwards_only() -> None:
    command = Path(sys.executable).with_name("lint-imports")
    found = str(command) if command.exists() else shutil.which("lint-imports")
    if found is None:
        pytest.skip("import-linter is not installed")
    if find_spec("fusiondx.cli") is None:
        pytest.skip("the top layer, fusiondx.cli, is not there yet")
    done = subprocess.run([found, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
