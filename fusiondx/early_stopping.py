"""Early stopping: who is held out for it, where they can tell when to stop."""

from __future__ import annotations

import warnings
from itertools import cycle, islice

import numpy as np
import numpy.typing as npt
import pandas as pd

from fusiondx.core.targets import CompetingRisks, Survival, TargetValues
from fusiondx.data.cohort import Cohort
from fusiondx.errors import DataError, FusionDxWarning, counted
from fusiondx.training import Training

Ints = npt.NDArray[np.int64]
Part = tuple[Ints, Ints | None]
"""Whom a member is trained on, and who is held out to stop it early, if anybody is."""


def parts(cohort: Cohort, training: Training, seed: int) -> list[Part]:
    """One for each member. Where those held out would tell nothing, nobody is: a `FusionDxWarning` says so.

    Raises `DataError` where the share of patients to hold out is less than one.
    """
    everyone: Part = np.arange(len(cohort)), None
    if not training.validation:
        return [everyone] * training.members
    k = round(1 / training.validation)
    if k > len(cohort):
        raise DataError(
            f"training.validation: {training.validation:g} of {counted(len(cohort), 'patient')} is nobody. "
            "Set it to 0, to train for all epochs, or hold out a larger share."
        )
    folds = cohort.folds(k, group=None, seed=seed)  # they judge nothing: patients of all sites
    return [
        (inside, held) if stops(cohort, held) else everyone for inside, held in islice(cycle(folds), training.members)
    ]


def stops(cohort: Cohort, held: Ints) -> bool:
    """Whether the patients held out can tell when to stop; warns of each target that they tell nothing of."""
    silent = {name: values for name, values in cohort.targets.items() if not tells(values[held])}
    all_silent = len(silent) == len(cohort.targets)
    outcome = "all patients are trained on, for all epochs" if all_silent else "other targets decide when to stop"
    for name, values in silent.items():
        lacking = "an event while others were at risk" if is_prognosis(values) else "a known answer"
        warnings.warn(
            f"'{name}': {counted(len(held), 'patient')} held out for early stopping, none with {lacking}, "
            f"so {outcome}. Raise training.validation, or set it to 0 and choose training.epochs.",
            FusionDxWarning,
            stacklevel=4,
        )
    return not all_silent


def tells(values: TargetValues) -> bool:
    """Whether a loss over these patients can differ between epochs: Cox's compares those at risk at an event."""
    known = values[values.known]
    if not is_prognosis(values):
        return len(known) > 0
    table = pd.DataFrame({"stratum": 0, **known.fields})
    at_risk = table.groupby("stratum")["time"].rank("max", ascending=False)
    return bool(((table["event"] > 0) & (at_risk > 1)).any())


def is_prognosis(values: TargetValues) -> bool:
    """Whether a target asks for times to events."""
    return isinstance(values.spec, Survival | CompetingRisks)
