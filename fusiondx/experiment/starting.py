"""Starting: a first cohort.yaml and experiment.yaml for a folder of tables and images, with comments."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from fusiondx.data.reading import read_ids
from fusiondx.errors import DataError, RunError
from fusiondx.experiment.finding import files, list_images
from fusiondx.experiment.surveying import Survey, survey

COHORT, EXPERIMENT = "cohort.yaml", "experiment.yaml"
NAMELESS = re.compile(r"(^|_)(file|path)(_?name)?$", re.I)
"""Columns whose name says that they hold paths, not of what."""
EXPERIMENT_TEXT = """\
# What is asked of these patients, and how. `fusiondx config show experiment.yaml` lists every setting in force.
cohort: cohort.yaml
# Five folds: every patient is tested once, by a model that never saw them. Whole sites stay together, if there are any.
folds: {k: 5, seed: 0}
model:
  # Encoders and heads left out are chosen by kind; other fusions: fusiondx compare experiment.yaml --out runs/compare
  fusion: gated
  training: {epochs: 60}
  seed: 0
# Each modality alone and a classical regression are judged on the same folds.
evaluation: {baselines: true}
"""


def start(folder: Path, targets: Sequence[str] = ()) -> list[Path]:
    """Look at the tables in `folder` and write cohort.yaml and experiment.yaml there; before them, where images lie in
    subfolders and no table names them, tables that do.

    Raises `RunError` where one of the two exists: nothing is overwritten. Raises `DataError` as `survey` does.
    """
    paths = [folder / COHORT, folder / EXPERIMENT]
    for path in paths:
        if path.exists():
            raise RunError(f"{path} exists and is left as it is. Move it away, or edit it.")
    found = survey(folder, targets)
    inside = files(folder)
    made = list_images(folder, found, set(read_ids(found[0].source, found[0].id)), inside)
    found = survey(folder, targets) if made else found
    lines = list(cohort_lines(found, next((path for path in inside if path.name.lower().endswith(".dcm")), None)))
    if not any(table.numeric or table.categorical or table.paths for table in found):
        raise DataError(f"{folder} holds nothing to predict from: no column beside ids and outcomes, and no image.")
    texts = ["\n".join(lines) + "\n", EXPERIMENT_TEXT]
    for path, content in zip(paths, texts, strict=True):
        with path.open("x", encoding="utf-8") as file:
            file.write(content)
    return [*made, *paths]


def cohort_lines(found: Sequence[Survey], dicom: Path | None = None) -> Iterator[str]:
    """The lines of a cohort.yaml; `dicom` is a file that only a person can say the use of."""
    home = found[0]
    site = f", site: {quoted(home.site)}" if home.site else ""
    yield "# Which file and column is what: a first guess by names and values. Read it, and correct it."
    yield f"patients: {{file: {quoted(home.source.name)}, id: {quoted(home.id)}{site}}}"
    yield "modalities:"
    taken: set[str] = set()
    for table in found:
        yield from modality_lines(table, home, taken)
    if dicom is not None:
        place = comment(dicom.parts[0]) if len(dicom.parts) > 1 else "this folder"
        yield f"  # left out: the DICOM files in {place}. Put"
        yield "  # into a table each patient's file (kind: image), or the folder of their series (kind: volume)."
    yield "targets:"
    yield from target_lines(home)


def modality_lines(table: Survey, home: Survey, taken: set[str]) -> Iterator[str]:
    """The modalities that one table gives, and what of it is left out."""
    where = [] if table is home else [f"file: {quoted(table.source.name)}"]
    where += [] if table.id == home.id else [f"id: {quoted(table.id)}"]
    for column, kind in table.paths.items():
        mask = mask_of(column, table)
        settings = [f"kind: {kind}", *where, f"path: {quoted(column)}", *([f"mask: {quoted(mask)}"] if mask else [])]
        size = {"image": ["size: 128"], "volume": ["size: 32"]}.get(kind, [])
        name = fresh(stem(table) if table is not home and NAMELESS.search(column) else column, taken)
        yield f"  {quoted(name)}: {{{', '.join([*settings, *size])}}}"
    if not table.unique and (table.numeric or table.categorical):
        yield f"  # {table.source.name}: several rows per patient, so its other columns are left out. A table needs one"
        yield "  # row per patient, or `time: COLUMN` that says when each was observed."
    elif table.wide:
        columns = table.numeric if table.left_out or table.categorical or table.paths else ["*"]
        name = fresh(stem(table), taken)
        yield f"  {quoted(name)}: {{{', '.join(['kind: genomics', *where, f'columns: {listing(columns)}'])}}}"
    elif table.numeric or table.categorical:
        settings = ["kind: table", *where]
        settings += [f"numeric: {listing(table.numeric)}"] if table.numeric else []
        settings += [f"categorical: {listing(table.categorical)}"] if table.categorical else []
        yield f"  {quoted(fresh('clinical' if table is home else stem(table), taken))}: {{{', '.join(settings)}}}"
    for column, reason in table.left_out.items():
        yield f"  # left out of {table.source.name}: {comment(column)} ({reason})"


def target_lines(home: Survey) -> Iterator[str]:
    """The outcomes."""
    time, event, unit = home.survival
    if time:
        if not unit:
            yield "  # the unit of time is a guess: days, months or years"
        yield f"  survival: {{kind: survival, time: {quoted(time)}, event: {quoted(event)}, unit: {unit or 'months'}}}"
    for column in home.outcomes:
        yield f"  {quoted(column)}: {{kind: classes, column: {quoted(column)}}}"


def mask_of(column: str, table: Survey) -> str:
    """The masks that belong to a column of images: those of a table with one such column, or named after it."""
    near = [mask for mask in table.masks if column.lower() in mask.lower()]
    return next(iter(near or (table.masks if len(table.paths) == 1 else [])), "")


def fresh(name: str, taken: set[str]) -> str:
    """A name that no other modality has; a plus sign would name several."""
    plain = name.replace("+", "_").replace(".", "_")
    found = next(n for n in (plain, *(f"{plain}_{i}" for i in range(2, 1000))) if n not in taken)
    taken.add(found)
    return found


def stem(table: Survey) -> str:
    return table.source.name.split(".")[0]


def quoted(name: str) -> str:
    """A name as YAML writes it."""
    return (
        yaml.safe_dump(name, default_flow_style=True, width=10**6, allow_unicode=True).removesuffix("\n...\n").strip()
    )


def listing(names: Sequence[str]) -> str:
    return yaml.safe_dump(list(names), default_flow_style=True, width=10**6, allow_unicode=True).strip()


def comment(name: str) -> str:
    """A name that cannot end a comment."""
    return " ".join(name.split())
