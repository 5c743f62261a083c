"""How much further the mean over folds of cross-validation varies than the patients judged explain.

Every patient whom one fold judges has trained the models of the others, so folds are correlated, by how much cannot be
told without bias (Bengio & Grandvalet 2004; Bates, Hastie & Tibshirani 2023).
"""

from __future__ import annotations

import math

SHARED = ", spread for folds that share training patients"
EXCESS = 1.5
"""Variance of a mean over folds, in units of what the patients judged explain.

It is 1 for models that do not depend on who trained them, and 2 for those that have learnt nothing: a score made of
pairs of patients, one to train with and one to judge, holds each pair in two folds. How a few folds scatter tells too
little to say where between them a model lies (decision 41)."""


def spread_over(folds: int) -> float:
    """By what to multiply the standard error of a mean over so many folds; 1 for one."""
    return math.sqrt(EXCESS) if folds > 1 else 1.0
