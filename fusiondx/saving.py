"""Saving: a fitted model as a folder of JSON and safetensors, written all or nothing, read without running anything."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import Field, NonNegativeInt, TypeAdapter, model_validator
from torch import Tensor, nn

from fusiondx.core.components import RawImages
from fusiondx.core.joining import read_by
from fusiondx.core.placing import take_place as take_place
from fusiondx.core.settings import parse
from fusiondx.core.spec import Spec, spec
from fusiondx.core.targets import TargetSpec
from fusiondx.data.preprocess import Preparation, TablePreparation
from fusiondx.encoders import AnyEncoder
from fusiondx.errors import RunError
from fusiondx.fusion import AnyFusion
from fusiondx.heads import AnyHead
from fusiondx.training import Training

FORMAT = 4
"""Version of the folder's layout."""
WEIGHTS, DESCRIPTION = "weights.safetensors", "model.json"


@spec
class Question(Spec):
    """A target without its patients."""

    spec: TargetSpec
    classes: tuple[str, ...]


@spec
class Description(Spec):
    """All of a fitted model but its weights; settings are those it was fitted with, defaults filled in."""

    encoders: dict[str, AnyEncoder]
    fusion: AnyFusion
    heads: dict[str, AnyHead]
    dim: Annotated[int, Field(ge=1)]
    training: Training
    seed: NonNegativeInt
    kinds: dict[str, Literal["table", "genomics", "image", "volume", "bag"]]
    preparations: dict[str, Preparation]
    targets: dict[str, Question]
    extracted: dict[str, RawImages]
    """What the extractor of a modality looks at."""
    history: dict[str, list[float | None]]
    landmark: Annotated[float, Field(allow_inf_nan=False)] | None = None
    """The time after which nothing may have been observed."""

    @model_validator(mode="after")
    def _names_agree(self) -> Description:
        read = {part for name in self.encoders for part in read_by(name, self.kinds)}
        if not read == set(self.kinds) == set(self.preparations):
            raise ValueError("encoders, kinds and preparations name different modalities")
        tables = {name for name, prepared in self.preparations.items() if isinstance(prepared, TablePreparation)}
        if set(self.extracted) != {name for name in tables if self.kinds[name] in ("image", "volume")}:
            raise ValueError("'extracted' names other modalities than those whose images are read as features")
        if set(self.heads) != set(self.targets):
            raise ValueError("heads and targets name different targets")
        return self


def write(folder: Path, description: Description, weights: Mapping[str, Tensor], overwrite: bool) -> None:
    """Write both files into `folder`. Raises `RunError` if it exists, unless `overwrite`, or cannot be written."""
    from safetensors.torch import save_file

    with staged(folder, overwrite) as stage:
        # copies: layers may share memory, which the format refuses to hold under two names
        apart = {name: t.clone(memory_format=torch.contiguous_format) for name, t in weights.items()}
        save_file(apart, stage / WEIGHTS)
        said = TypeAdapter(Description).dump_python(description, mode="json")
        whole = {"format": FORMAT, "fusiondx": version("fusiondx"), **said}
        (stage / DESCRIPTION).write_text(json.dumps(whole, indent=1, allow_nan=False), encoding="utf-8")


@contextmanager
def staged(folder: Path, overwrite: bool) -> Iterator[Path]:
    """A folder to fill that becomes `folder` if all goes well, and vanishes if not.

    Raises `RunError` if `folder` exists, unless `overwrite`, or cannot be written.
    """
    if folder.exists() and not overwrite:
        raise RunError(f"{folder} exists. Save elsewhere, or pass overwrite=True.")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        stage = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
        try:
            yield stage
            stage.chmod(0o755)
            for file in stage.iterdir():
                sync(file)
            take_place(stage, folder)
        finally:
            shutil.rmtree(stage, ignore_errors=True)
    except OSError as error:
        raise RunError(f"The model could not be saved to {folder}: {error.strerror or error}.") from error


def read(folder: Path) -> tuple[Description, dict[str, Tensor]]:
    """Description and weights.

    Raises `RunError` where the folder is not a whole saved model of this format, `ConfigError` where what it says of
    the model is not what `write` writes.
    """
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
        raise RunError(
            f"{folder} was not saved in format {FORMAT}, the one that fusiondx {version('fusiondx')} reads. "
            "Train and save the model again."
        )
    said = {name: value for name, value in description.items() if name not in ("format", "fusiondx")}
    return parse(Description, said, str(folder / DESCRIPTION)), weights


def fill(blank: Callable[[], nn.Module], weights: Mapping[str, Tensor], folder: Path) -> None:
    """Put the saved weights into what `blank` makes. Raises `RunError` where the weights do not belong to them."""
    try:
        with torch.random.fork_rng(devices=[]):  # starting values are drawn, and thrown away
            modules = blank()
        for name, buffer in modules.named_buffers():
            if name in weights and not buffer.numel():
                buffer.resize_(weights[name].shape)  # a buffer that waits to be settled has no length yet
        modules.load_state_dict(dict(weights))
    except (RuntimeError, MemoryError, OverflowError) as error:
        raise RunError(f"{folder}: the weights do not belong to the model described beside them.") from error


def sync(file: Path) -> None:
    """Wait until a file is on disk; a folder, with all in it, was put there by one who waited."""
    if file.is_file():
        with file.open("rb") as handle:
            os.fsync(handle.fileno())
