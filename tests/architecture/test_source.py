"""Is the source still simple and safe?"""

from __future__ import annotations

import ast
import builtins
import dis
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from statistics import median
from types import CodeType
from typing import Any, get_args

import pytest

import fusiondx
from fusiondx.core.spec import Spec
from fusiondx.core.targets import TargetSpec
from fusiondx.data.modalities import ModalitySpec
from fusiondx.data.preprocess import Preparation
from fusiondx.encoders import AnyEncoder
from fusiondx.fusion import AnyFusion
from fusiondx.heads import AnyHead

PACKAGE = Path(fusiondx.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
FORBIDDEN_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal"}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__"}
FORBIDDEN_METHODS = {
    ("torch", "load"),
    ("torch", "hub"),
    ("joblib", "load"),
    ("joblib", "dump"),
    ("yaml", "load"),
    ("yaml", "unsafe_load"),
    ("yaml", "full_load"),
}


def loaded(code: CodeType) -> Iterator[str]:
    """The global names that compiled source reads."""
    yield from (step.argval for step in dis.get_instructions(code) if step.opname == "LOAD_GLOBAL")
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from loaded(inner)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_every_name_is_defined(path: Path) -> None:
    # neither ruff nor mypy says so here: shapes in annotations look like names
    place = path.relative_to(PACKAGE.parent).with_suffix("")
    if place.name == "mlflow":
        pytest.importorskip("mlflow")
    module = import_module(".".join(place.parts).removesuffix(".__init__"))
    code = compile(path.read_text(encoding="utf-8"), str(path), "exec", dont_inherit=True)
    assert {name for name in loaded(code) if name not in vars(module) and not hasattr(builtins, name)} == set()


def offences(source: str) -> Iterator[str]:
    """Ways in which source could run what data says."""
    tree = ast.parse(source)
    tame = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call) and tensors_only(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            yield from (f"imports {name}" for name in names if name.partition(".")[0] in FORBIDDEN_MODULES)
            if isinstance(node, ast.ImportFrom):
                yield from (f"imports {a.name}" for a in node.names if (node.module, a.name) in FORBIDDEN_METHODS)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if (node.value.id, node.attr) in FORBIDDEN_METHODS and id(node) not in tame:
                yield f"uses {node.value.id}.{node.attr}"
        elif isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name) and node.func.id in FORBIDDEN_CALLS:
                yield f"calls {node.func.id}"
            yield from (
                "allows pickles in NumPy files"
                for word in node.keywords
                if word.arg == "allow_pickle"
                and not (isinstance(word.value, ast.Constant) and word.value.value is False)
            )


def tensors_only(call: ast.Call) -> bool:
    """Whether this is ``torch.load(..., weights_only=True)``, which builds tensors and runs nothing."""
    given = {word.arg: word.value for word in call.keywords}.get("weights_only")
    return isinstance(given, ast.Constant) and given.value is True and ast.unparse(call.func) == "torch.load"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_nothing_runs_what_data_says(file: Path) -> None:
    assert list(offences(file.read_text(encoding="utf-8"))) == []


def test_the_scan_above_would_notice() -> None:
    for bad in (
        "import pickle",
        "from joblib import load",
        "import joblib\njoblib.load('x')",
        "import torch\ntorch.load('x')",
        "import torch\ntorch.load('x', weights_only=False)",
        "import torch\ntorch.hub('x', weights_only=True)",
        "from torch import load",
        "import yaml\nyaml.load('a')",
        "eval('1')",
        "exec('1')",
        "np.load('x', allow_pickle=True)",
    ):
        assert list(offences(bad)), bad


def test_every_silenced_type_error_names_what_and_why() -> None:
    bare = re.compile(r"# type: ignore(?!\[[a-z-]+(, ?[a-z-]+)*\])")
    assert [str(file) for file in FILES if bare.search(file.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize("name", fusiondx.__all__)
def test_every_public_name_resolves_and_explains_itself(name: str) -> None:
    value = getattr(fusiondx, name)
    assert (value.__doc__ or "").strip()
    assert value.__name__ == name
    assert name in dir(fusiondx)


def test_unknown_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="FusionModle"):
        _ = fusiondx.FusionModle


UNIONS = {
    "encoders": AnyEncoder,
    "fusion": AnyFusion,
    "heads": AnyHead,
    "modalities": ModalitySpec,
    "targets": TargetSpec,
    "preparations": Preparation,
}
MEMBERS = [
    pytest.param(member, id=f"{n}-{member.__name__}") for n, u in UNIONS.items() for member in get_args(get_args(u)[0])
]


@pytest.mark.parametrize("member", MEMBERS)
def test_every_spec_is_frozen_and_explains_itself(member: Any) -> None:
    assert issubclass(member, Spec)
    assert member.__dataclass_params__.frozen
    assert not (member.__doc__ or f"{member.__name__}(").startswith(f"{member.__name__}("), "the default docstring"
    assert isinstance(member.__dataclass_fields__["kind"].default, str)


@pytest.mark.parametrize(
    "file", [f for f in FILES if f.name != "__init__.py"], ids=lambda f: str(f.relative_to(PACKAGE))
)
def test_every_file_says_what_it_is(file: Path) -> None:
    assert ast.get_docstring(ast.parse(file.read_text(encoding="utf-8")))
    assert file.stem not in {"utils", "util", "helpers", "common", "misc", "base"}


def test_functions_are_short() -> None:
    lengths = [
        node.end_lineno - node.body[0].lineno + 1
        if not ast.get_docstring(node)
        else node.end_lineno - node.body[0].end_lineno
        for file in FILES
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and node.end_lineno
    ]
    assert median(lengths) <= 12
    assert max(lengths) <= 60
