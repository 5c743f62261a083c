"""More than two classes, or labels: AUROCs of pairs, and means over classes, with intervals.

A mean's standard error adds up, patient by patient, what each patient adds to every class's value.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

from fusiondx.errors import DataError, counted
from fusiondx.evaluation import checking
from fusiondx.evaluation.average_precision import average_precision_of
from fusiondx.evaluation.delong import auroc_of
from fusiondx.evaluation.estimate import Estimate, Outcome, Undefined
from fusiondx.evaluation.proportions import Z95

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]
Influence = Callable[[Floats, npt.NDArray[np.bool_]], tuple[float, Floats]]
"""A binary metric of scores and positives: its value, and each patient's influence."""
LOGIT = "95 % interval on the logit scale, by influence functions"


def auroc_influence(score: Floats, positive: npt.NDArray[np.bool_]) -> tuple[float, Floats]:
    """AUROC, and what each patient adds to it."""
    found = auroc_of(score, positive)
    return found.value, found.influence


def estimate_hand_till(probability: npt.ArrayLike, label: npt.ArrayLike) -> Outcome:
    """Hand & Till's (2001) M: mean over pairs of classes of how well either's probability tells the two apart.

    `probability` has shape ``(patients, classes)``, `label` is each patient's class as an index. Unlike the mean of
    classes against the rest, it does not depend on how many patients each class has. Classes that do not occur are
    left out.
    `Undefined` with fewer than two; raises `DataError` for other shapes, numbers that are not finite, and labels beyond
    the classes.

    >>> three = [[0.8, 0.1, 0.1], [0.2, 0.5, 0.3], [0.1, 0.3, 0.6], [0.3, 0.3, 0.4]]
    >>> evaluation.estimate_hand_till(three, [0, 1, 2, 2]).value
    1.0
    """
    chance, true = given(probability, label)
    there = np.unique(true)
    if len(there) < 2:
        return Undefined("hand_till", f"no two classes among {counted(len(true), 'patient')}", len(true), None)
    total, value, pairs = np.zeros(len(true)), 0.0, 0
    for a in there:
        for b in there[there != a]:
            rows = np.flatnonzero((true == a) | (true == b))
            found, influence = auroc_influence(chance[rows, a], true[rows] == a)
            total[rows] += influence
            value, pairs = value + found, pairs + 1
    convention = f"{len(there)} classes, every pair counted alike, ties half"
    return _on_logit("hand_till", value / pairs, total / pairs, convention)


def estimate_one_vs_rest(metric: str, probability: npt.ArrayLike, label: npt.ArrayLike) -> Outcome:
    """Mean over classes, each against the rest, of "auroc" or "average_precision"; given as to `estimate_hand_till`.

    >>> three = [[0.8, 0.1, 0.1], [0.2, 0.5, 0.3], [0.1, 0.3, 0.6], [0.3, 0.3, 0.4]]
    >>> evaluation.estimate_one_vs_rest("auroc", three, [0, 1, 2, 2]).value
    1.0
    """
    chance, true = given(probability, label)
    there = np.unique(true)
    if len(there) < 2:
        return Undefined(metric, f"no two classes among {counted(len(true), 'patient')}", len(true), None)
    each = [INFLUENCES[metric](chance[:, k], true == k) for k in there]
    convention = f"mean over {len(there)} classes, each against the rest"
    return _mean(metric, each, convention)


def estimate_over_labels(metric: str, probability: Floats, yes: Floats, told: npt.NDArray[np.bool_]) -> Outcome:
    """Mean over labels of "auroc" or "average_precision", each on the patients in whom it is known.

    All of shape ``(patients, labels)``; labels that all patients, or none, have are left out. The metric is called
    ``macro_...``.
    """
    each = []
    for chance, has, here in zip(probability.T, yes.T == 1, told.T, strict=True):
        if checking.lacking(has[here]) is None:
            value, some = INFLUENCES[metric](chance[here], has[here])
            influence = np.zeros(len(chance))
            influence[here] = some
            each.append((value, influence))
    if not each:
        among = counted(len(yes), "patient")
        reason = f"no label with patients who have it and patients who do not among {among}"
        return Undefined(f"macro_{metric}", reason, len(yes), None)
    return _mean(f"macro_{metric}", each, f"mean over {counted(len(each), 'label')}")


INFLUENCES: dict[str, Influence] = {"auroc": auroc_influence, "average_precision": average_precision_of}


def given(probability: npt.ArrayLike, label: npt.ArrayLike) -> tuple[Floats, Labels]:
    """Probabilities by patient and class, and labels as indices. Raises `DataError` for anything else."""
    chance = np.asarray(probability, dtype=np.float64)
    true: npt.NDArray[Any] = np.asarray(label)
    if chance.ndim != 2 or true.shape != chance.shape[:1]:
        raise DataError(
            f"Probabilities of shape {chance.shape} for labels of shape {true.shape}. Give a row per patient."
        )
    if bad := int((~np.isfinite(chance).all(axis=1)).sum()):
        raise DataError(f"A probability is not a finite number for {counted(bad, 'patient')}. Leave them out.")
    if not (np.issubdtype(true.dtype, np.integer) and ((true >= 0) & (true < chance.shape[1])).all()):
        raise DataError(f"A label is no index of {counted(chance.shape[1], 'class', 'classes')}. Number them from 0.")
    return chance, true.astype(np.int64)


def _mean(metric: str, each: list[tuple[float, Floats]], convention: str) -> Outcome:
    value = float(np.mean([found for found, _ in each]))
    return _on_logit(metric, value, np.mean([influence for _, influence in each], axis=0), convention)


def _on_logit(metric: str, value: float, influence: Floats, convention: str) -> Outcome:
    """With a normal interval of its logit; a value of 0 or 1 is moved in by half a patient for it."""
    n = len(influence)
    inner = min(max(value, 0.5 / (n + 1)), (n + 0.5) / (n + 1))
    se = max(float(np.sqrt(influence @ influence)), 0.5 / (n + 1) if inner != value else 0.0)
    width = Z95 * se / (inner * (1 - inner))
    low, high = (float(expit(logit(inner) + side * width)) for side in (-1, 1))
    return Estimate(metric, value, min(low, value), max(high, value), n, None, LOGIT, convention=convention)
