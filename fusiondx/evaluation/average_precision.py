"""Average precision with an interval, and what each patient adds to it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from fusiondx.evaluation import checking
from fusiondx.evaluation.estimate import Estimate, Outcome, Undefined
from fusiondx.evaluation.proportions import effective_wilson, quantile_of

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
PRIOR = 5
"""Positive patients at which the variance observed counts as much as that of a share of as many patients.

Chosen by simulation over `docs/coverage/classification.md`."""


def average_precision_of(score: Floats, positive: Bools) -> tuple[float, Floats]:
    """Average precision and each patient's influence on it, whose squares sum to its variance.

    Needs a positive patient. Of ``AP = sum_i y_i P_i / sum_i y_i`` with precision ``P_i`` at the score of patient i,
    the derivative by the weight of a patient (infinitesimal jackknife: Efron 1982); one sort.
    """
    order = np.argsort(-score)
    ranked, is_positive = score[order], positive[order]
    starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
    size = np.diff(np.r_[starts, len(score)])
    up, flagged = np.add.reduceat(is_positive, starts, dtype=np.int64), starts + size
    precision, found = np.cumsum(up) / flagged, up.sum()
    value = float((up * precision).sum() / found)
    # A patient is flagged at its own score and at every lower one
    rises, falls = (np.cumsum(terms[::-1])[::-1] for terms in (up / flagged, up * precision / flagged))
    own = is_positive * np.repeat(precision - value + rises, size) - np.repeat(falls, size)
    influence = np.empty(len(score))
    influence[order] = own / found
    return value, influence


def estimate_average_precision(score: npt.ArrayLike, positive: npt.ArrayLike) -> Outcome:
    """Average precision (no interpolation), with the prevalence that chance would give in `convention`.

    Its 95 % interval is Wilson's for an effective number of positive patients: that at which a share would vary as
    average precision does by its influence function, drawn towards their number as `PRIOR` says, with Student's
    quantile for as many patients. `Undefined` without patients of both classes. Raises `DataError` for scores that
    are not finite and labels that are not 0 or 1.

    >>> found = evaluation.estimate_average_precision([0.9, 0.8, 0.4, 0.2], [1, 0, 1, 0])
    >>> round(found.value, 3)  # precision is 1 at the first positive patient, 2/3 at the second
    0.833
    """
    score, positive = checking.scored(score, positive)
    n, events = len(score), int(positive.sum())
    if reason := checking.lacking(positive):
        return Undefined("average_precision", reason, n, events)
    value, influence = average_precision_of(score, positive)
    low, high = effective_wilson(value, float(influence @ influence), events, PRIOR, quantile_of(events))
    method = "95 % Wilson interval for an effective number of positive patients (influence function)"
    convention = f"no interpolation; no-skill value: prevalence {events / n:.3g}"
    return Estimate("average_precision", value, low, high, n, events, method, convention=convention)


def precision_recall_frame(score: npt.ArrayLike, positive: npt.ArrayLike) -> pd.DataFrame | Undefined:
    """The precision-recall curve: `threshold`, `recall`, `precision` at each distinct score, from the highest.

    >>> evaluation.precision_recall_frame([0.9, 0.8, 0.4, 0.2], [1, 0, 1, 0]).round(2)
       threshold  recall  precision
    0        0.9     0.5       1.00
    1        0.8     0.5       0.50
    2        0.4     1.0       0.67
    3        0.2     1.0       0.50
    """
    score, positive = checking.scored(score, positive)
    if reason := checking.lacking(positive):
        return Undefined("precision_recall", reason, len(score), int(positive.sum()))
    values, place = np.unique(-score, return_inverse=True)
    found = np.cumsum(np.bincount(place, weights=positive, minlength=len(values)))
    flagged = np.cumsum(np.bincount(place, minlength=len(values)))
    return pd.DataFrame({"threshold": -values, "recall": found / found[-1], "precision": found / flagged})
