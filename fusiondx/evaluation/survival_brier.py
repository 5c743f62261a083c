"""Brier score of survival predictions: squared error of a predicted probability, censored patients weighed for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from fusiondx.errors import counted
from fusiondx.evaluation.dynamic_auc import unreachable
from fusiondx.evaluation.estimate import Undefined
from fusiondx.evaluation.influence import Influence, Judged, Scale
from fusiondx.evaluation.observed import blocks, curves, moment, outcomes, probabilities
from fusiondx.evaluation.uno import WEIGHTS
from fusiondx.survival.competing import incidence
from fusiondx.survival.weights import AtHorizon, Censoring, Outcomes

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.floating[Any]]

AT_RISK = 5
"""Patients that must be under observation where an integral ends."""


def survival_brier(
    probability: npt.ArrayLike, time: npt.ArrayLike, event: npt.ArrayLike, horizon: float, train: Outcomes | None = None
) -> Judged:
    """Brier score at `horizon` of the predicted `probability` of the event by then (Graf et al. 1999).

    Arrays have shape ``(patients,)``; `event` is 1 for the event, 0 where censored, another number for a competing
    event (Gerds & Schumacher 2006; Wolbers et al. 2009). G is estimated from the times and events `train`, else from
    the patients judged, whose influence on G then counts. `Undefined` beyond the follow-up of either. Raises
    `DataError` for input that cannot be judged.
    """
    at, predicted = _stand(probability, time, event, horizon, train)
    if reason := unreachable(at, cases=False):
        return Undefined("survival_brier", reason, len(predicted), int(at.case.sum()))
    return _named("survival_brier", *_error(at, predicted), at)


def prediction_accuracy(
    probability: npt.ArrayLike, time: npt.ArrayLike, event: npt.ArrayLike, horizon: float, train: Outcomes | None = None
) -> Judged:
    """Index of prediction accuracy (Kattan & Gerds 2018): 1 - Brier score / that of the same probability for everyone.

    That one is Kaplan-Meier's (Aalen-Johansen's with competing events) of `train`, else of the patients judged. Above
    0 a model says more than that, below 0 less. Arrays and errors as `survival_brier`.
    """
    at, predicted = _stand(probability, time, event, horizon, train)
    if reason := unreachable(at):
        return Undefined("ipa", reason, len(predicted), int(at.case.sum()))
    # Of the patients judged, weights give the very share that Kaplan-Meier does
    everyone = at.weight @ at.case / len(predicted) if train is None else incidence(*outcomes(*train)).at(at.horizon)
    (value, each), (null, null_each) = _error(at, predicted), _error(at, np.full(len(predicted), everyone))
    if not null > 0:
        return Undefined("ipa", f"everyone has the event by {at.horizon:g}", len(predicted), int(at.case.sum()))
    return _named("ipa", 1 - value / null, (value / null * null_each - each) / null, at)


def integrated_brier(
    survival: npt.ArrayLike,
    times: npt.ArrayLike,
    time: npt.ArrayLike,
    event: npt.ArrayLike,
    train: Outcomes | None = None,
) -> Judged:
    """Integrated Brier score: trapezium rule over `times`, divided by their range.

    `survival`, ``(patients, times)``, is the predicted probability to be event-free beyond each of `times`. Times after
    which fewer than five patients are under observation, or at which G is 0 or not known, are left out, and the horizon
    of the result says where it ends. Arrays and errors else as `survival_brier`.
    """
    observed = outcomes(time, event)
    given, at = curves(survival, times, len(observed[0]))
    censoring = Censoring.of(*observed, None if train is None else outcomes(*train))
    kept = within(at, censoring)
    happened = int(((observed[1] == 1) & (observed[0] <= kept.max(initial=-1.0))).sum())
    if len(kept) < 2 or not happened:
        reason = "fewer than two of the times are" if len(kept) < 2 else "no event is"
        return Undefined(
            "ibs", f"{reason} within the follow-up of {counted(len(given), 'patient')}", len(given), happened
        )
    value, each = _integrated(given[:, : len(kept)], kept, censoring)
    cut = f", of {at[-1]:g} asked" if len(kept) < len(at) else ""
    said = f"trapezium rule from {kept[0]:g} to {kept[-1]:g}{cut}; {_weights(censoring)}"
    last = AtHorizon(censoring, float(kept[-1]))
    return Influence("ibs", value, each, happened, "log", last.horizon, convention=said, rarer=last.rarer)


def brier_scores(survival: Floats, times: Floats, censoring: Censoring) -> Floats:
    """Brier score at each of `times` of ``(patients, times)`` survival probabilities; no interval, in one pass."""
    early, late = np.zeros(len(times)), np.zeros(len(times))
    for error, free, left in _rows(survival, times, censoring):
        early += left @ error - left @ free
        late += np.ones(len(free)) @ free  # several times as quick as a sum over the outer axis
    return np.asarray((early + late * _survivors(times, censoring)) / len(survival))


def integrated_errors(survival: Floats, times: Floats, censoring: Censoring) -> Floats:
    """Per patient: its part of the integrated Brier score, which is their mean, also over resampled patients."""
    share = trapezium(times)
    weighed = share * _survivors(times, censoring)
    rows = _rows(survival, times, censoring)
    return np.concatenate([free @ weighed + left * (error @ share - free @ share) for error, free, left in rows])


def trapezium(times: Floats) -> Floats:
    """How much each of `times`, two or more, counts in a mean over their range."""
    steps = np.diff(times) / (times[-1] - times[0]) / 2
    return np.asarray(np.concatenate([steps, [0.0]]) + np.concatenate([[0.0], steps]))


def within(times: Floats, censoring: Censoring) -> Floats:
    """Those of ascending `times` by which censoring does not hide everyone and five patients are under observation."""
    latest = np.sort(censoring.time)[::-1]
    end = latest[min(AT_RISK, len(latest)) - 1] if len(latest) else -np.inf
    return np.asarray(times[(times <= end) & (censoring.left(times) > 0)])


def _rows(survival: Floats, times: Floats, censoring: Censoring) -> Iterator[tuple[Floats, Floats, Floats]]:
    """Squared errors, those of them while event-free, and what the others weigh, some patients at a time."""
    gone = np.where(censoring.event != 0, censoring.inverse_before, 0.0)
    rivals = bool((censoring.event > 1).any())
    for time, event, left, rows in zip(*map(blocks, (censoring.time, censoring.event, gone, survival)), strict=True):
        free = time[:, None] > times
        error = rows - (free | (event[:, None] > 1) if rivals else free)
        error *= error
        yield error, error * free, left


def _survivors(times: Floats, censoring: Censoring) -> Floats:
    """What the event-free weigh at each of `times`: 1 / G(t); 0 where G is."""
    at = censoring.left(times)
    return np.divide(1.0, at, out=np.zeros_like(at), where=at > 0)


def _stand(
    probability: npt.ArrayLike, time: npt.ArrayLike, event: npt.ArrayLike, horizon: float, train: Outcomes | None
) -> tuple[AtHorizon, Floats]:
    observed = outcomes(time, event)
    predicted = probabilities(probability, len(observed[0]))
    return AtHorizon(Censoring.of(*observed, None if train is None else outcomes(*train)), moment(horizon)), predicted


def _error(at: AtHorizon, predicted: Floats) -> tuple[float, Floats]:
    """The Brier score, and its derivative in how often each patient counts."""
    square = (at.case - predicted) ** 2 / len(predicted)
    value = float(at.weight @ square)
    return value, at.influence(square) - value / len(predicted)


def _integrated(survival: Floats, times: Floats, censoring: Censoring) -> tuple[float, Floats]:
    """The integrated score, and its derivative in how often each patient counts."""
    share, late = trapezium(times), np.zeros(len(times))
    weighed = share * _survivors(times, censoring)
    own, early = [np.empty(0)], [np.empty(0)]
    for error, free, left in _rows(survival, times, censoring):
        early.append(left * (error @ share - free @ share))
        own.append(early[-1] + free @ weighed)
        late += np.ones(len(free)) @ free
    each = np.concatenate(own)
    # Whoever is gone has the weight 1 / G(T-) at all later times, whoever is not 1 / G(t)
    amount = np.concatenate([*early, weighed * late])
    steps = np.concatenate([censoring.before, np.searchsorted(censoring.table.times, times, side="right")])
    return float(each.mean()), (each - each.mean() - censoring.spread(amount, steps)) / len(each)


def _named(metric: str, value: float, each: Floats, at: AtHorizon) -> Influence:
    scale: Scale = "share" if metric == "survival_brier" else "complement"
    events, said = int(at.case.sum()), _weights(at.censoring)
    return Influence(metric, value, each, events, scale, at.horizon, convention=said, rarer=at.rarer)


def _weights(censoring: Censoring) -> str:
    return f"weights 1/G(T-) and 1/G(t) over n; {WEIGHTS[censoring.own]}"
