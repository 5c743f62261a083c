"""Reproducing: a finished run done again, and all in which the two differ."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from fusiondx.errors import RunError
from fusiondx.experiment import comparing, folder, running

Tell = Callable[[str], None]
TABLES = (folder.METRICS, folder.HISTORY, folder.TRIALS, folder.COMPARISON)
TIMES = ("seconds",)
"""Columns that no two runs share."""


def reproduce(run: Path, data: Path | None, progress: Tell | None = None) -> list[str]:
    """Do the run in the folder `run` again, with as many threads, and list what differs; nothing where all is the same.

    Data, split, versions and machine first, then numbers, table by table, with the largest difference. `data` is the
    folder with the data files; left out: beside the run's cohort.yaml. Raises `RunError` where `run` is no finished
    run, or lacks what its settings name, else as `running.run`.
    """
    before = folder.need_run(run)
    threads = torch.get_num_threads()
    torch.set_num_threads(before.get("threads") or threads)
    try:
        with tempfile.TemporaryDirectory() as place:
            again = Path(place) / "again"
            once_more(run, before, data, again, progress)
            return [*circumstances(before, folder.need_run(again)), *numbers(run, again)]
    finally:
        torch.set_num_threads(threads)


def once_more(run: Path, before: Mapping[str, Any], data: Path | None, out: Path, progress: Tell | None) -> None:
    """Do it again into `out`."""
    if "experiments" in before:
        files = [run / entry["folder"] / folder.SETTINGS for entry in before["experiments"].values()]
        comparing.compare(need(files), data, out, (), (), before["first_folds"], progress=progress)
    else:
        running.run(need([run / folder.SETTINGS])[0], data or beside(run), out, progress=progress)


def need(files: list[Path]) -> list[Path]:
    """The files. Raises `RunError` where one is gone."""
    for file in files:
        if not file.is_file():
            raise RunError(f"{file} is missing, so this run cannot be done again. Restore it.")
    return files


def beside(run: Path) -> Path | None:
    """The data that a demonstration keeps in its own folder."""
    return run / folder.DATA if (run / folder.DATA).is_dir() else None


def circumstances(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """What differs in the data, the split, the versions and the machine."""
    for key, what in (("cohort_fingerprint", "data"), ("patients", "patients"), ("split_sha256", "split")):
        if before.get(key) != after[key]:
            yield f"{what}: {short(before.get(key))} -> {short(after[key])}"
    old, new = (
        before.get("versions", {}) | {"python": before.get("python", "none")},
        after["versions"] | {"python": after["python"]},
    )
    for package in dict.fromkeys((*old, *new)):
        if old.get(package) != new.get(package):
            yield f"version of {package}: {old.get(package, 'none')} -> {new.get(package, 'none')}"
    for key in ("platform", "threads"):
        if before.get(key) != after[key]:
            yield f"{key}: {before.get(key)} -> {after[key]}"


def short(value: object) -> str:
    return str(value)[:12]


def numbers(before: Path, after: Path) -> Iterator[str]:
    """What differs in the tables, and in the weights of the models kept."""
    for name in (*TABLES, *either(before, after, f"{folder.PREDICTIONS}/*.csv")):
        if (before / name).is_file() or (after / name).is_file():
            yield from table_differences(before / name, after / name, name)
    for name in either(before, after, f"{folder.MODEL}/**/*.safetensors"):
        old, new = before / name, after / name
        if not old.is_file() or not new.is_file():
            yield f"{name}: {only_in(new)}"
        elif old.read_bytes() != new.read_bytes():
            yield f"{name}: other weights"


def either(before: Path, after: Path, pattern: str) -> list[str]:
    """The files of either run, by their path inside it."""
    return sorted({file.relative_to(run).as_posix() for run in (before, after) for file in run.glob(pattern)})


def only_in(after: Path) -> str:
    return "only now" if after.is_file() else "no longer there"


def table_differences(before: Path, after: Path, name: str) -> Iterator[str]:
    """How two CSV files differ, in a line."""
    if not before.is_file() or not after.is_file():
        yield f"{name}: {only_in(after)}"
        return
    old, new = (
        pd.read_csv(path, dtype=str, keep_default_na=False).drop(columns=list(TIMES), errors="ignore")
        for path in (before, after)
    )
    if list(old.columns) != list(new.columns) or len(old) != len(new):
        yield f"{name}: other rows or columns"
        return
    cells = {str(column): int((old[column] != new[column]).sum()) for column in old}
    if any(cells.values()):
        columns = ", ".join(column for column, number in cells.items() if number)
        yield f"{name}: {sum(cells.values())} cells differ, in {columns}{largest(old, new)}"


def largest(old: pd.DataFrame, new: pd.DataFrame) -> str:
    """The largest difference between numbers, in words."""
    gaps = [
        float(np.nanmax(np.abs(a - b)))
        for a, b in ((pd.to_numeric(old[c], "coerce"), pd.to_numeric(new[c], "coerce")) for c in old)
        if (a - b).notna().any()
    ]
    return f"; by {max(gaps):.3g} at most" if gaps and max(gaps) > 0 else ""
