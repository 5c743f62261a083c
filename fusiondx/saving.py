"""Saving: a fitted model as a folder of JSON and safetensors, written all or nothing, read without running anything."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from fusiondx.errors import RunError

FORMAT = 1
"""Version of the folder's layout."""
WEIGHTS, DESCRIPTION = "weights.safetensors", "model.json"


def write(folder: Path, description: Mapping[str, Any], weights: Mapping[str, Tensor], overwrite: bool) -> None:
    """Write both files into `folder`. Raises `RunError` if it exists, unless `overwrite`, or cannot be written."""
    from safetensors.torch import save_file

    if folder.exists() and not overwrite:
        raise RunError(f"{folder} exists. Save elsewhere, or pass overwrite=True.")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        staged = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
        try:
            save_file({name: tensor.contiguous() for name, tensor in weights.items()}, staged / WEIGHTS)
            whole = {"format": FORMAT, "fusiondx": version("fusiondx"), **description}
            (staged / DESCRIPTION).write_text(json.dumps(whole, indent=1, allow_nan=False), encoding="utf-8")
            staged.chmod(0o755)
            for name in (WEIGHTS, DESCRIPTION):
                sync(staged / name)
            take_place(staged, folder)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
    except OSError as error:
        raise RunError(f"The model could not be saved to {folder}: {error.strerror or error}.") from error


def read(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Description and weights. Raises `RunError` where the folder is not a whole saved model of this format."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        description = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        weights = load_file(folder / WEIGHTS)
    except (OSError, ValueError, SafetensorError) as error:
        raise RunError(
            f"{folder} does not hold a whole saved model ({type(error).__name__}). Save it again, or check the path."
        ) from error
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        raise RunError(f"{folder} was not saved in format {FORMAT}, the one that fusiondx {version('fusiondx')} reads.")
    return description, weights


def fill(module: nn.Module, weights: Mapping[str, Tensor], folder: Path) -> None:
    """Put saved weights into a freshly built network; buffers take whatever length they were saved with."""
    for name, buffer in module.named_buffers():
        if name in weights and weights[name].shape != buffer.shape:
            buffer.resize_(weights[name].shape)
    try:
        module.load_state_dict(dict(weights))
    except RuntimeError as error:
        raise RunError(f"{folder}: the weights do not belong to the model described beside them.") from error


def sync(file: Path) -> None:
    """Wait until a file is on disk."""
    with file.open("rb") as handle:
        os.fsync(handle.fileno())


def take_place(staged: Path, folder: Path) -> None:
    """Let `staged` become `folder`; whoever looks sees the old one or the new one, never a mixture."""
    retired = staged.with_name(staged.name + ".old")
    if folder.exists():
        folder.rename(retired)
    staged.rename(folder)
    shutil.rmtree(retired, ignore_errors=True)
