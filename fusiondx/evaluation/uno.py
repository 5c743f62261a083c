"""Uno's concordance index: Harrell's, with pairs weighed so that it does not depend on censoring."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fusiondx.evaluation.concordance import CONVENTION, ComparablePairs, no_pairs, weighted_concordance
from fusiondx.evaluation.estimate import Undefined
from fusiondx.evaluation.influence import Influence, Judged
from fusiondx.evaluation.observed import moment, outcomes, scores
from fusiondx.survival.weights import Censoring, Outcomes

Floats = npt.NDArray[np.floating[Any]]

WEIGHTS = {True: "G from the patients judged", False: "G from training patients"}


def uno_c(
    risk: npt.ArrayLike,
    time: npt.ArrayLike,
    event: npt.ArrayLike,
    tau: float | None = None,
    train: Outcomes | None = None,
) -> Judged:
    """Uno's concordance index (Uno et al. 2011): of pairs whose event is not after `tau`, each weighing 1 / G(T-)^2.

    All arrays have shape ``(patients,)``; G is estimated from the times and events `train`, else from the patients
    judged, whose influence on G then counts. `tau` left out is the last event time with G >= 0.1. A competing event
    counts as censoring in pairs, but not in G. `Undefined` without comparable pairs, or with `tau` beyond the follow-up
    of `train`. Raises `DataError` for input that cannot be judged.
    """
    times, events = outcomes(time, event)
    risks, order = scores(risk, len(times)), np.argsort(times)
    risks, times, events = risks[order], times[order], events[order]  # so that memory is read from end to end
    censoring = Censoring.of(times, events, None if train is None else outcomes(*train))
    end = censoring.last() if tau is None else moment(tau, "tau")
    used = (events == 1) & (times <= end)
    if end > censoring.end:
        return Undefined("uno_c", f"{censoring.unknown}, before {end:g}", len(times), int(used.sum()))
    pairs = ComparablePairs.of(risks, times, events == 1)
    weight = np.where(used, censoring.inverse_before**2, 0.0)
    judged = weighted_concordance(pairs, weight[pairs.order])
    if judged is None:
        reason = no_pairs(events) if not (events == 1).any() else f"no comparable pairs whose event is by {end:g}"
        return Undefined("uno_c", reason, len(times), int(used.sum()))
    share, each, by_weight = judged
    # G(T-) enters twice, so its logarithm moves that of the weight by -2
    moved = np.empty_like(each)
    moved[order] = each - 2 * censoring.spread(by_weight, censoring.before)
    said = f"pairs with an event by tau; {WEIGHTS[train is None]}; weights 1/G(T-)^2; {CONVENTION}"
    return Influence("uno_c", share, moved, int(used.sum()), "share", horizon=end, convention=said)
