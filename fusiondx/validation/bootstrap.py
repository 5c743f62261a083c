"""The .632+ bootstrap: an estimate for cohorts too small to hold patients out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import clone

from fusiondx.data.cohort import Cohort
from fusiondx.data.resampling import drawn
from fusiondx.errors import ConfigError, DataError, counted
from fusiondx.evaluation.estimate import Estimate, Outcome, Undefined
from fusiondx.evaluation.metrics import METRICS, primary_metric
from fusiondx.evaluation.score import score

CHANCE = {"auroc": 0.5, "c_index": 0.5}
"""What a model without skill reaches, by metric."""


def bootstrap_632plus(
    model: Any, cohort: Cohort, *, target: str | None = None, replicates: int = 50, seed: int = 0
) -> Outcome:
    """AUROC or C-index of `model` by the .632+ bootstrap (Efron & Tibshirani 1997), of one target (the first).

    The model is fitted `replicates` times on patients drawn with replacement and judged on those not drawn; that is
    too low, for a sample holds 63 % of the patients, and is weighed against the apparent value of the model fitted on
    all, which is too high, the less the more it overfits. Error is 1 minus the metric, of chance 0.5. The interval is
    the apparent one, a bootstrap of patients, moved by the optimism (Noma et al. 2021). Copies of a patient in a
    sample are different patients to early stopping: switch it off with ``Training(validation=0)`` where that matters.

    `Undefined` where no sample can be judged. Raises `ConfigError` for another kind of target, none, or no replicates.

    >>> clinical = fdx.FusionModel(training=quick)
    >>> found = fdx.bootstrap_632plus(clinical, cohort.select(modalities=["clinical"]), replicates=3)
    >>> found.metric
    'c_index'
    """
    if not cohort.targets or replicates < 1:
        raise ConfigError("The .632+ bootstrap needs a cohort with a target, and replicates of at least 1.")
    asked = cohort if target is None else cohort.select(targets=[target])
    name, values = next(iter(asked.targets.items()))
    metric = primary_metric(values)
    if metric not in CHANCE:
        raise ConfigError(
            f"The .632+ bootstrap is for AUROC and C-index; '{name}' is judged by {METRICS[metric].title}."
        )
    apparent = judged(clone(model).fit(asked), asked, name)
    if isinstance(apparent, Undefined):
        return apparent
    random = np.random.default_rng(seed)
    outside = [out_of_bag(model, asked, random.integers(len(asked), size=len(asked)), name) for _ in range(replicates)]
    found = np.array([value for value in outside if value is not None])
    if not len(found):
        return Undefined(metric, f"none of {counted(replicates, 'sample')} can be judged", apparent.n, apparent.events)
    value = weighed(apparent.value, float(found.mean()), CHANCE[metric])
    moved = value - apparent.value
    method = f".632+ bootstrap, {counted(len(found), 'sample')}; apparent 95 % bootstrap interval moved by {moved:.3f}"
    low, high = (min(max(bound + moved, 0.0), 1.0) for bound in (apparent.low, apparent.high))
    return replace(apparent, value=value, low=low, high=high, method=method)


def weighed(apparent: float, outside: float, chance: float) -> float:
    """The .632+ estimate of a metric from its apparent value, its mean on patients not drawn, and its value by
    chance."""
    seen, unseen, nothing = 1 - apparent, min(1 - outside, 1 - chance), 1 - chance
    overfit = (unseen - seen) / (nothing - seen) if unseen > seen and nothing > seen else 0.0
    weight = 0.632 / (1 - 0.368 * overfit)
    return 1 - ((1 - weight) * seen + weight * unseen)


def judged(fitted: Any, cohort: Cohort, target: str) -> Outcome:
    """The primary metric of a fitted model."""
    return score([(fitted.predict(cohort)[target], cohort.targets[target])], replicates=200)[0]


def out_of_bag(model: Any, cohort: Cohort, sample: npt.NDArray[np.int64], target: str) -> float | None:
    """The metric on who was not drawn; None where the sample cannot train, or they cannot judge."""
    rest = np.setdiff1d(np.arange(len(cohort)), sample)
    if not len(rest):
        return None
    try:
        found = judged(clone(model).fit(drawn(cohort, sample)), cohort[rest], target)
    except DataError:
        return None  # one class drawn, or no event
    return found.value if isinstance(found, Estimate) else None
