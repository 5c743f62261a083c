"""A prognosis judged by ranks and by probabilities: of one held-out set, or as the mean over folds.

Every metric comes with what each patient adds to it. Over folds these add up patient by patient, so the interval of a
mean needs no bootstrap, only `spread_over`. Censoring weights are those of the patients judged, in each fold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fusiondx.core.predictions import CausePrediction, Prediction, SurvivalPrediction
from fusiondx.core.targets import TargetValues
from fusiondx.errors import counted
from fusiondx.evaluation.dynamic_auc import dynamic_auc
from fusiondx.evaluation.estimate import Estimate, Outcome, Undefined
from fusiondx.evaluation.folds import SHARED, spread_over
from fusiondx.evaluation.influence import Influence, Judged, estimate
from fusiondx.evaluation.parts import Part
from fusiondx.evaluation.survival_brier import integrated_brier, prediction_accuracy, survival_brier
from fusiondx.evaluation.uno import uno_c

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
RANKED = ("uno_c", "dynamic_auc")
PREDICTED = ("ibs", "ipa")
OF_CAUSE = ("cause_auc", "cause_brier", "cause_ipa")
MOST = 100
"""Times at which curves are read for an integral."""


def prognosis_outcomes(parts: Sequence[Part], places: Sequence[Array]) -> dict[str, Outcome]:
    """Uno's C, integrated Brier score, and at the median event time AUC and index of prediction accuracy.

    `parts` hold patients of known truth, `places` says which of all patients each of their rows is. Undefined parts are
    left out of means.
    """
    horizon = _median_event_time(parts)
    judged = [_judge(prediction, truth, horizon) for prediction, truth in parts]
    return {metric: _over_folds([found[metric] for found in judged], places) for metric in (*RANKED, *PREDICTED)}


def cause_outcomes(parts: Sequence[Part], places: Sequence[Array]) -> dict[str, Outcome]:
    """Of one of several causes, at its median time: AUC, Brier score and index of prediction accuracy, where patients
    who met another cause are among those without the event (Blanche et al. 2013; Wolbers et al. 2009).

    Parts and places as in `prognosis_outcomes`. Without predicted incidence the AUC is that of the risk.
    """
    horizon = _median_event_time(parts)
    judged = [_judge_cause(prediction, truth, horizon) for prediction, truth in parts]
    return {metric: _over_folds([found[metric] for found in judged], places) for metric in OF_CAUSE}


def _judge_cause(prediction: Prediction, truth: TargetValues, horizon: float) -> dict[str, Judged]:
    assert isinstance(prediction, CausePrediction)
    time, event = truth.fields["time"], truth.fields["event"].astype(np.int64)
    events = int((event == 1).sum())
    if not events:
        reason = f"no events among {counted(len(time), 'patient')}" if len(time) else "no patient whose truth is known"
        return {name: Undefined(name, reason, len(time), 0) for name in OF_CAUSE}
    curves = len(prediction.times) > 0
    by = np.clip(prediction.cumulative_incidence([horizon])[:, 0], 0.0, 1.0) if curves else prediction.risk
    auc = dynamic_auc(by, time, event, horizon)
    if not curves:
        lacking = [Undefined(name, "no incidence was predicted", len(time), events) for name in OF_CAUSE[1:]]
        return dict(zip(OF_CAUSE, (_called("cause_auc", auc), *lacking), strict=True))
    scores = survival_brier(by, time, event, horizon), prediction_accuracy(by, time, event, horizon)
    return {name: _called(name, found) for name, found in zip(OF_CAUSE, (auc, *scores), strict=True)}


def _called(metric: str, found: Judged) -> Judged:
    return replace(found, metric=metric)


def _median_event_time(parts: Sequence[Part]) -> float:
    events = [truth.fields["time"][truth.fields["event"] == 1] for _, truth in parts]
    met = np.concatenate(events)
    return float(np.median(met)) if len(met) else 0.0


def _judge(prediction: Prediction, truth: TargetValues, horizon: float) -> dict[str, Judged]:
    assert isinstance(prediction, SurvivalPrediction)
    time, event = truth.fields["time"], truth.fields["event"].astype(np.int64)
    if not (event == 1).any():
        reason = f"no events among {counted(len(time), 'patient')}" if len(time) else "no patient whose truth is known"
        return {name: Undefined(name, reason, len(time), 0) for name in (*RANKED, *PREDICTED)}
    found: dict[str, Judged] = {
        "uno_c": uno_c(prediction.risk, time, event),
        "dynamic_auc": dynamic_auc(prediction.risk, time, event, horizon),
    }
    if not len(prediction.times):
        reason, events = "no survival curves were predicted", int((event == 1).sum())
        return found | {name: Undefined(name, reason, len(time), events) for name in PREDICTED}
    by = np.clip(1 - prediction.survival([horizon])[:, 0], 0.0, 1.0)
    grid = _thinned(np.unique(prediction.times))
    curves = np.clip(prediction.survival(grid), 0.0, 1.0)
    return found | {
        "ibs": integrated_brier(curves, grid, time, event),
        "ipa": prediction_accuracy(by, time, event, horizon),
    }


def _thinned(times: Floats) -> Floats:
    """At most `MOST` of ascending times, the first and the last among them."""
    if len(times) <= MOST:
        return times
    return times[np.unique(np.linspace(0, len(times) - 1, MOST).round().astype(np.int64))]


def _over_folds(judged: Sequence[Judged], places: Sequence[Array]) -> Outcome:
    """The mean of those that are defined, with an interval from what each patient adds to all of them."""
    used = [(found, place) for found, place in zip(judged, places, strict=True) if isinstance(found, Influence)]
    if len(judged) == 1 or not used:
        return estimate(judged[0])
    which, row = np.unique(np.concatenate([place for _, place in used]), return_inverse=True)
    each = np.bincount(row, weights=np.concatenate([found.each for found, _ in used])).astype(np.float64) / len(used)
    first, horizons, share = used[0][0], {found.horizon for found, _ in used}, len(which) / len(row)
    rarer = [found.rarer for found, _ in used if found.rarer is not None]
    mean = replace(
        first,
        value=float(np.mean([found.value for found, _ in used])),
        each=each * spread_over(len(used)),
        events=max(1, round(sum(found.events for found, _ in used) * share)),
        rarer=round(sum(rarer) * share) if rarer else None,
        horizon=first.horizon if len(horizons) == 1 else None,
    )
    said = estimate(mean)
    assert isinstance(said, Estimate)
    return replace(said, method=f"mean over {len(used)} of {len(judged)} folds; {said.method}{SHARED}")
