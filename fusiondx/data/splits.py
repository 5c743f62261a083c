"""Splits: who is learnt from and who is tested on. A patient is one row, so never on both sides."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, StratifiedShuffleSplit

from fusiondx.data.sites import allocate
from fusiondx.errors import ConfigError, DataError, FusionDxWarning, counted, did_you_mean, listed

Array = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.floating[Any]]
Fold = tuple[Ints, Ints]
"""Positions of the patients to train on, and of those to test on."""

EXACT = 150
"""Up to so many groups are allotted by optimisation; more are small enough to be dealt out one after the other."""


class Drawn(NamedTuple):
    """What was drawn."""

    pairs: list[Fold]
    gap: float | None = None
    """Of whole groups: by how much, at most, they could be better balanced; see `sites.Allocation`."""


def holdout(strata: Ints, test: float, groups: Array | None, seed: int) -> Drawn:
    """Set the share `test` of the patients aside, alike in `strata`; whole groups where `groups` are given."""
    if not 0 < test < 1:
        raise ConfigError(f"test={test}: give the share of patients to test on, between 0 and 1.")
    if len(strata) < 2:
        raise DataError(f"{counted(len(strata), 'patient')} cannot be split. Give two or more.")
    if groups is not None:
        return _preserved_holdout(strata, test, groups, seed)
    size = min(max(1, round(test * len(strata))), len(strata) - 1)
    alike = pooled(strata, math.ceil(1 / min(test, 1 - test)))
    if len(set(alike)) > min(size, len(strata) - size):
        alike = np.zeros_like(strata)
    splitter = StratifiedShuffleSplit(n_splits=1, test_size=size, random_state=seed)
    train, held = next(splitter.split(alike, alike))
    return Drawn([(np.sort(train), np.sort(held))])


def _preserved_holdout(strata: Ints, test: float, groups: Array, seed: int) -> Drawn:
    """As near to the share `test` as whole groups allow."""
    units = len(set(groups))
    if units < 2:
        raise DataError(f"{counted(units, 'group')} cannot be split. Give two or more, or split without groups.")
    if units > EXACT:
        k = max(2, round(1 / test))
        return Drawn(folds(strata, k, 1, groups, seed).pairs[:1])
    found = allocate(pooled(strata, math.ceil(1 / min(test, 1 - test))), groups, np.array([1 - test, test]), seed)
    held = found.part[np.unique(groups, return_inverse=True)[1]] == 1
    if not test / 2 <= held.mean() <= 2 * test:
        warn(f"Whole groups make a test part of {held.mean():.0%} of the patients, not of {test:.0%}.")
    return Drawn([(np.flatnonzero(~held), np.flatnonzero(held))], found.gap)


def folds(strata: Ints, k: int, repeats: int, groups: Array | None, seed: int) -> Drawn:
    """Cross-validation, `repeats` times over; each patient is tested once per repeat; whole groups where given."""
    units = len(strata) if groups is None else len(set(groups))
    if k < 2 or repeats < 1:
        raise ConfigError(f"k={k}, repeats={repeats}: give two or more folds, one or more times.")
    if units < k:
        noun = "patient" if groups is None else "group"
        raise DataError(f"{k} folds of {counted(units, noun)}. Ask for {units} folds or fewer.")
    if groups is not None and units <= EXACT:
        return _preserved(strata, k, repeats, groups, seed)
    random = np.random.RandomState(seed)  # one stream, so that repeats differ
    kind = StratifiedKFold if groups is None else StratifiedGroupKFold
    found: list[Fold] = []
    for _ in range(repeats):
        splitter = kind(n_splits=k, shuffle=True, random_state=random)
        found += [(train, held) for train, held in quietly(splitter, pooled(strata, k), groups)]
    if any(len(held) == 0 for _, held in found):
        raise DataError(f"{counted(units, 'group')} of such unequal size do not fill {k} folds. Ask for fewer.")
    return Drawn(found)


def _preserved(strata: Ints, k: int, repeats: int, groups: Array, seed: int) -> Drawn:
    """Folds of whole groups, balanced as well as they allow."""
    site = np.unique(groups, return_inverse=True)[1]
    seeds = np.random.SeedSequence(seed).generate_state(repeats)
    found = [allocate(pooled(strata, k), groups, np.full(k, 1 / k), int(one)) for one in seeds]
    partitions = {tuple(one.part) for one in found}
    if len(partitions) < repeats:
        warn(
            f"{counted(len(set(groups)), 'group')} in {k} folds: only {len(partitions)} of {repeats} repeats differ. "
            "Repeats that are the same add nothing; ask for fewer."
        )
    parts = [one.part[site] for one in found]
    pairs = [(np.flatnonzero(part != fold), np.flatnonzero(part == fold)) for part in parts for fold in range(k)]
    return Drawn(pairs, max(one.gap for one in found))


def by_time(times: Floats, at: float, gap: float) -> Fold:
    """Train on who came before `at` less `gap`, test on who came at `at` or later; nobody from between."""
    if gap < 0:
        raise ConfigError(f"gap={gap:g}: give the time left out before the test patients, 0 or more.")
    train, held = np.flatnonzero(times < at - gap), np.flatnonzero(times >= at)
    if not len(train) or not len(held):
        side = "before" if not len(train) else "at or after"
        raise DataError(f"No patient is {side} the time to split at. Choose another one.")
    return train, held


def warn(message: str) -> None:
    warnings.warn(message, FusionDxWarning, stacklevel=5)


def quietly(splitter: Any, strata: Ints, groups: Array | None = None) -> list[Fold]:
    """Folds of scikit-learn's, without its warning of strata that are in fewer."""
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
    if not train or not test:
        raise ConfigError(f"Column '{column}': no value in {'train' if not train else 'test'}. Give at least one.")
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
