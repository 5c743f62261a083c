"""Folds: who is trained on and who is tested on, with how that was drawn, as a file that can be checked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt
import pandas as pd

from fusiondx.data.splits import Fold, warn
from fusiondx.errors import DataError, RunError, counted, listed

Array = npt.NDArray[Any]
FORMAT = 1


@dataclass(frozen=True, eq=False)
class Folds(Sequence[Fold]):
    """Pairs of positions to train on and to test on, as scikit-learn's `cv` takes them; one pair is a single split."""

    ids: Array
    """The patients that positions count, text; shape ``(patients,)``."""
    pairs: tuple[Fold, ...]
    settings: Mapping[str, Any]
    """How they were drawn: arguments by name, the seed among them."""
    gap: float | None = None
    """Of site-preserved folds: by how much, at most, a better partition could lower the mean squared relative deviation
    of the folds from equal size and equal outcome; None of others."""

    def __len__(self) -> int:
        return len(self.pairs)

    @overload
    def __getitem__(self, index: int) -> Fold: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Fold, ...]: ...
    def __getitem__(self, index: int | slice) -> Fold | tuple[Fold, ...]:
        return self.pairs[index]

    def __repr__(self) -> str:
        return f"<Folds: {len(self)} of {counted(len(self.ids), 'patient')}, {dict(self.settings)}>"

    @property
    def by_id(self) -> list[dict[str, list[str]]]:
        """The ids of each fold's training and test patients, sorted."""
        return [
            {"train": sorted(map(str, self.ids[train])), "test": sorted(map(str, self.ids[held]))}
            for train, held in self.pairs
        ]

    @property
    def sha256(self) -> str:
        """Of the ids on either side of every fold, and of the settings; the order of rows does not count."""
        return digest(self.by_id, self.settings)

    def save(self, path: str | Path, overwrite: bool = False) -> Path:
        """Write ids, settings and SHA-256 as JSON, for `Cohort.folds(file=...)`.

        Raises `RunError` where the file cannot be written, or holds another split (unless `overwrite`).
        """
        path = Path(path)
        if path.exists() and not overwrite:
            if _record(path)["sha256"] == self.sha256:
                return path
            raise RunError(f"{path} holds another split. Read it with file=..., or save this one under another name.")
        record = {"format": FORMAT, "settings": dict(self.settings), "sha256": self.sha256, "folds": self.by_id}
        try:
            path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise RunError(f"The split file {path} cannot be written: {error.strerror}. Name another one.") from error
        return path


def digest(folds: object, settings: Mapping[str, Any]) -> str:
    """SHA-256 of folds by id and of settings."""
    canonical = json.dumps([folds, dict(settings)], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def read_folds(path: str | Path, ids: Array) -> Folds:
    """The folds in a split file, as positions among `ids`.

    Raises `DataError` where the file cannot be read, was changed after it was written, or names patients who are not
    there. Patients it does not name neither train nor test; a warning counts them.
    """
    path = Path(path)
    record = _record(path)
    index = pd.Index(ids)
    pairs = []
    for fold in record["folds"]:
        sides = {side: index.get_indexer(pd.Index(np.asarray(fold[side], dtype=object))) for side in ("train", "test")}
        absent = [id for side, at in sides.items() for id, place in zip(fold[side], at, strict=True) if place < 0]
        if absent:
            raise DataError(
                f"{path.name} names {counted(len(absent), 'patient')} who {'is' if len(absent) == 1 else 'are'} not in "
                f"the cohort: {listed(absent)}. Read the cohort that was split, or split this one."
            )
        pairs.append((np.sort(sides["train"]), np.sort(sides["test"])))
    named = np.unique(np.concatenate([side for pair in pairs for side in pair]))
    if len(named) < len(ids):
        others = np.delete(ids, named)
        warn(f"{path.name} does not name {counted(len(others), 'patient')}: {listed(others)}. Not used.")
    return Folds(ids, tuple(pairs), record["settings"])


def _record(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"The split file {path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise DataError(f"The split file {path} is not JSON text. Write it with save.") from error
    if not isinstance(record, dict) or record.get("format") != FORMAT or not _is_whole(record):
        raise DataError(f"{path} is no split file of format {FORMAT}. Write it with this version.")
    if digest(record["folds"], record["settings"]) != record["sha256"]:
        raise DataError(f"{path} was changed after it was written: its SHA-256 differs. Split anew, or restore it.")
    return record


def _is_whole(record: Mapping[str, Any]) -> bool:
    folds, settings = record.get("folds"), record.get("settings")
    return (
        isinstance(folds, list)
        and bool(folds)
        and isinstance(settings, dict)
        and all(
            isinstance(fold, dict) and all(_is_names(fold.get(side)) for side in ("train", "test")) for fold in folds
        )
    )


def _is_names(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(name, str) for name in value)
