"""Placing: a folder or file that was made beside its place, and takes it when finished."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def take_place(staged: Path, folder: Path) -> None:
    """Let `staged` become `folder`; whoever looks sees the old one, the new one or none, never a mixture."""
    if not folder.exists():
        staged.rename(folder)
        return
    retired = folder.rename(staged.with_name(staged.name + ".old"))
    try:
        staged.rename(folder)
    except BaseException:
        retired.rename(folder)
        raise
    shutil.rmtree(retired, ignore_errors=True)


@contextmanager
def placed(path: Path) -> Iterator[Path]:
    """A file to write beside `path`, which becomes it if all goes well; else `path` stays as it was."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        os.replace(part, path)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise
