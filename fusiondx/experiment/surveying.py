"""Surveying: what the tables in a folder seem to hold, by names and values; a first guess for a person to mend."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fusiondx.data.reading import FileSource, gaps, labels, parsed, text
from fusiondx.errors import DataError, counted, did_you_mean, listed

Array = npt.NDArray[Any]
Table = dict[str, Array]
"""Columns of text by name, blank for gaps."""

TABLES = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".parquet", ".pq")
PATHS = {
    "image": (".png", ".jpg", ".jpeg", ".tif", ".tiff"),
    "volume": (".nii", ".nii.gz"),
    "bag": (".npy", ".safetensors", ".h5", ".hdf5"),
}
WIDE = 100
"""Numeric columns from which a table is taken for genomics."""
LEVELS = 20
"""Values up to which a column of words is taken for a category."""

ID = re.compile(r"(^|_)(patient|subject|case|participant|sample|record)s?(_?(id|no|number|barcode))?$|^id$", re.I)
MASK = re.compile(r"mask|seg(mentation)?|roi|outline", re.I)
SITE = re.compile(r"(^|_)(site|cent(re|er)|hospital|institution|clinic_id)(_|$)", re.I)
BODY = re.compile(r"(^|_)(body|lesion|tumou?r|primary|anatom\w*|biopsy|metasta\w*|disease|cancer|organ)s?(_|$)", re.I)
"""Of a site in the body, not of one where patients are treated."""
SPLIT = re.compile(r"(^|_)(split|fold|subset|partition|cohort_set)(_|$)|^set$", re.I)
TIME = re.compile(r"(^|_)(os|pfs|dfs|rfs|efs|survival|time|follow_?up|days|months|years)(_|$)", re.I)
EVENT = re.compile(r"(^|_)(event|dead|death|died|deceased|vital|censor(ed)?|status|relapse|progression)(_|$)", re.I)
OUTCOME = re.compile(
    r"diagnos|malignan|benign|melanoma|tumou?r_type|histolog(y|ical_type)|mutation|mutant|recurr|relapse|respon|outcome"
    r"|label|target|subtype|metasta|pcr(_|$)",
    re.I,
)
LEAK = re.compile(
    r"death|dead|died|deceased|vital|surviv|follow_?up|progress|recurr|relapse|censor|outcome|respon|diagnos|manage"
    r"|score|(^|_)(os|pfs|dfs|rfs|efs)(_|$)|cluster|notes?$|comment|report",
    re.I,
)
UNITS = {"day": "days", "month": "months", "year": "years"}


@dataclass
class Survey:
    """A table of the folder: its columns, each in one place."""

    source: FileSource
    id: str = ""
    unique: bool = True
    """Whether every patient has one row."""
    numeric: list[str] = field(default_factory=list)
    categorical: list[str] = field(default_factory=list)
    paths: dict[str, str] = field(default_factory=dict)
    """Columns of image paths, with the kind of image."""
    masks: list[str] = field(default_factory=list)
    site: str = ""
    survival: tuple[str, str, str] = ("", "", "")
    """Time, event, unit."""
    outcomes: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    """Columns nobody should read without a thought, with the reason."""

    @property
    def wide(self) -> bool:
        return len(self.numeric) >= WIDE


def survey(folder: Path, targets: Sequence[str] = ()) -> list[Survey]:
    """Every table in `folder` that has patients in common with the patient table, which comes first.

    `targets` are columns a person named as outcomes. Raises `DataError` where there is no table, no id column, or no
    outcome.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder. Give the folder that holds the tables.")
    files = sorted(p for p in folder.iterdir() if p.name.lower().endswith(TABLES))
    if not files:
        raise DataError(
            f"{folder} holds no table ({', '.join(TABLES)}). Put one row per patient into a CSV file there; of a "
            "spreadsheet, save the sheet as 'CSV UTF-8'."
        )
    frames = {source: read(source) for source in (FileSource.open(folder, file.name) for file in files)}
    id, home = identity(frames)
    ids = set(frames[home][id])
    found = []
    for source, frame in sorted(frames.items(), key=lambda item: item[0] is not home):
        key = id if id in frame else next((c for c in frame if like(ID, c) and ids & set(frame[c])), "")
        if key and ids & set(frame[key]):
            found.append(described(source, frame, key, folder, targets, whole=source is home))
    if not any(s.outcomes or s.survival[0] for s in found):
        columns = [Column(name, values) for name, values in frames[home].items() if name != id]
        two = [column.name for column in columns if 2 <= column.levels <= LEVELS]
        hint = f"Name one with --target, such as one of: {listed(two, 9)}." if two else "Add a column that does."
        raise DataError(f"No column of {home.name} looks like an outcome. {hint}")
    return found


def like(pattern: re.Pattern[str], name: str) -> bool:
    """Whether a column's name is of a kind; ``Patient ID`` and ``patient-id`` are ``Patient_ID``."""
    return pattern.search(re.sub(r"\W+", "_", name).strip("_")) is not None


def read(source: FileSource) -> Table:
    """A table as text."""
    frame = source.frame(source.columns)
    written = {name: text(frame[name]) for name in source.columns}
    return {name: np.where(gaps(values), "", values) for name, values in written.items()}


def identity(frames: dict[FileSource, Table]) -> tuple[str, FileSource]:
    """The id column, and the table whose rows are patients. Raises `DataError` where there is none."""
    candidates = []
    for source, frame in frames.items():
        for name, values in frame.items():
            if len(values) and like(ID, name) and (values != "").all() and len(set(values)) == len(values):
                shared = sum(name in other for other in frames.values())
                narrow = -len(frame)
                hints = sum(like(EVENT, c) or like(OUTCOME, c) for c in frame)
                candidates.append((shared, "patient" in name.lower(), min(hints, 1), narrow, name, source))
    if not candidates:
        raise DataError(
            "No table has a column that names each patient once, such as patient_id. Give one table a row per patient."
        )
    *_, name, source = max(candidates, key=lambda c: c[:4])
    return name, source


def described(source: FileSource, frame: Table, id: str, folder: Path, targets: Sequence[str], whole: bool) -> Survey:
    """One table with each column in its place; outcomes are looked for in the patient table, where `whole`."""
    found = Survey(source, id, len(set(frame[id])) == len(frame[id]))
    rest = {name: Column(name, values) for name, values in frame.items() if name != id}
    for name in list(rest):
        kind = rest[name].path_kind(folder)
        if kind and like(MASK, name):
            found.masks.append(name)
        elif kind:
            found.paths[name] = kind
        elif like(SITE, name) and not like(BODY, name) and not found.site and whole:
            found.site = name
        elif like(ID, name):
            found.left_out[name] = "another id"
        elif like(SPLIT, name):
            found.left_out[name] = "names folds or a split: use it under split or folds in experiment.yaml"
        else:
            continue
        del rest[name]
    if whole:
        outcomes(found, rest, targets)
    for name, column in rest.items():
        inputs(found, name, column)
    return found


@dataclass(frozen=True)
class Column:
    """The values of a column as text, blank for gaps."""

    name: str
    values: Array

    @property
    def known(self) -> Array:
        """The values that are there."""
        known: Array = self.values[self.values != ""]
        return known

    @property
    def levels(self) -> int:
        return len(set(self.known))

    @property
    def numbers(self) -> bool:
        """Whether all values are finite numbers."""
        return bool(len(self.known)) and bool(np.isfinite(parsed(self.known)).all())

    @property
    def words(self) -> Array:
        """The values that are no finite numbers."""
        words: Array = self.known[~np.isfinite(parsed(self.known))]
        return words

    @property
    def exceptions(self) -> str:
        """How many these are; a word in several cells is told, one in a single cell may say who the patient is."""
        words, times = np.unique(self.words.astype(str), return_counts=True)
        often = [str(word) for word in words[times > 1]]
        return counted(len(self.words), "cell") + (f" ({listed(often)})" if often else "")

    @property
    def yes_or_no(self) -> bool:
        """Whether it holds 0 and 1 alone."""
        return set(labels(pd.Series(self.known, dtype=object))) == {"0", "1"}

    @property
    def endings(self) -> str:
        """The kind of image that the values end like, blank where they end like none."""
        ends = [k for k, e in PATHS.items() if len(self.known) and all(str(v).lower().endswith(e) for v in self.known)]
        return ends[0] if ends else ""

    def path_kind(self, folder: Path) -> str:
        """The kind of image whose files the values name, blank where they name none that is there."""
        return self.endings if any((folder / str(v)).is_file() for v in self.known) else ""


def outcomes(found: Survey, rest: dict[str, Column], targets: Sequence[str]) -> None:
    """Take the outcomes out of `rest`: a survival time with its event, and columns that classify."""
    for name in dict.fromkeys(targets):
        if name not in rest:
            raise DataError(f"{found.source.name} has no column '{name}' to predict.{did_you_mean(name, list(rest))}")
        found.outcomes.append(name)
    free = {n: c for n, c in rest.items() if n not in targets}
    events = [n for n, c in free.items() if like(EVENT, n) and c.yes_or_no]
    times = [n for n, c in free.items() if like(TIME, n) and c.numbers and (parsed(c.known) >= 0).all()]
    pairs = [(e, t) for e in events for t in times if t != e and same_gaps(rest[e], rest[t])]
    if pairs:
        event, time = max(pairs, key=lambda pair: alike(*pair))
        unit = next((unit for word, unit in UNITS.items() if word in time.lower()), "")
        found.survival = (time, event, unit)
        del rest[time], rest[event]
    classes = [n for n, c in rest.items() if like(OUTCOME, n) and 2 <= c.levels <= LEVELS]
    two = [n for n in classes if rest[n].levels == 2]
    if not found.outcomes and (two or (classes and not pairs)):
        found.outcomes.append((two or classes)[0])
    answers = [rest.pop(n) for n in found.outcomes]
    for name in [n for n, c in rest.items() if any(tells(c, answer) for answer in answers)]:
        found.left_out[name] = "tells the outcome by itself: surely known only after it"
        del rest[name]


def tells(column: Column, answer: Column) -> bool:
    """Whether a column, alone, separates the classes almost without error."""
    both = (column.values != "") & (answer.values != "")
    if both.sum() < 20 or column.levels < 2 or (not column.numbers and column.levels > LEVELS):
        return False
    table = pd.DataFrame({"x": column.values[both], "y": answer.values[both]})
    if table["y"].value_counts(normalize=True).max() > 0.95:
        return False
    if column.numbers and column.levels > LEVELS:
        table["x"] = pd.qcut(parsed(column.values[both]), 20, labels=False, duplicates="drop")
    return bool(table.groupby(["x", "y"]).size().groupby("x").max().sum() >= 0.99 * len(table))


def same_gaps(a: Column, b: Column) -> bool:
    return np.array_equal(a.values == "", b.values == "")


def alike(a: str, b: str) -> int:
    """Letters that two names begin with in common."""
    return next((i for i, (x, y) in enumerate(zip(a.lower(), b.lower(), strict=False)) if x != y), min(len(a), len(b)))


def inputs(found: Survey, name: str, column: Column) -> None:
    """Put a column that is no outcome among the inputs, or leave it out with the reason."""
    if like(LEAK, name):
        found.left_out[name] = "by its name, may hold what is known only after the outcome: check before using it"
    elif column.levels < 2:
        found.left_out[name] = "empty or always the same"
    elif column.numbers:
        found.numeric.append(name)
    elif column.levels <= min(LEVELS, max(2, len(column.known) // 4)):
        found.categorical.append(name)
    elif np.isfinite(parsed(np.char.replace(column.known.astype(str), ",", "."))).all():
        found.left_out[name] = "numbers with a decimal comma: write them with a point to use them"
    elif 2 * len(column.words) < len(column.known):
        found.left_out[name] = f"numbers, but for {column.exceptions}: empty those cells to use them"
    elif column.endings:
        found.left_out[name] = "names files, none of which is in this folder: give paths that start here"
    else:
        found.left_out[name] = "text, dates or codes with too many values for a category"
