"""The reference, written into ``docs/reference`` before each build: from `__all__`, docstrings and unions of specs.

Nothing there is committed. A public name that no page takes stops the build.
"""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import typer.main
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

import fusiondx
from fusiondx import evaluation
from fusiondx.core.targets import TargetSpec
from fusiondx.data.modalities import ModalitySpec
from fusiondx.encoders import AnyEncoder
from fusiondx.fusion import AnyFusion
from fusiondx.heads import AnyHead

CODE = re.compile(r"(?<![`:\w])`([^`\n]+(?:\n[^`\n]+)?)`(?![`_])")
"""A word in single backticks, as our docstrings and Markdown write code."""
BAR = re.compile(r"``.*?``|\|", re.S)
"""Code, or a vertical bar, which reStructuredText would take for a substitution."""


FOREIGN = "Spec, BaseEstimator, Exception, Module"
"""Classes whose members are not told again in ours."""
TOLD = ("kind", "accepts", "answers", "build", "get_params", "replace", "get_metadata_routing")
REQUESTS = tuple(f"set_{method}_request" for method in ("fit", "predict", "predict_proba", "score"))
"""Methods that scikit-learn adds to every estimator, for its metadata routing."""

# --- the pages ------------------------------------------------------------------------------------------------------

UNIONS: dict[str, tuple[str, Any, str]] = {
    "modalities": ("Modalities", ModalitySpec, "What a modality of a cohort is: `kind` in cohort.yaml."),
    "targets": ("Targets", TargetSpec, "What is asked of a patient: `kind` in cohort.yaml."),
    "encoders": ("Encoders", AnyEncoder, "The observations of one modality become tokens."),
    "fusions": ("Fusions", AnyFusion, "The tokens of all modalities become opinions, and opinions one answer."),
    "heads": ("Heads", AnyHead, "Opinions become the answer to one question."),
}
TOPICS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "cohorts": ("Cohorts", "Patients, their modalities and their targets.", ("fusiondx.data", "fusiondx.core")),
    "models": (
        "Models",
        "Fitting and predicting.",
        ("fusiondx.model", "fusiondx.training", "fusiondx.stacking", "fusiondx.coalitions", "fusiondx.explain"),
    ),
    "judging": (
        "Judging models",
        "Validation, reports, audits, missing modalities, sample size.",
        (
            "fusiondx.validation",
            "fusiondx.reporting",
            "fusiondx.auditing",
            "fusiondx.modality_use",
            "fusiondx.degrading",
            "fusiondx.sample_size",
        ),
    ),
    "errors": ("Errors", "What is raised and warned of on purpose.", ("fusiondx.errors",)),
}
BESIDE: dict[str, dict[str, tuple[str, ...]]] = {
    "cohorts": {
        "fusiondx.data.synthetic": ("simulate_xor", "simulate_null"),
        "fusiondx.data.standins": ("real_or_simulated", "stand_in"),
    },
    "judging": {
        "fusiondx.validation": ("train_test",),
        "fusiondx.evaluation.comparison": ("compare", "repeated_folds"),
    },
}
"""What the docs use beside public names, by page."""
LISTED: dict[str, tuple[str, str, dict[str, tuple[str, ...]]]] = {
    "evaluation": (
        "fusiondx.evaluation",
        "Metrics of any predictions, in NumPy: nothing here knows of torch or of models.",
        {"fusiondx.evaluation": tuple(evaluation.__all__)},
    ),
    "contracts": (
        "Contracts",
        "What an encoder, a fusion or a head of your own implements, and what it is handed.",
        {
            "fusiondx.core.spec": ("Spec", "spec"),
            "fusiondx.core.tokens": ("Tokens",),
            "fusiondx.core.batch": ("Items", "Batch", "Truth"),
            "fusiondx.core.components": (
                "TableShape",
                "ImageShape",
                "BagShape",
                "Encoder",
                "Fusion",
                "EarlyFusion",
                "LateFusion",
                "Head",
                "Primed",
                "Regularised",
                "Segmenting",
                "Mapped",
                "Attending",
                "Settled",
            ),
            "fusiondx.core.targets": ("TargetValues",),
        },
    ),
    "predictions": (
        "Predictions",
        "What a model says of each patient, by patient id.",
        {
            "fusiondx.core.predictions": (
                "ClassPrediction",
                "LabelsPrediction",
                "SurvivalPrediction",
                "CompetingPrediction",
                "NumberPrediction",
            ),
            "fusiondx.segmentation": ("Segmentation",),
            "fusiondx.benefit": ("Benefit",),
        },
    ),
    "displays": (
        "Displays",
        "Figures as scikit-learn has them: numbers first, a drawing on request.",
        {
            "fusiondx.reporting.displays": (
                "RocDisplay",
                "CalibrationDisplay",
                "DecisionCurveDisplay",
                "DistributionDisplay",
                "KaplanMeierDisplay",
                "OverTimeDisplay",
                "SurvivalCalibrationDisplay",
            )
        },
    ),
}


def members(union: Any) -> dict[str, Any]:
    """The specs of a union, by their kind."""
    return {member.kind: member for member in get_args(get_args(union)[0])}


def public() -> dict[str, Any]:
    """Every public name."""
    return {name: getattr(fusiondx, name) for name in fusiondx.__all__}


def written() -> Iterator[tuple[str, Iterable[str]]]:
    """Name and lines of every page."""
    left = public()
    for stem, (title, union, about) in UNIONS.items():
        specs = members(union)
        left = {name: found for name, found in left.items() if found not in specs.values()}
        yield stem, union_page(title, specs, about)
    for stem, (title, about, homes) in TOPICS.items():
        mine = {n: f for home in homes for n, f in left.items() if f.__module__.startswith(home)}
        left = {n: f for n, f in left.items() if n not in mine}
        yield stem, page(title, about, {"fusiondx": mine, **found_in(BESIDE.get(stem, {}))})
    if left:
        raise ExtensionError(f"No page of the reference takes {sorted(left)}: add their module to TOPICS.")
    for stem, (title, about, homes) in LISTED.items():
        yield stem, page(title, about, found_in(homes))
    yield "commands", commands()


def found_in(homes: Mapping[str, Iterable[str]]) -> dict[str, dict[str, Any]]:
    """The names of each module, with what they stand for."""
    return {home: {name: getattr(import_module(home), name) for name in names} for home, names in homes.items()}


def page(title: str, about: str, found: dict[str, dict[str, Any]]) -> Iterator[str]:
    """A table of names with their first sentences, then each in full."""
    yield from heading(title, "=")
    yield from ("", coded(about), "")
    rows = [[f":py:obj:`~{home}.{name}`", sentence(it)] for home, names in found.items() for name, it in names.items()]
    yield from table(["", ""], rows, (30, 70))
    for home, names in found.items():
        for name, it in names.items():
            yield from heading(name, "-")
            yield from described(f"{home}.{name}", it)


def union_page(title: str, specs: dict[str, Any], about: str) -> Iterator[str]:
    """A table of all specs of a union, then each with its settings."""
    yield from heading(title, "=")
    yield from ("", coded(about), "")
    rows = [[f"``{kind}``", f":py:obj:`~{address(it)}`", *where(it), sentence(it)] for kind, it in specs.items()]
    extra = {"Encoders": ["reads"], "Heads": ["answers"]}.get(title, [])
    yield from table(["kind", "class", *extra, "what it is"], rows, (16, 18, *(12 for _ in extra), 60))
    for kind, it in specs.items():
        yield from heading(it.__name__, "-")
        yield from described(address(it), it)
        settings = [[f"``{n}``", f"``{d}``", t] for n, d, t in settings_of(it)]
        if settings:
            yield from ("", f"In YAML ``kind: {kind}``, with:", "")
            yield from table(["setting", "default", "may be"], settings, (20, 30, 50))


def address(it: Any) -> str:
    """Where a class is documented: under its public name, or where it is."""
    return f"fusiondx.{it.__name__}" if it.__name__ in fusiondx.__all__ else f"{it.__module__}.{it.__name__}"


def where(it: Any) -> tuple[str, ...]:
    """What an encoder reads and a head answers."""
    if hasattr(it, "accepts"):
        return (", ".join(it.accepts),)
    return (str(it.answers),) if hasattr(it, "answers") else ()


def described(name: str, it: Any) -> Iterator[str]:
    """The directive that documents a name."""
    yield ""
    if inspect.isclass(it):
        yield from (f".. autoclass:: {name}", "   :members:", f"   :inherited-members: {FOREIGN}")
        yield f"   :exclude-members: {', '.join(TOLD + REQUESTS)}"
    elif inspect.isroutine(it):
        yield f".. autofunction:: {name}"
    elif isinstance(it, Mapping):
        yield from (f".. py:data:: {name}", "")
        yield from table(["name", "title"], [[f"``{key}``", value.title] for key, value in it.items()], (30, 70))
    else:
        short = re.sub(r"fusiondx\.[\w.]*\.", "", str(it))  # a name for a type
        yield from (f".. py:data:: {name}", "", f"   ``{short}``")
    yield ""


def settings_of(it: Any) -> Iterator[tuple[str, str, str]]:
    """Name, default and allowed values of each setting of a spec."""
    for field in fields(it):
        if field.name == "kind":
            continue
        info = it.__pydantic_fields__[field.name]
        default = "required" if info.is_required() else readable(info.get_default(call_default_factory=True))
        yield field.name, default, allowed(info.annotation, info.metadata)


def readable(value: Any) -> str:
    """A default, short."""
    return repr(value) if not hasattr(value, "kind") else value.kind


BOUNDS = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤", "min_length": "length ≥"}


def allowed(kind: Any, metadata: Iterable[Any] = ()) -> str:
    """A type and its bounds, in words."""
    bounds = [f"{sign} {getattr(m, name)}" for m in metadata for name, sign in BOUNDS.items() if hasattr(m, name)]
    return " ".join([type_in_words(kind), *[", ".join(bounds)][: bool(bounds)]])


def type_in_words(kind: Any) -> str:
    inner = get_args(kind)
    if get_origin(kind) is Literal:
        return ", ".join(f"``{value}``" for value in inner)
    if isinstance(kind, types.UnionType) or str(get_origin(kind)) == "typing.Union":
        return " or ".join(dict.fromkeys(type_in_words(part) for part in inner))
    if hasattr(kind, "__metadata__"):
        constraints = [c for m in kind.__metadata__ for c in getattr(m, "metadata", [m])]
        return allowed(inner[0], constraints)
    if kind is type(None):
        return "null"
    if get_origin(kind) is tuple:
        parts = dict.fromkeys(type_in_words(part) for part in inner if part is not Ellipsis)
        return "list of " + " or ".join(parts)
    if get_origin(kind) is not None:  # a mapping
        return f"mapping of {type_in_words(inner[0])} to {type_in_words(inner[-1])}"
    words = {int: "whole number", float: "number", str: "text", bool: "true or false"}
    return words.get(kind, getattr(kind, "__name__", str(kind)))


# --- the command line -----------------------------------------------------------------------------------------------


def commands() -> Iterator[str]:
    """Every command with its arguments and options."""
    from fusiondx.cli import app

    yield from heading("Commands", "=")
    yield from ("", "``fusiondx COMMAND --help`` says the same in the shell.", "")
    yield from command_sections("fusiondx", typer.main.get_command(app))


def command_sections(path: str, command: Any) -> Iterator[str]:
    if hasattr(command, "commands"):
        for name, inner in command.commands.items():
            yield from command_sections(f"{path} {name}", inner)
        return
    yield from heading(path, "-")
    yield from ("", *(coded(line) for line in (command.help or "").splitlines()), "")
    rows = []
    for given in command.params:
        argument = given.param_type_name == "argument"
        name = (given.metavar or given.name).upper() if argument else ", ".join(given.opts)
        if name != "--help":
            rows.append([f"``{name}``", coded(getattr(given, "help", None) or "")])
    yield from table(["", ""], rows, (25, 75))


# --- reStructuredText -----------------------------------------------------------------------------------------------


def heading(text: str, line: str) -> list[str]:
    return ["", text, line * len(text)]


def sentence(it: Any) -> str:
    """The first paragraph of a docstring, on one line."""
    doc = (inspect.getdoc(it) or "") if inspect.isclass(it) or inspect.isroutine(it) else ""
    return coded(" ".join(doc.split("\n\n")[0].split()))


def table(head: list[str], rows: list[list[str]], widths: tuple[int, ...]) -> Iterator[str]:
    if not rows:
        return
    yield from ("", ".. list-table::", f"   :widths: {' '.join(map(str, widths))}")
    if any(head):
        yield "   :header-rows: 1"
    yield ""
    for row in [head, *rows] if any(head) else rows:
        yield "   * - " + (row[0] or "\\ ")
        yield from (f"     - {cell or ' '}".rstrip() for cell in row[1:])
    yield ""


def coded(text: str) -> str:
    """Words in single backticks as links where they are public names, as code otherwise; ``*`` stands for itself."""

    def role(found: re.Match[str]) -> str:
        word = " ".join(found[1].split())
        head, _, rest = word.partition(".")
        if head not in fusiondx.__all__ or (rest and not hasattr(getattr(fusiondx, head), rest)):
            return f"``{word}``"
        return f":py:obj:`{word} <fusiondx.{head}>`"  # not every attribute has an entry of its own

    linked = CODE.sub(role, text)
    return BAR.sub(lambda found: found[0] if found[0].startswith("``") else "\\|", linked)


# --- hooks ----------------------------------------------------------------------------------------------------------


def write(app: Sphinx, config: Any) -> None:
    """Write the pages, touching none that stays as it was."""
    folder = Path(app.srcdir) / "docs" / "reference"
    folder.mkdir(exist_ok=True)
    pages = {f"{stem}.rst": "\n".join(lines).strip() + "\n" for stem, lines in written()}
    for old in folder.glob("*.rst"):
        if old.name not in pages:
            old.unlink()
    for name, text in pages.items():
        place = folder / name
        if not place.is_file() or place.read_text(encoding="utf-8") != text:
            place.write_text(text, encoding="utf-8")


def in_our_manner(app: Sphinx, what: str, name: str, it: Any, options: Any, lines: list[str]) -> None:
    """Docstrings write code in single backticks."""
    lines[:] = coded("\n".join(lines)).split("\n")


def without_repetition(app: Sphinx, what: str, name: str, it: Any, options: Any, sign: str, back: str) -> Any:
    """Settings of a component are told by its table; arrays are arrays, whatever they hold."""
    if inspect.isclass(it) and it in SPECS:
        return "", None
    if sign is None:
        return None  # an attribute
    return ARRAY.sub("ndarray", sign), ARRAY.sub("ndarray", back or "") or None


ARRAY = re.compile(r"ndarray\[tuple\[Any, \.\.\.\], dtype\[\w+(\[Any\])?\]\]")
SPECS = [member for _, union, _ in UNIONS.values() for member in members(union).values()]
HOMES = {f"{found.__module__}.{name}": f"fusiondx.{name}" for name, found in public().items()}


def to_public_name(app: Sphinx, env: Any, node: Any, content: nodes.Node) -> nodes.Node | None:
    """Annotations name a class by its home; it is documented under its public name. What is no public name of ours,
    such as NumPy's arrays, is left as text."""
    target = node.get("reftarget", "")
    known = HOMES.get(target) or (f"fusiondx.{target}" if target in fusiondx.__all__ else None)
    if known and known != target:
        domain = env.get_domain("py")
        return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", known, node, content)
    return None


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("config-inited", write, priority=100)  # before the map of the site is read
    app.connect("autodoc-process-docstring", in_our_manner, priority=400)  # before napoleon
    app.connect("autodoc-process-signature", without_repetition)
    app.connect("missing-reference", to_public_name)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
