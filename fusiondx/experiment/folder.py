"""The run folder: made beside its place, and moved there when finished."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fusiondx.core.placing import take_place
from fusiondx.errors import RunError, did_you_mean, listed

FORMAT = 1
"""Version of the folder's layout."""
MANIFEST, SETTINGS, COHORT = "manifest.json", "experiment.resolved.yaml", "cohort.yaml"
HISTORY, METRICS, REPORT, PAGE = "history.csv", "metrics.csv", "report.json", "report.html"
PREDICTIONS, MODEL, DATA, SPLIT = "predictions", "model", "data", "split.json"
COMPARISON, EXPERIMENTS, TRIALS, EVENTS = "comparison.csv", "experiments", "trials.csv", "events.jsonl"
CHECKLISTS = "checklists.csv"
OURS = {
    *(MANIFEST, SETTINGS, COHORT, HISTORY, METRICS, REPORT, PAGE),
    *(PREDICTIONS, MODEL, DATA, SPLIT, COMPARISON, EXPERIMENTS, TRIALS, EVENTS, CHECKLISTS),
}


@contextmanager
def staged(out: Path, overwrite: bool = False) -> Iterator[Path]:
    """A folder to fill that becomes `out` if all goes well, and vanishes if not.

    Raises `RunError` where `out` is a finished run (unless `overwrite`), anything else that is not an empty folder, or
    cannot be written.
    """
    out = out.resolve()
    refuse_taken(out, overwrite)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        stage = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}."))
    except OSError as error:
        raise RunError(f"{out} cannot be written: {error.strerror}. Choose another --out.") from error
    try:
        yield stage
        stage.chmod(0o755)  # temporary folders are private
        refuse_taken(out, overwrite)  # somebody may have been quicker
        take_place(stage, out)
    except OSError as error:
        what = f" ({error.filename})" if error.filename else ""
        raise RunError(f"The run into {out} failed: {error.strerror or error}{what}.") from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def refuse_taken(out: Path, overwrite: bool) -> None:
    """Raise `RunError` unless a run may be put at `out`; nothing but a run folder is ever replaced."""
    if out.is_mount():
        raise RunError(f"{out} is a mount point, which cannot be replaced. Choose a folder inside it.")
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    manifest = _json(out / MANIFEST)
    if manifest is None or manifest.get("format") != FORMAT:
        raise RunError(f"{out} exists and is not a run folder. Choose another --out; it is left as it is.")
    if not overwrite:
        raise RunError(f"{out} holds a finished run. Choose another --out, or pass --overwrite to replace it.")
    strangers = sorted({entry.name for entry in out.iterdir()} - OURS)
    if strangers:
        raise RunError(f"{out} also holds what no run wrote: {listed(strangers)}. Move it away, then overwrite.")


def need_run(folder: Path) -> dict[str, Any]:
    """The manifest of a finished run. Raises `RunError` where `folder` is none."""
    manifest = _json(folder / MANIFEST)
    if manifest is None:
        known = sorted(entry.name for entry in folder.parent.glob("*/") if (entry / MANIFEST).is_file())
        hint = did_you_mean(folder.name, known)
        raise RunError(f"{folder} is not a run folder: it has no {MANIFEST}.{hint or ' Make one with `fusiondx run`.'}")
    if manifest.get("format") != FORMAT:
        raise RunError(f"{folder} has format {manifest.get('format')}; this version reads format {FORMAT}.")
    if not isinstance(manifest.get("models"), dict):
        raise RunError(f"{folder / MANIFEST} is incomplete. Restore it, or run again.")
    return manifest


def file_names(names: Iterable[str]) -> dict[str, str]:
    """A name fit for a file or folder for each of `names`, all different also where case does not count."""
    found: dict[str, str] = {}
    for name in names:
        stem = re.sub(r"[^\w.-]+", "-", name).strip("-.")[:80] or "unnamed"
        taken = {other.casefold() for other in found.values()}
        tries = (stem if not n else f"{stem}-{n + 1}" for n in range(len(taken) + 1))
        found[name] = next(attempt for attempt in tries if attempt.casefold() not in taken)
    return found


def _json(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None
