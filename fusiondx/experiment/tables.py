"""Tables of a run as CSV that a spreadsheet can open without running anything."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fusiondx.core.targets import TargetValues
from fusiondx.data.outcomes import flat
from fusiondx.reporting.report import Part

FORMULA = re.compile(r"[=+\-@\t\r]")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Write `frame` without its index; text that a spreadsheet would take for a formula gets an apostrophe first."""
    safe = frame.map(harmless).rename(columns=harmless)
    # text in quotes: pandas would let a lone carriage return inside a cell end the row
    safe.to_csv(path, index=False, encoding="utf-8", lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)


def harmless(cell: Any) -> Any:
    """A cell that no spreadsheet computes; an id such as -7 is a number and stays."""
    return f"'{cell}" if isinstance(cell, str) and FORMULA.match(cell) and not NUMBER.fullmatch(cell) else cell


def predictions(parts: Sequence[Part]) -> pd.DataFrame:
    """Held-out predictions beside the truth: one row per patient and fold, folds counted from 0 as in the history."""
    frames = [
        pd.concat([said.to_frame().reset_index(), truth_columns(truth)], axis=1).assign(fold=number)
        for number, (said, truth) in enumerate(parts)
    ]
    whole = pd.concat(frames, ignore_index=True)
    return whole[["patient_id", "fold", *(name for name in whole if name not in ("patient_id", "fold"))]]


def truth_columns(truth: TargetValues) -> pd.DataFrame:
    """The true values: ``true``, ``true[label]`` of several labels, or ``time`` and ``event``; blank where unknown."""
    values = flat(truth)
    if values.ndim == 2:
        return pd.DataFrame(values, columns=[f"true[{label}]" for label in truth.classes])
    if values.dtype.names is None:
        return pd.DataFrame({"true": values})
    return pd.DataFrame({"time": values["time"], "event": np.where(truth.known, values["event"].astype(float), np.nan)})


def by_model(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Tables of several models, such as training curves, as one; the first column names the model."""
    frames = [frame.assign(model=name) for name, frame in tables.items()]
    if not frames:
        return pd.DataFrame(columns=["model"])
    whole = pd.concat(frames, ignore_index=True)
    return whole[["model", *(name for name in whole if name != "model")]]
