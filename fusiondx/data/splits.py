"""Splits: who is learnt from and who is tested on. A patient is one row, so never on both sides."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, StratifiedShuffleSplit

from fusiondx.errors import ConfigError, DataError, counted, did_you_mean, listed

Array = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]
Fold = tuple[Ints, Ints]
"""Positions of the patients to train on, and of those to test on."""


def holdout(strata: Ints, test: float, groups: Array | None, seed: int) -> Fold:
    """Set the share `test` of the patients aside, alike in `strata`; whole groups where `groups` are given."""
    if not 0 < test < 1:
        raise ConfigError(f"test={test}: give the share of patients to test on, between 0 and 1.")
    if len(strata) < 2:
        raise DataError(f"{counted(len(strata), 'patient')} cannot be split. Give two or more.")
    if groups is not None:
        return _grouped_holdout(strata, test, groups, seed)
    size = min(max(1, round(test * len(strata))), len(strata) - 1)
    alike = pooled(strata, math.ceil(1 / min(test, 1 - test)))
    if len(set(alike)) > min(size, len(strata) - size):
        alike = np.zeros_like(strata)
    splitter = StratifiedShuffleSplit(n_splits=1, test_size=size, random_state=seed)
    train, held = next(splitter.split(alike, alike))
    return np.sort(train), np.sort(held)


def _grouped_holdout(strata: Ints, test: float, groups: Array, seed: int) -> Fold:
    """`parts` of `whole` folds of groups, as near to `test` as the number of groups allows."""
    nearest = Fraction(test).limit_denominator(min(10, len(set(groups))))
    whole = max(2, nearest.denominator)
    parts = min(max(1, nearest.numerator), whole - 1)
    tested = [fold for _, fold in folds(strata, whole, 1, groups, seed)]
    unions = [np.concatenate([*tested, *tested][i : i + parts]) for i in range(whole)]
    held = min(unions, key=lambda union: abs(len(union) - test * len(strata)))
    return np.setdiff1d(np.arange(len(strata)), held), np.sort(held)


def folds(strata: Ints, k: int, repeats: int, groups: Array | None, seed: int) -> list[Fold]:
    """Cross-validation, `repeats` times over; each patient is tested once per repeat."""
    units = len(strata) if groups is None else len(set(groups))
    if k < 2 or repeats < 1:
        raise ConfigError(f"k={k}, repeats={repeats}: give two or more folds, one or more times.")
    if units < k:
        noun = "patient" if groups is None else "group"
        raise DataError(f"{k} folds of {counted(units, noun)}. Ask for {units} folds or fewer.")
    random = np.random.RandomState(seed)  # one stream, so that repeats differ
    kind = StratifiedKFold if groups is None else StratifiedGroupKFold
    found: list[Fold] = []
    for _ in range(repeats):
        splitter = kind(n_splits=k, shuffle=True, random_state=random)
        found += [(train, held) for train, held in _quietly(splitter, pooled(strata, k), groups)]
    if any(len(held) == 0 for _, held in found):
        raise DataError(f"{counted(units, 'group')} of such unequal size do not fill {k} folds. Ask for fewer.")
    return found


def _quietly(splitter: Any, strata: Ints, groups: Array | None) -> list[Fold]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class")
        return list(splitter.split(strata, strata, groups))


def pooled(strata: Ints, least: int) -> Ints:
    """Strata of fewer than `least` patients join the largest, so that each reaches every part."""
    labels, at, members = np.unique(strata, return_inverse=True, return_counts=True)
    if not len(labels):
        return strata
    return np.where(members < least, labels[members.argmax()], labels)[at]


def chosen(values: Array, train: Sequence[str], test: Sequence[str], column: str) -> Fold:
    """A split written in a column: those whose value is in `train`, those whose value is in `test`, nobody else."""
    both = sorted(set(train) & set(test))
    if both:
        raise ConfigError(f"Column '{column}': {listed(both)} both in train and in test. Give each to one side.")
    known = sorted({v for v in values if v})
    for value in (*train, *test):
        if value not in known:
            raise ConfigError(f"Column '{column}' has no '{value}'.{did_you_mean(value, known)}")
    return np.flatnonzero(np.isin(values, train)), np.flatnonzero(np.isin(values, test))


def published(values: Array, column: str) -> list[Fold]:
    """Folds written in a column: each value is tested on once; patients without one are always trained on."""
    known = sorted({v for v in values if v})
    if len(known) < 2:
        raise DataError(f"Column '{column}' names {counted(len(known), 'fold')}. Cross-validation needs two or more.")
    return [(np.flatnonzero(values != v), np.flatnonzero(values == v)) for v in known]
