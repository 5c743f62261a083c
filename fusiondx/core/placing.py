"""Placing: a folder that was made beside its place, and takes it when finished."""

from __future__ import annotations

import shutil
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
