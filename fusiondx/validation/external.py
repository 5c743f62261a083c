"""External validation: a frozen model in another cohort, and how that cohort differs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from fusiondx.data.cohort import Cohort
from fusiondx.data.modalities import Modality
from fusiondx.data.preprocess import TablePreparation
from fusiondx.data.reads import count_read
from fusiondx.data.tables import TableData
from fusiondx.errors import ConfigError, DataError, counted, listed
from fusiondx.model import FusionModel
from fusiondx.reporting.report import Report
from fusiondx.validation.contender import Contender
from fusiondx.validation.judging import refuse_overlap
from fusiondx.validation.recalibration import recalibrated
from fusiondx.validation.reports import report
from fusiondx.validation.rivals import title_of

Floats = npt.NDArray[np.float64]
Recalibration = Literal["none", "intercept", "slope"]
COVERAGE = ("modality", "needed", "present", "coverage", "absent")
FAR = 0.5
"""Standard deviations by which a column must be shifted to be named."""
SHIFT = ("modality", "column", "shift", "spread", "missing", "unseen")


@dataclass(frozen=True)
class ExternalValidation:
    """What a model is worth elsewhere.

    >>> frozen = fdx.FusionModel.load(model.save("still"))
    >>> found = fdx.external_validate(frozen, test, recalibrate="slope", replicates=20)
    >>> found.shift.columns.tolist()
    ['modality', 'column', 'shift', 'spread', 'missing', 'unseen']
    """

    report: Report
    coverage: pd.DataFrame
    """Per table: columns the model needs, how many of them are here, their share, and the names of those that are
    not."""
    shift: pd.DataFrame
    """Per column: `shift`, the mean here minus that of the training patients in their standard deviations; `spread`,
    the ratio of standard deviations; `missing`, the share of gaps; `unseen`, the share of categories training never
    saw."""


def external_validate(
    model: FusionModel,
    cohort: Cohort,
    *,
    coverage: float = 0.8,
    recalibrate: Recalibration = "none",
    replicates: int = 1000,
    seed: int = 0,
    title: str = "External validation",
) -> ExternalValidation:
    """Judge a fitted model on another cohort with everything frozen: columns, imputation, scaling, weights.

    Columns the cohort lacks, such as genes of another panel, are taken as gaps and imputed as in training, where at
    least the share `coverage` of a table's columns is there. Only recalibration may look at the answers here, when
    asked for, in five cross-fitted parts (see `recalibrated`); results are given without it as well.

    Raises `DataError` where patients took part in training or a table covers too little, `ConfigError` for settings
    out of range, a recalibration that no target allows or another model than a fitted `FusionModel`.

    >>> other = fdx.Cohort.read(fdx.simulate("elsewhere", patients=40, image_size=16, seed=1), unknown="drop")
    >>> frozen = fdx.FusionModel.load(model.save("frozen"))  # which does not remember patients: ids here are the same
    >>> found = fdx.external_validate(frozen, other, replicates=20)
    >>> found.coverage["coverage"].tolist()
    [1.0, 1.0]
    """
    if not 0 < coverage <= 1 or recalibrate not in ("none", "intercept", "slope"):
        raise ConfigError("Give coverage above 0, up to 1, and recalibrate as 'none', 'intercept' or 'slope'.")
    if not hasattr(model, "preparations_"):
        raise ConfigError("External validation is of a fitted FusionModel. Fit it; judge other models with evaluate.")
    if getattr(model, "cohort_", None) is not None:
        refuse_overlap(model.cohort_, cohort)
    covered = coverage_of(model, cohort)
    refuse_uncovered(covered, coverage)
    whole = completed(model, cohort)
    lead = Contender(title_of(model), "model", model)
    lead.judge(model, whole)
    contenders = [lead]
    if recalibrate != "none":
        contenders.append(refitted(lead, recalibrate, seed))
    moved = shift_of(model, whole)
    read = count_read(cohort)
    notes = [*([read] if read else []), *notes_on(covered, moved, recalibrate)]
    made = report(contenders, cohort, notes, replicates, seed, title, "an external cohort")
    return ExternalValidation(made, covered, moved)


def refitted(lead: Contender, how: Literal["intercept", "slope"], seed: int) -> Contender:
    """The same predictions recalibrated; targets that allow none are left out."""
    other = Contender(f"{lead.name}, recalibrated ({how})", "model", lead.estimator)
    for target, parts in lead.parts.items():
        found = [recalibrated(said, truth, how, seed) for said, truth in parts]
        kept = [(said, truth) for said, (_, truth) in zip(found, parts, strict=True) if said is not None]
        if len(kept) == len(parts):
            other.parts[target] = kept
    if not other.parts:
        raise ConfigError(
            f"recalibrate='{how}': no target allows it. Diagnoses of two classes do, survival only by 'intercept', "
            "of five patients or more."
        )
    return other


def needed(model: FusionModel, cohort: Cohort) -> Mapping[str, tuple[TablePreparation, Modality, TableData]]:
    """The tables the model reads that the cohort has."""
    found = {}
    for name, preparation in model.preparations_.items():
        modality = cohort.modalities.get(name)
        if isinstance(preparation, TablePreparation) and modality and isinstance(modality.data, TableData):
            found[name] = (preparation, modality, modality.data)
    return found


def coverage_of(model: FusionModel, cohort: Cohort) -> pd.DataFrame:
    """How many of the columns a model needs are in a cohort, table by table."""
    rows = []
    for name, (preparation, _, data) in needed(model, cohort).items():
        asked = [*preparation.numeric, *preparation.categories]
        absent = [column for column in asked if column not in {*data.names, *data.categorical}]
        here = len(asked) - len(absent)
        rows.append((name, len(asked), here, here / len(asked), ", ".join(absent)))
    return pd.DataFrame(rows, columns=list(COVERAGE))


def refuse_uncovered(covered: pd.DataFrame, least: float) -> None:
    """Raise `DataError` for tables of which too few columns are there."""
    poor = covered[covered["coverage"] < least]
    if len(poor):
        few = listed(f"'{row['modality']}' ({row['present']} of {row['needed']})" for row in records(poor))
        raise DataError(
            f"Too few of the columns the model was trained on: {few}. Train on the columns both cohorts have, or lower "
            "coverage."
        )


def completed(model: FusionModel, cohort: Cohort) -> Cohort:
    """The cohort with empty columns in the place of those it lacks."""
    filled = dict(cohort.modalities)
    for name, (preparation, modality, data) in needed(model, cohort).items():
        numbers = tuple(column for column in preparation.numeric if column not in data.names)
        groups = [column for column in preparation.categories if column not in data.categorical]
        gaps = np.full((len(data), len(numbers)), np.nan, dtype=np.float32)
        empty = {column: np.full(len(data), None, dtype=object) for column in groups}
        values = np.concatenate([data.numeric, gaps], axis=1)
        more = replace(data, numeric=values, names=(*data.names, *numbers), categorical={**data.categorical, **empty})
        filled[name] = replace(modality, data=more)
    return replace(cohort, modalities=filled)


def shift_of(model: FusionModel, cohort: Cohort) -> pd.DataFrame:
    """How the columns of a cohort that has them all differ from the training patients'."""
    rows = []
    for name, (preparation, modality, data) in needed(model, cohort).items():
        _, at = modality.locate(np.arange(len(cohort)))
        values = preparation.standardised(data, at)
        for column, mine in zip(preparation.numeric, values.T, strict=True):
            known = mine[~np.isnan(mine)]
            mean, sd = (float(known.mean()), float(known.std())) if len(known) else (np.nan, np.nan)
            rows.append((name, column, mean, sd, 1 - len(known) / max(len(at), 1), np.nan))
        unseen = preparation.unseen(data, at)
        for column in preparation.categories:
            gap = float(np.mean([value is None for value in data.categorical[column][at]])) if len(at) else 0.0
            rows.append((name, column, np.nan, np.nan, gap, unseen.get(column, 0) / max(len(at), 1)))
    return pd.DataFrame(rows, columns=list(SHIFT))


def notes_on(covered: pd.DataFrame, moved: pd.DataFrame, recalibrate: Recalibration) -> list[str]:
    """What a reader must know of the cohort."""
    notes = ["External validation: columns, imputation, scaling and weights are those of training."]
    notes += [
        f"'{row['modality']}': {row['present']} of {row['needed']} columns the model needs are here; the others are "
        "imputed as gaps."
        for row in records(covered)
        if row["present"] < row["needed"]
    ]
    far = sorted((row for row in records(moved) if abs(row["shift"]) > FAR), key=lambda row: -abs(row["shift"]))
    if far:
        named = listed(f"{row['modality']}.{row['column']} ({row['shift']:+.1f})" for row in far)
        notes.append(f"{counted(len(far), 'column')} shifted by more than half a standard deviation: {named}.")
    strange = [row for row in records(moved) if row["unseen"] > 0]
    if strange:
        named = listed(f"{row['modality']}.{row['column']} ({row['unseen']:.0%})" for row in strange)
        notes.append(f"Categories that training never saw: {named}.")
    if recalibrate != "none":
        notes.append(f"Recalibrated ({recalibrate}) on these patients, in five cross-fitted parts.")
    return notes


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a table, by column name."""
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]
