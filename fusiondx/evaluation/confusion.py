"""How often the class called is right, with intervals. All of it is secondary.

These judge one threshold, say nothing of probabilities, and some of them improve when a model gets worse (Van Calster
et al. 2025). A confusion matrix is of shape ``(classes, classes)``, true class first.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fusiondx.evaluation import classification
from fusiondx.evaluation.estimate import Estimate, Outcome, Undefined
from fusiondx.evaluation.proportions import WILSON, Z95, mean_interval, proportion, wilson

Floats = npt.NDArray[np.float64]
MOVER = "95 % interval from Wilson's of each class (MOVER)"


def estimate_accuracy(confusion: Floats) -> Outcome:
    """Share of patients whose class is called."""
    return proportion("accuracy", float(np.trace(confusion)), float(confusion.sum()), lacks="no patients")


def estimate_balanced_accuracy(confusion: Floats) -> Outcome:
    """Mean recall of the classes that occur; `Undefined` with fewer than two."""
    n, of_class = int(confusion.sum()), confusion.sum(axis=1)
    there = of_class > 0
    if there.sum() < 2:
        return Undefined("balanced_accuracy", f"no two classes among {n} patients", n, None)
    hits, size = np.diagonal(confusion)[there], of_class[there]
    low, high = mean_interval(hits / size, *wilson(hits, size))
    value = float(classification.balanced_accuracy(confusion))
    return Estimate("balanced_accuracy", value, low, high, n, None, MOVER)


def estimate_recall(confusion: Floats) -> Outcome:
    """Share of the positive class of two that is called; Wilson."""
    n = float(confusion[1].sum())
    return proportion("recall", float(confusion[1, 1]), n, lacks="no positive patients")


def estimate_precision(confusion: Floats) -> Outcome:
    """Share of the patients called positive, of two classes, who are; Wilson."""
    n = float(confusion[:, 1].sum())
    return proportion("precision", float(confusion[1, 1]), n, lacks="no patient is called positive")


def estimate_f1(confusion: Floats) -> Outcome:
    """F1 of the positive class of two, 2 TP / (2 TP + FP + FN).

    It rises with the share TP / (TP + FP + FN), so Wilson's interval of that share gives its own (Flores et al. 2022).
    """
    hits = float(confusion[1, 1])
    union = float(confusion.sum() - confusion[0, 0])
    n = int(confusion.sum())
    if not confusion[1].sum():
        return Undefined("f1", f"no positive patients among {n} patients", n, None)
    share = np.array([hits / union, *wilson(hits, union)])
    value, low, high = (float(end) for end in 2 * share / (1 + share))
    return Estimate("f1", value, low, high, n, None, f"{WILSON} of TP / (TP + FP + FN), transformed")


def estimate_mcc(confusion: Floats) -> Outcome:
    """Matthews' correlation of two classes, phi; `Undefined` where all are of one class, or called one.

    The interval is Fisher's z with the variance of phi (Bishop, Fienberg & Holland 1975), both with half a patient
    added to each cell so that a perfect table has one.
    """
    n, value = int(confusion.sum()), float(classification.matthews_correlation(confusion))
    if np.isnan(value):
        reason = "no patients" if not n else f"all {n} patients are of one class, or called one"
        return Undefined("mcc", reason, n, None)
    padded = confusion + 0.5
    phi = float(classification.matthews_correlation(padded))
    se = np.sqrt(_phi_variance(padded / padded.sum(), phi) / padded.sum()) / (1 - phi**2)
    low, high = (float(np.tanh(np.arctanh(phi) + side * Z95 * se)) for side in (-1, 1))
    method = "95 % interval by Fisher's z, half a patient added to each cell"
    return Estimate("mcc", value, min(low, value), max(high, value), n, None, method)


def _phi_variance(share: Floats, phi: float) -> float:
    """Times the number of patients, of the shares of a table of two by two."""
    true, called = share.sum(axis=1), share.sum(axis=0)
    tilt_true, tilt_called = true[0] - true[1], called[0] - called[1]
    both = tilt_true * tilt_called / np.sqrt(true.prod() * called.prod())
    each = tilt_true**2 / true.prod() + tilt_called**2 / called.prod()
    return float(max(1 - phi**2 + phi * (1 + phi**2 / 2) * both - 0.75 * phi**2 * each, 0.0))
