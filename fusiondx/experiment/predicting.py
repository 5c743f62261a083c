"""Predicting: what the models of a finished run say of patients, old or new."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from fusiondx.core.placing import placed
from fusiondx.core.predictions import Prediction
from fusiondx.core.settings import read_yaml
from fusiondx.data.cohort import Cohort
from fusiondx.data.cohort_file import read_cohort_file
from fusiondx.errors import RunError
from fusiondx.experiment import folder, tables
from fusiondx.model import FusionModel
from fusiondx.stacking.saving import DESCRIPTION as STACK
from fusiondx.stacking.stack import Stack


def predict(run: Path, data: Path, cohort: Path | None = None) -> pd.DataFrame:
    """Predictions of a run's models for the patients in `data`: one row per patient (and per model, of several).

    The cohort.yaml is the run's own unless given; its targets are not read, so new patients need no outcome. Columns:
    ``patient_id``, then ``target.quantity``. Raises `RunError` for what is no run, `DataError` and `ConfigError` as
    `Cohort.read` does.
    """
    models = {name: loaded(place) for name, place in kept(run).items()}
    patients = read_inputs(cohort or run / folder.COHORT, data, {n for m in models.values() for n in reads(m)})
    said = {name: wide(model.predict(patients)) for name, model in models.items()}
    if len(said) == 1:
        return next(iter(said.values()))
    return pd.concat([frame.assign(model=name) for name, frame in said.items()], ignore_index=True)


def refuse_taken(out: Path, overwrite: bool) -> None:
    """Raise `RunError` unless predictions may be written at `out`; nothing but predictions is ever replaced."""
    if not out.exists():
        return
    if not out.is_file() or not says_predictions(out):
        raise RunError(f"{out} exists and holds no predictions. Choose another --out; it is left as it is.")
    if not overwrite:
        raise RunError(f"{out} exists. Choose another --out, or pass --overwrite to replace it.")


def says_predictions(file: Path) -> bool:
    """Whether the columns of a table are called as those of predictions, ``target.quantity``."""
    with file.open(encoding="utf-8", errors="replace", newline="") as lines:
        first, *others = next(csv.reader(lines), [""])
    return first == "patient_id" and bool(others) and all("." in name or name == "model" for name in others)


def write(said: pd.DataFrame, out: Path) -> None:
    """Write predictions as CSV, all or nothing. Raises `RunError` where that cannot be done."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with placed(out) as part:
            tables.write_csv(said, part)
    except OSError as error:
        raise RunError(f"{out} cannot be written: {error.strerror}. Choose another --out.") from error


def kept(run: Path) -> dict[str, Path]:
    """The folders of a run's models by name. Raises `RunError` where there is none."""
    places = folder.need_run(run)["models"]
    if not places:
        raise RunError(
            f"{run} keeps no model: it is a comparison or an evaluation. Run the experiment you chose: `fusiondx run`."
        )
    return {name: run / place for name, place in places.items()}


def loaded(place: Path) -> FusionModel | Stack:
    """The model saved in a folder, of whichever kind."""
    return Stack.load(place) if (place / STACK).is_file() else FusionModel.load(place)


def reads(model: FusionModel | Stack) -> Collection[str]:
    """The modalities a fitted model reads."""
    return model.modalities_ if isinstance(model, Stack) else model.preparations_


def read_inputs(path: Path, data: Path, names: set[str]) -> Cohort:
    """The cohort with the modalities `names` and nothing that only training needs: neither targets nor sites."""
    read_cohort_file(path)  # mistakes are told of the file as it was written
    settings: dict[str, Any] = {k: v for k, v in read_yaml(path).items() if k not in ("targets", "treatment")}
    settings["patients"] = {k: v for k, v in settings["patients"].items() if k != "site"}
    used = {name: spec for name, spec in settings["modalities"].items() if name in names}
    settings["modalities"] = used or settings["modalities"]
    with tempfile.TemporaryDirectory() as place:
        inputs = Path(place) / path.name
        inputs.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
        return Cohort.read(inputs, data)


def wide(predictions: Mapping[str, Prediction]) -> pd.DataFrame:
    """The predictions for all targets side by side."""
    frames = [said.to_frame().add_prefix(f"{target}.") for target, said in predictions.items()]
    return pd.concat(frames, axis=1).reset_index()
