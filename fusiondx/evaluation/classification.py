"""How often the most probable class is right: metrics of a confusion matrix.

A confusion matrix has shape ``(..., classes, classes)``, true class first; metrics have shape ``(...)`` and are NaN
where undefined. With two classes recall, precision and F1 are those of the last, the positive one; with more they
are averaged over the classes that occur (macro).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fusiondx.evaluation.ratio import mean_of_defined, ratio

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.floating[Any]]


def confusion_matrix(label: Array, predicted: Array, classes: int, counts: Array | None = None) -> Floats:
    """Patients by true and predicted class, both given as indices below `classes`.

    ``counts``, shape ``(..., patients)``, says how often each patient is there (once, when left out).
    """
    weight = np.ones(len(label)) if counts is None else np.asarray(counts, dtype=np.float64)
    cell = np.eye(classes**2)[label * classes + predicted]
    return np.asarray((weight @ cell).reshape(*weight.shape[:-1], classes, classes))


def accuracy(confusion: Floats) -> Floats:
    """Share of patients whose class is predicted."""
    return ratio(_hits(confusion).sum(axis=-1), confusion.sum(axis=(-2, -1)))


def balanced_accuracy(confusion: Floats) -> Floats:
    """Mean recall of the classes that occur; undefined with fewer than two of them."""
    recalls = ratio(_hits(confusion), confusion.sum(axis=-1))
    several = (~np.isnan(recalls)).sum(axis=-1) > 1
    return np.where(several, mean_of_defined(recalls), np.nan)


def recall(confusion: Floats) -> Floats:
    """Share of a class's patients that are found; sensitivity."""
    return _of_classes(_hits(confusion), confusion.sum(axis=-1), confusion)


def precision(confusion: Floats) -> Floats:
    """Share of the patients called a class that are of it.

    Where it is never called it is undefined for the positive class of two, and 0 in the mean over several.
    """
    called = confusion.sum(axis=-2)
    found = _of_classes(_hits(confusion), called, confusion)
    return found if called.shape[-1] > 2 else np.where(called[..., -1] > 0, found, np.nan)


def f1(confusion: Floats) -> Floats:
    """Harmonic mean of precision and recall."""
    return _of_classes(2 * _hits(confusion), confusion.sum(axis=-1) + confusion.sum(axis=-2), confusion)


def matthews_correlation(confusion: Floats) -> Floats:
    """Correlation of true and predicted class (Matthews 1975; Gorodkin 2004); undefined where either is constant."""
    whole = confusion.sum(axis=(-2, -1))
    true, called = confusion.sum(axis=-1), confusion.sum(axis=-2)
    covariance = _hits(confusion).sum(axis=-1) * whole - (true * called).sum(axis=-1)
    variances = (whole**2 - (true**2).sum(axis=-1)) * (whole**2 - (called**2).sum(axis=-1))
    return ratio(covariance, np.sqrt(variances))


def _hits(confusion: Floats) -> Floats:
    return np.asarray(np.diagonal(confusion, axis1=-2, axis2=-1))


def _of_classes(part: Floats, whole: Floats, confusion: Floats) -> Floats:
    """``part / whole`` of the positive class of two, or averaged over the classes that occur."""
    each = np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
    each = np.where(confusion.sum(axis=-1) > 0, each, np.nan)
    return each[..., -1] if each.shape[-1] == 2 else mean_of_defined(each)
