"""Reads: how often a test set was looked at, counted beside the split file that holds it out."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

from fusiondx.core.placing import placed
from fusiondx.data.cohort import Cohort
from fusiondx.errors import RunError, counted

Reads = dict[str, list[str]]


def register(split: Path) -> Path:
    """Where the reads of a split file's test set are kept: ``split.json`` has ``split.reads.json``."""
    return split.with_name(f"{split.stem}.reads.json")


def times_read(test: Cohort) -> list[str]:
    """When this test set was looked at so far; nothing for patients whom no split file holds out.

    Raises `RunError` where the count is damaged.
    """
    return [] if test.held_out_by is None else _kept(register(test.held_out_by)).get(_key(test), [])


def count_read(test: Cohort) -> str | None:
    """Count that a test set is looked at once more, and say how often that makes; None where no split file knows it.

    Looking several times and keeping the best makes a test set a training set (Dwork et al. 2015). The count goes by
    patients, so a part of a test set, or another test set in the same file, has its own. Raises `RunError` where the
    count cannot be kept.
    """
    if test.held_out_by is None:
        return None
    path, now = register(test.held_out_by), datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    kept = _kept(path)
    mine = [*kept.get(_key(test), []), now]
    _write(path, {**kept, _key(test): mine})
    since = f", the first time on {mine[0]}" if len(mine) > 1 else ""
    return f"The test set of {test.held_out_by.name} was read {counted(len(mine), 'time')}{since}."


def _key(test: Cohort) -> str:
    return hashlib.sha256(json.dumps(sorted(map(str, test.ids))).encode()).hexdigest()


def _kept(path: Path) -> Reads:
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise RunError(f"{path}, which counts reads of the test set, cannot be read. Restore it.") from error
    if not isinstance(kept, dict) or not all(isinstance(dates, list) for dates in kept.values()):
        raise RunError(f"{path}, which counts reads of the test set, is damaged. Restore it.")
    return kept


def _write(path: Path, kept: Reads) -> None:
    try:
        with placed(path) as part:
            part.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise RunError(
            f"The read of the test set cannot be counted in {path}: {error.strerror}. Keep the split file in a folder "
            "that can be written."
        ) from error
