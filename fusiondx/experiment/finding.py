"""Finding: whose images those are that no table names, by the patient ids in their paths."""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from fusiondx.experiment.surveying import MASK, PATHS, Survey

KINDS = ("image", "volume")
LEVELS = 3
"""Folders below the one asked about that are looked into."""


def list_images(folder: Path, found: Sequence[Survey], ids: Collection[str], inside: Sequence[Path]) -> list[Path]:
    """Write a table of the images of each subfolder that no table names and whose paths hold a patient's id; `inside`
    are the `files` of the folder.

    Called as the subfolder, with a row per image; of a subfolder with volumes as well, those get a table of their own.
    A file of that name is left as it is. Masks are left out.
    """
    if any(table.paths for table in found):
        return []
    written = []
    for name, rows in by_folder(inside, ids).items():
        table = folder / f"{name}.csv"
        if not table.exists():
            with table.open("x", encoding="utf-8", newline="") as file:
                csv.writer(file).writerows([(found[0].id, "image"), *rows])
            written.append(table)
    return written


def by_folder(inside: Sequence[Path], ids: Collection[str]) -> Mapping[str, list[tuple[str, str]]]:
    """Patient and path of every image, by the subfolder it lies in; of volumes beside flat images apart."""
    found: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for kind in KINDS:
        for path in (path for path in inside if path.name.lower().endswith(PATHS[kind])):
            patient = owner(path, ids)
            if patient and not MASK.search(path.name):
                place = path.parts[0] if len(path.parts) > 1 else "images"
                found[place, kind].append((patient, path.as_posix()))
    both = {place for place, kind in found if kind == "volume" and (place, "image") in found}
    return {f"{p}_volumes" if kind == "volume" and p in both else p: rows for (p, kind), rows in found.items()}


def files(folder: Path) -> list[Path]:
    """What is in `folder`, as paths from there, sorted."""
    inside = (path.relative_to(folder) for path in sorted(folder.rglob("*")))
    return [path for path in inside if len(path.parts) <= LEVELS + 1]


def owner(path: Path, ids: Collection[str]) -> str:
    """The patient whose id is a folder of the path, or begins the file's name; blank where nobody's does."""
    for part in path.parts[:-1]:
        if part in ids:
            return part
    stem = path.name.split(".")[0]
    starts = [stem, *(stem[: match.start()] for match in re.finditer(r"[^A-Za-z0-9]", stem))]
    return max((start for start in starts if start in ids), key=len, default="")
