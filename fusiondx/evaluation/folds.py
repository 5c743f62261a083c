"""How much more the mean over folds of cross-validation varies than the patients judged explain.

Every patient whom one fold judges has trained the models of the others, so folds are correlated, by how much cannot be
told without bias (Bengio & Grandvalet 2004; Bates, Hastie & Tibshirani 2023). But it shows in folds that agree better
than their patients let them: had they nothing in common, they would scatter as much as each of them is uncertain.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.floating[Any]]
SHARED = ", spread for folds that share training patients"
LARGEST = 2.0
"""Of a score made of pairs of patients, one to train with and one to judge, as each pair counts in two folds: the case
of models that have learnt nothing."""


def spread(values: Floats, variances: Floats, places: Sequence[Array]) -> float:
    """By what to multiply the standard error of the mean of `values`: the root of their design effect, from 1 to
    that of `LARGEST`.

    `values` and `variances`, ``(parts,)``, are those of each fold by itself; `places` says which patients it holds. The
    design effect is ``1 + (K - 1) rho`` (Kish 1965) for the K folds of one round of cross-validation, where rho is the
    share by which the scatter of values falls short of what `variances` lead to expect. 1 for one part.
    """
    expected = float(np.mean(variances))
    if len(values) < 2 or not expected > 0:
        return 1.0
    rows = np.concatenate(places)
    folds = len(values) * len(np.unique(rows)) / len(rows)
    rho = 1 - float(np.var(values, ddof=1)) / expected
    return math.sqrt(min(max(1 + (folds - 1) * rho, 1.0), LARGEST))
