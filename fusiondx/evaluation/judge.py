"""Judge anybody's predictions in one call: arrays, Series or frames in, estimates out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields

import numpy.typing as npt
import pandas as pd

from fusiondx.core.targets import Unit
from fusiondx.evaluation.estimate import Estimate, Outcome
from fusiondx.evaluation.metrics import METRICS
from fusiondx.evaluation.parts import Table, class_part, label_part, number_part, survival_part
from fusiondx.evaluation.score import score


def judge_classes(
    probability: Table,
    label: Table,
    *,
    classes: Sequence[str] | None = None,
    ids: Table | None = None,
    replicates: int = 1000,
    seed: int = 0,
) -> tuple[Outcome, ...]:
    """Discrimination, calibration and calls of a diagnosis; what to pass: `class_part`, how intervals come: `score`."""
    return score([class_part(probability, label, classes=classes, ids=ids)], replicates=replicates, seed=seed)


def judge_labels(
    probability: Table,
    label: Table,
    *,
    labels: Sequence[str] | None = None,
    ids: Table | None = None,
    replicates: int = 1000,
    seed: int = 0,
) -> tuple[Outcome, ...]:
    """Means over findings that do not exclude each other; what to pass: `label_part`."""
    return score([label_part(probability, label, labels=labels, ids=ids)], replicates=replicates, seed=seed)


def judge_survival(
    risk: Table,
    time: Table,
    event: Table,
    *,
    times: npt.ArrayLike = (),
    survival: Table | None = None,
    unit: Unit = "months",
    ids: Table | None = None,
    replicates: int = 1000,
    seed: int = 0,
) -> tuple[Outcome, ...]:
    """A prognosis; what to pass: `survival_part`."""
    part = survival_part(risk, time, event, times=times, survival=survival, unit=unit, ids=ids)
    return score([part], replicates=replicates, seed=seed)


def judge_numbers(
    value: Table, truth: Table, *, unit: str = "", ids: Table | None = None, replicates: int = 1000, seed: int = 0
) -> tuple[Outcome, ...]:
    """Errors and explained variance of predicted numbers; what to pass: `number_part`."""
    return score([number_part(value, truth, unit=unit, ids=ids)], replicates=replicates, seed=seed)


def outcome_frame(outcomes: Iterable[Outcome]) -> pd.DataFrame:
    """One row per outcome: what an `Estimate` holds, `secondary`, and the `reason` where there is none."""
    rows = [
        {**asdict(found), "secondary": found.metric in METRICS and METRICS[found.metric].secondary}
        for found in outcomes
    ]
    columns = [*(field.name for field in fields(Estimate)), "secondary", "reason"]
    return pd.DataFrame(rows, columns=columns)
