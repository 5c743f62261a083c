"""Audits in a report: are results too good to be true, and which modalities are used?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from fusiondx.auditing.settings import Audit, Index
from fusiondx.data.cohort import Cohort
from fusiondx.data.rejoining import rejoined
from fusiondx.modality_use import weighed
from fusiondx.reporting.report import Report
from fusiondx.validation.contender import Contender

USUAL = Audit()
APART = "Not audited for leaks: training and held-out patients were read apart, not split from one cohort."


def audited(
    made: Report,
    cohort: Cohort,
    folds: Iterable[tuple[Index, Index]],
    models: Mapping[str, Any],
    settings: Audit | None,
) -> Report:
    """The report with what the checks for leaks find; as it is where `settings` is None."""
    return made if settings is None else replace(made, audit=settings.of(cohort, folds, models).frame())


def audited_parts(
    made: Report, train: Cohort, test: Cohort, models: Mapping[str, Any], settings: Audit | None
) -> Report:
    """As `audited`, of the two sides of a split; a note where they are not of one cohort."""
    if settings is None:
        return made
    whole = rejoined(train, test)
    if whole is None:
        return replace(made, notes=(*made.notes, APART))
    everyone = np.arange(len(whole))
    return audited(made, whole, [(everyone[: len(train)], everyone[len(train) :])], models, settings)


def with_modality_use(made: Report, contenders: Sequence[Contender], replicates: int, seed: int) -> Report:
    """The report with which modalities each fusion model was found to use, of those that were asked."""
    frames = [
        weighed(c.asked, replicates, seed).frame().assign(model=c.name)
        for c in contenders
        if c.asked and c.asked[0].rows
    ]
    return replace(made, modality_use=pd.concat(frames, ignore_index=True)) if frames else made
