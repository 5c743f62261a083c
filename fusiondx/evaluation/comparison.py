"""Comparison of several models on the same held-out patients, corrected for how many are compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr, stdtrit

from fusiondx.errors import ConfigError, DataError, counted, did_you_mean, listed
from fusiondx.evaluation.estimate import Estimate, Outcome, Undefined
from fusiondx.evaluation.metrics import metrics_for
from fusiondx.evaluation.parts import Row
from fusiondx.evaluation.pooled import pool
from fusiondx.evaluation.score import Part, difference

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Comparison:
    """One model against another on the same patients."""

    model: str
    versus: str
    difference: Outcome
    """`model` minus `versus`, with a paired 95 % interval and its own p-value."""
    p_holm: float | None
    """The p-value corrected for all comparisons made together; None where the difference is undefined."""


def holm(p: npt.ArrayLike) -> Floats:
    """p-values adjusted for their number by Holm's (1979) step-down method, in their order.

    The chance of any false rejection is at most the level, however the tests depend on each other. NaN is left out and
    stays NaN. Raises `DataError` for what is no probability.
    """
    given = np.asarray(p, dtype=np.float64)
    told = np.flatnonzero(~np.isnan(given))
    if ((given[told] < 0) | (given[told] > 1)).any():
        raise DataError("A p-value is not between 0 and 1. Give p-values.")
    order = told[np.argsort(given[told], kind="stable")]
    adjusted = np.full(given.shape, np.nan)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(given[order] * np.arange(len(order), 0, -1)))
    return adjusted


def compare(
    models: Mapping[str, Sequence[Part]], metric: str, *, baseline: str, replicates: int = 1000, seed: int = 0
) -> tuple[Comparison, ...]:
    """Every other model minus the `baseline`, then those minus each other, on the same out-of-fold predictions.

    Parts are folds, or one held-out set; see `score` for what the value is of several, and `pooled` to make one of
    them. Patients are resampled together for both models. p-values are Holm's over all comparisons.

    Raises `ConfigError` for a baseline that is not among the models or fewer than two models, else as `difference`.

    >>> from fusiondx.evaluation.comparison import compare
    >>> ids = np.arange(400)
    >>> parts = {"fusion": [evaluation.class_part(probability, positive, ids=ids)]}
    >>> parts["clinical"] = [evaluation.class_part(probability / 2 + 0.25, positive, ids=ids)]
    >>> [(c.model, c.versus) for c in compare(parts, "brier", baseline="clinical", replicates=50)]
    [('fusion', 'clinical')]
    """
    names = list(models)
    if baseline not in models:
        raise ConfigError(f"There is no model '{baseline}' to compare with.{did_you_mean(baseline, names)}")
    others = [name for name in names if name != baseline]
    if not others:
        raise ConfigError("One model alone cannot be compared. Give two or more.")
    pairs = [(name, baseline) for name in others]
    pairs += [(name, rival) for i, name in enumerate(others) for rival in others[i + 1 :]]
    found = [difference(models[a], models[b], metric, replicates=replicates, seed=seed) for a, b in pairs]
    adjusted = holm([chance(one) for one in found])
    return tuple(
        Comparison(a, b, one, None if np.isnan(p) else float(p))
        for (a, b), one, p in zip(pairs, found, adjusted, strict=True)
    )


def chance(found: Outcome) -> float:
    """The p-value of a difference; NaN where there is none."""
    return np.nan if isinstance(found, Undefined) or found.p is None else found.p


def pooled(parts: Sequence[Part]) -> Part:
    """What `pool` gives of folds that share no patient: one set, in which patients of different folds are compared too.

    Of probabilities and quantities that asks more than the mean over folds does; the risk scores of different Cox
    models have no common scale. Raises `DataError` as `pool`, and where a patient is in two parts, as when folds
    are repeated.

    >>> from fusiondx.evaluation.comparison import pooled
    >>> ids, halves = np.arange(400), (slice(0, 200), slice(200, 400))
    >>> folds = [evaluation.class_part(probability[half], positive[half], ids=ids[half]) for half in halves]
    >>> said, truth = pooled(folds)
    >>> len(said)
    400
    """
    said, truth = pool(parts)
    names, times = np.unique(said.ids.astype(str), return_counts=True)
    if (times > 1).any():
        raise DataError(f"Patients in several folds: {listed(names[times > 1])}. Pool one repeat at a time.")
    return said, truth


def corrected_resampled(differences: npt.ArrayLike, trained: int, tested: int, metric: str = "difference") -> Outcome:
    """The mean of fold-wise differences with Nadeau & Bengio's (2003) corrected 95 % interval and t-test.

    `differences` are of the same two models on each test part of repeated folds (Bouckaert & Frank 2004) or of repeated
    splits; training and test parts hold `trained` and `tested` patients on average. Training parts overlap, so the
    variance of a mean over J parts is ``(1 / J + tested / trained)`` times that of the parts and not ``1 / J`` times.
    `Undefined` with fewer than two finite differences. Raises `ConfigError` for empty parts.
    """
    if trained < 1 or tested < 1:
        raise ConfigError(f"trained={trained}, tested={tested}: give patients per part, 1 or more.")
    values = np.asarray(differences, dtype=np.float64)
    values = values[np.isfinite(values)]
    patients = trained + tested
    if len(values) < 2:
        return Undefined(
            metric, f"{counted(len(values), 'part')} with a difference, where two are needed", patients, None
        )
    mean, freedom = float(values.mean()), len(values) - 1
    error = float(np.sqrt((1 / len(values) + tested / trained) * values.var(ddof=1)))
    reach = float(stdtrit(freedom, 0.975)) * error
    p = float(2 * stdtr(freedom, -abs(mean) / error)) if error > 0 else float(mean == 0)
    method = f"mean over {len(values)} parts; corrected resampled t interval (Nadeau & Bengio 2003)"
    return Estimate(metric, mean, mean - reach, mean + reach, patients, None, method, p=p)


def repeated_folds(parts_a: Sequence[Part], parts_b: Sequence[Part], metric: str) -> Outcome:
    """`metric` of a minus that of b over repeated folds, by `corrected_resampled`.

    Sizes are taken from the parts: whoever is not in a test part trained for it. Raises as `difference` does, and
    `DataError` for patients without ids, of whom nobody can tell in how many parts they are.

    >>> from fusiondx.evaluation.comparison import repeated_folds
    >>> ids, halves = np.arange(400), (slice(0, 200), slice(200, 400))
    >>> a = [evaluation.class_part(probability[half], positive[half], ids=ids[half]) for half in halves]
    >>> b = [evaluation.class_part(1 - probability[half], positive[half], ids=ids[half]) for half in halves]
    >>> repeated_folds(a, b, "auroc").value > 0
    True
    """
    if metric not in (known := metrics_for(parts_a[0][0])):
        raise ConfigError(f"No metric '{metric}' for such predictions.{did_you_mean(metric, known)}")
    if any(isinstance(id, Row) for said, _ in parts_a for id in said.ids):
        raise DataError("Folds of patients without ids: repeats cannot be told from other patients. Give 'ids'.")
    found = [difference([a], [b], metric, replicates=1) for a, b in zip(parts_a, parts_b, strict=True)]
    everyone = len(np.unique(np.concatenate([said.ids.astype(str) for said, _ in parts_a])))
    tested = round(float(np.mean([len(said) for said, _ in parts_a])))
    values = [one.value if isinstance(one, Estimate) else np.nan for one in found]
    return corrected_resampled(values, max(everyone - tested, 1), tested, metric)
