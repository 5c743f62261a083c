"""How well a score tells patients apart: AUROC, average precision.

Every metric takes ``counts``, shape ``(..., patients)``: how often each patient is there (once, when left out). It
sorts once and returns one value for each set of counts, shape ``(...)``: NaN where these patients cannot give it.
Scores are compared exactly, without a tolerance, so only their order matters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from fusiondx.evaluation import checking
from fusiondx.evaluation.concordance import concordance as concordance
from fusiondx.evaluation.ratio import mean_of_defined, ratio

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.floating[Any]]
Metric = Callable[[Array, Array, Array | None], Floats]


def auroc(score: Array, positive: Array, counts: Array | None = None) -> Floats:
    """Probability that a positive patient scores above a negative one, ties counting half (Hanley & McNeil 1982)."""
    positives, negatives = _by_score(score, positive, counts)
    below = np.cumsum(negatives, axis=-1) - negatives / 2
    pairs = positives.sum(axis=-1) * negatives.sum(axis=-1)
    return ratio((positives * below).sum(axis=-1), pairs)


def average_precision(score: Array, positive: Array, counts: Array | None = None) -> Floats:
    """Precision averaged over the positive patients, from the highest score down, without interpolation.

    Its no-skill value is the prevalence. Undefined without a negative patient too: there is nothing to tell apart.
    """
    positives, negatives = _by_score(-score, positive, counts)
    found = np.cumsum(positives, axis=-1)
    flagged = found + np.cumsum(negatives, axis=-1)
    precision = np.divide(found, flagged, out=np.zeros_like(found), where=flagged > 0)
    both = np.where(negatives.sum(axis=-1) > 0, found[..., -1], 0.0)
    return ratio((positives * precision).sum(axis=-1), both)


def one_vs_rest(metric: Metric, probability: Array, label: Array, counts: Array | None = None) -> Floats:
    """Mean of a binary `metric` over classes, each against the rest; classes that cannot give it are left out."""
    classes = range(probability.shape[1])
    return mean_of_defined(np.stack([metric(probability[:, k], label == k, counts) for k in classes], axis=-1))


def hand_till(probability: Array, label: Array, counts: Array | None = None) -> Floats:
    """Mean AUROC over pairs of classes, by the probability of either (Hand & Till 2001); undefined ones left out."""
    pairs = []
    for a in range(probability.shape[1]):
        for b in range(a):
            rows = (label == a) | (label == b)
            some = None if counts is None else np.asarray(counts)[..., rows]
            pairs.append(auroc(probability[rows, a], label[rows] == a, some))
            pairs.append(auroc(probability[rows, b], label[rows] == b, some))
    return mean_of_defined(np.stack(pairs, axis=-1))


def roc_curve(score: npt.ArrayLike, positive: npt.ArrayLike) -> tuple[Floats, Floats, Floats]:
    """False positive rate, true positive rate and threshold of each point of the ROC curve, from (0, 0) to (1, 1).

    A patient is called positive when its score reaches the threshold. Rates are NaN where there is no such patient.
    Raises `DataError` for scores that are not finite and labels that are not 0 or 1.

    >>> false, true, threshold = evaluation.roc_curve([0.9, 0.8, 0.4, 0.2], [1, 0, 1, 0])
    >>> false.tolist(), true.tolist()
    ([0.0, 0.0, 0.5, 0.5, 1.0], [0.0, 0.5, 0.5, 1.0, 1.0])
    """
    score, positive = checking.scored(score, positive)
    thresholds = np.unique(score)[::-1]
    positives, negatives = _by_score(-score, positive, None)
    found, false = (np.concatenate([[0.0], np.cumsum(group)]) for group in (positives, negatives))
    rates = [ratio(group, np.full(group.shape, group[-1])) for group in (false, found)]
    return rates[0], rates[1], np.concatenate([[np.inf], thresholds])


def _by_score(score: Array, positive: Array, counts: Array | None) -> tuple[Floats, Floats]:
    """Positive and negative patients at each distinct score, ascending; both of shape ``(..., scores)``."""
    order = np.argsort(score, kind="stable")
    weight = np.ones(len(order)) if counts is None else np.asarray(counts, dtype=np.float64)[..., order]
    ranked = score[order]
    starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]][: len(order)])
    positives = np.add.reduceat(weight * positive[order], starts, axis=-1)
    return positives, np.add.reduceat(weight, starts, axis=-1) - positives
