"""Antolini's concordance index: whose survival curve is lower at the time of the event, not whose risk is higher."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fusiondx.evaluation.concordance import CONVENTION, ComparablePairs, no_pairs
from fusiondx.evaluation.estimate import Undefined
from fusiondx.evaluation.influence import Influence, Judged
from fusiondx.evaluation.observed import curves, outcomes

Floats = npt.NDArray[np.floating[Any]]
Bools = npt.NDArray[np.bool_]


def antolini_c(survival: npt.ArrayLike, times: npt.ArrayLike, time: npt.ArrayLike, event: npt.ArrayLike) -> Judged:
    """Time-dependent concordance index (Antolini et al. 2005).

    Of two patients of whom one had the event first, the pair is concordant where its curve is the lower at that time.
    `survival`, ``(patients, times)``, are step functions: probabilities to be event-free beyond each of `times`, 1
    before the first. `time` and `event` have shape ``(patients,)``; a competing event counts as censoring. Where curves
    never cross it is Harrell's C. O(times n log n). Raises `DataError` for input that cannot be judged.
    """
    observed, events = outcomes(time, event)
    given, at = curves(survival, times, len(observed))
    happened = events == 1
    everyone = ComparablePairs.of(np.zeros(len(observed)), observed, happened)
    comparable, others = np.empty((2, len(observed)))
    comparable[everyone.order], others[everyone.order] = everyone.comparable(everyone.event.astype(np.float64))
    comparable *= happened
    if not comparable.sum():
        return Undefined("antolini_c", no_pairs(events), len(observed), int(happened.sum()))
    concordant = _concordant(given, np.searchsorted(at, observed, side="right"), observed, happened)
    share = float(concordant[0].sum() / comparable.sum())
    each = (concordant.sum(axis=0) - share * (comparable + others)) / comparable.sum()
    said = f"curves compared as steps at the event's time; {CONVENTION}"
    return Influence("antolini_c", share, each, int(happened.sum()), "share", convention=said)


def _concordant(survival: Floats, column: npt.NDArray[np.integer[Any]], time: Floats, happened: Bools) -> Floats:
    """Per patient, the pairs won as the one with the event, and as the other; ``(2, patients)``."""
    won = np.zeros((2, len(time)))
    latest = np.argsort(-column, kind="stable")
    ends = np.searchsorted(-column[latest], -np.arange(survival.shape[1] + 1), side="right")
    for step in np.unique(column[happened]):
        later, here = np.split(latest[: ends[step]], [int((column > step).sum())])
        risk = -survival[:, step - 1] if step else np.zeros(len(time))
        died = here[happened[here]]
        won[0, died] += _below(np.sort(risk[later]), risk[died])
        won[1, later] += len(died) - _below(np.sort(risk[died]), risk[later])
        pairs = ComparablePairs.of(risk[here], time[here], happened[here])
        inside, events = here[pairs.order], pairs.event.astype(np.float64)
        lower, higher = pairs.concordant(events)
        won[0, inside] += events * lower
        won[1, inside] += higher
    return won


def _below(ascending: Floats, values: Floats) -> Floats:
    """How many of `ascending` are below each of `values`, half of those equal."""
    return np.asarray((np.searchsorted(ascending, values, "left") + np.searchsorted(ascending, values, "right")) / 2)
