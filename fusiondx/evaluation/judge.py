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
    """Discrimination, calibration and calls of a diagnosis; what to pass: `class_part`, how intervals come: `score`.

    >>> found = evaluation.judge_classes(probability, positive)
    >>> [outcome.metric for outcome in found][:3]
    ['auroc', 'average_precision', 'brier']
    """
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
    """Means over findings that do not exclude each other; what to pass: `label_part`.

    >>> told, truth = np.stack([probability, 1 - probability], axis=1), np.stack([positive, positive], axis=1)
    >>> found = evaluation.judge_labels(told, truth, labels=["liver", "bone"], replicates=20)
    >>> [outcome.metric for outcome in found][:2]
    ['macro_auroc', 'macro_average_precision']
    """
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
    """A prognosis; what to pass: `survival_part`.

    >>> found = evaluation.judge_survival(risk, time, event, replicates=20)
    >>> [outcome.metric for outcome in found][:2]
    ['c_index', 'uno_c']
    """
    part = survival_part(risk, time, event, times=times, survival=survival, unit=unit, ids=ids)
    return score([part], replicates=replicates, seed=seed)


def judge_numbers(
    value: Table, truth: Table, *, unit: str = "", ids: Table | None = None, replicates: int = 1000, seed: int = 0
) -> tuple[Outcome, ...]:
    """Errors and explained variance of predicted numbers; what to pass: `number_part`.

    >>> found = evaluation.judge_numbers([61.0, 70.0, 55.0], [60.0, 72.0, 55.0], unit="years", replicates=20)
    >>> {outcome.metric: round(outcome.value, 2) for outcome in found}
    {'mse': 1.67, 'mae': 1.0, 'r2': 0.97}
    """
    return score([number_part(value, truth, unit=unit, ids=ids)], replicates=replicates, seed=seed)


def outcome_frame(outcomes: Iterable[Outcome]) -> pd.DataFrame:
    """One row per outcome: what an `Estimate` holds, `secondary`, and the `reason` where there is none.

    >>> evaluation.outcome_frame(evaluation.judge_classes(probability, positive))[["metric", "value"]].head(2).round(2)
                  metric  value
    0              auroc   0.80
    1  average_precision   0.68
    """
    rows = [
        {**asdict(found), "secondary": found.metric in METRICS and METRICS[found.metric].secondary}
        for found in outcomes
    ]
    columns = [*(field.name for field in fields(Estimate)), "secondary", "reason"]
    return pd.DataFrame(rows, columns=columns)
