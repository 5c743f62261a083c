"""Is a prognosis worth acting on? Net benefit at a horizon (Vickers, Cronin, Elkin & Gonen 2008)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fusiondx.errors import DataError
from fusiondx.evaluation.estimate import Estimate, Undefined
from fusiondx.evaluation.influence import Influence, Judged, estimate
from fusiondx.evaluation.observed import moment, outcomes, probabilities
from fusiondx.survival.weights import AtHorizon, Censoring

Floats = npt.NDArray[np.floating[Any]]
THRESHOLDS = np.round(np.arange(0.01, 1.0, 0.01), 2)
CONVENTION = (
    "patients with a probability of at least the threshold are treated; their share with the event by Kaplan-Meier, or "
    "Aalen-Johansen, among them; in true positives per patient"
)


def survival_net_benefit(
    probability: npt.ArrayLike, time: npt.ArrayLike, event: npt.ArrayLike, horizon: float, threshold: float
) -> Judged:
    """Net benefit of treating who has at least the `threshold` probability of the event by `horizon`.

    Share treated x (share of them with the event - share without x threshold / (1 - threshold)). Arrays have shape
    ``(patients,)``; numbers above 1 in `event` are competing events. `Undefined` where nobody treated is followed so
    far. Raises `DataError` for a threshold outside 0 to 1, and for input that cannot be judged.
    """
    times, events = outcomes(time, event)
    predicted = probabilities(probability, len(times))
    if not 0 < threshold < 1:
        raise DataError("A threshold probability is not between 0 and 1. Give one at which you would treat.")
    odds, treated = threshold / (1 - threshold), predicted >= threshold
    at = AtHorizon(Censoring.of(times[treated], events[treated]), moment(horizon))
    n, some = len(times), int(treated.sum())
    happened = int(((events == 1) & (times <= horizon)).sum())
    if not n or (some and not at.censoring.at(at.horizon) > 0):
        reason = "nobody treated is followed so far" if n else "no patients"
        return Undefined("survival_net_benefit", reason, n, happened)
    share = float(at.weight @ at.case) / max(some, 1)
    worth = share * (1 + odds) - odds
    each = (treated - some / n) / n * worth
    each[treated] += some / n * (1 + odds) * (at.influence(at.case / max(some, 1)) - share / max(some, 1))
    value = some / n * worth
    return Influence("survival_net_benefit", value, each, happened, "plain", at.horizon, threshold, CONVENTION)


def survival_net_benefit_frame(
    probability: npt.ArrayLike,
    time: npt.ArrayLike,
    event: npt.ArrayLike,
    horizon: float,
    thresholds: npt.ArrayLike = THRESHOLDS,
) -> pd.DataFrame:
    """A decision curve at `horizon`: one row per threshold at which the model's net benefit is defined.

    Columns: `threshold`; `net_benefit` with its 95 % interval `low` and `high`; `treat_all`, and `treat_none`, which is
    0. Arguments and errors as `survival_net_benefit`.
    """
    rows = []
    everyone = np.ones(len(np.asarray(time)))
    for threshold in np.atleast_1d(np.asarray(thresholds, dtype=np.float64)):
        at = time, event, horizon, float(threshold)
        model, every = (estimate(survival_net_benefit(p, *at)) for p in (probability, everyone))
        if isinstance(model, Estimate) and isinstance(every, Estimate):
            rows.append((float(threshold), model.value, model.low, model.high, every.value, 0.0))
    columns = ["threshold", "net_benefit", "low", "high", "treat_all", "treat_none"]
    return pd.DataFrame(rows, columns=columns, dtype=np.float64)
