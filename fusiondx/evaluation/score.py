"""Judge predictions: metrics with patient-level bootstrap intervals, over one or several held-out sets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fusiondx.core.predictions import (
    CausePrediction,
    ClassPrediction,
    CompetingPrediction,
    LabelsPrediction,
    MaskPrediction,
    NumberPrediction,
    Prediction,
    SurvivalPrediction,
)
from fusiondx.core.targets import TargetValues
from fusiondx.errors import ConfigError, DataError, counted, did_you_mean
from fusiondx.evaluation import formulas
from fusiondx.evaluation.estimate import Estimate, Outcome, Undefined
from fusiondx.evaluation.folds import SHARED, spread_over
from fusiondx.evaluation.metrics import METRICS, measure, metrics_for
from fusiondx.evaluation.parts import Part as Part
from fusiondx.evaluation.parts import patients_of
from fusiondx.evaluation.prognosis import cause_outcomes, prognosis_outcomes
from fusiondx.evaluation.ratio import mean_of_defined
from fusiondx.evaluation.usable import require_paired, require_usable

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.floating[Any]]


def score(parts: Sequence[Part], *, replicates: int = 1000, seed: int = 0) -> tuple[Outcome, ...]:
    """Every metric that fits the predictions, each with a 95 % interval, over one or several held-out sets.

    Of several parts (folds, maybe repeated) the value is the mean over those in which the metric is defined. The
    interval is a percentile bootstrap of patients (Efron & Tibshirani 1993): each replicate draws patient ids once
    from the union of all parts and applies their multiplicities in every part, so a patient who is in several parts
    comes and goes as one. Folds share their training patients, so the mean over them varies more than the patients
    judged explain: replicates are moved apart by `folds.spread_over`. Metrics that have to be fitted, such as
    the calibration slope, are taken over the predictions of all parts at once, with an interval clustered by patient.
    Of one part, intervals are by formula where one covers better than a bootstrap; `method` says which it is. Models
    stay as trained: an interval speaks of the patients judged, not of training on others. Patients whose truth is
    unknown are left out.

    Raises `DataError` for predictions that are not finite or no probabilities, that do not match the truths, or of
    mixed kinds, classes, causes or units, and where one patient has different truths in two parts; `ConfigError` for
    fewer than one replicate.

    >>> folds = [evaluation.class_part(probability[half], positive[half]) for half in (slice(0, 200), slice(200, 400))]
    >>> for found in evaluation.score(folds, replicates=50)[:2]:
    ...     print(f"{found.metric} {found.value:.2f}")
    auroc 0.80
    average_precision 0.68
    """
    trial = _Trial.of(parts)
    if replicates < 1:
        raise ConfigError(f"replicates is {replicates}. Give at least 1.")
    found = trial.by_formula(parts)
    if any(name not in found for name in trial.names):
        values = trial.values(parts)
        resampled = [trial.values(parts, counts) for counts in trial.resamples(replicates, seed)]
        for name in values.keys() - found.keys():
            found[name] = trial.outcome(name, values[name], np.concatenate([block[name] for block in resampled]))
    return tuple(found[name] for name in trial.names)


def score_one(prediction: Prediction, truth: TargetValues) -> float:
    """AUROC, concordance index or R² of one held-out set, where higher is better; no interval.

    Raises `DataError` where the patients cannot give it, else as `score`.

    >>> evaluation.score_one(*evaluation.class_part([0.9, 0.8, 0.4, 0.2], [1, 0, 1, 0]))
    0.75
    """
    trial = _Trial.of([(prediction, truth)])
    metric = next(name for name in trial.names if METRICS[name].higher_is_better)
    value = float(trial.values([(prediction, truth)])[metric][0])
    if np.isnan(value):
        raise DataError(f"{METRICS[metric].title} is undefined: {trial.reason(metric)}. Judge more patients.")
    return value


def difference(
    parts_a: Sequence[Part], parts_b: Sequence[Part], metric: str, *, replicates: int = 1000, seed: int = 0
) -> Outcome:
    """`metric` of a minus that of b on the same patients, with a paired 95 % interval: the same resamples for both.

    Raises `DataError` where ids or truths differ, `ConfigError` for a metric that does not fit, else as `score`.

    >>> ids = np.arange(400)
    >>> a, b = (evaluation.class_part(said, positive, ids=ids) for said in (probability, 1 - probability))
    >>> found = evaluation.difference([a], [b], "auroc", replicates=50)
    >>> found.low > 0
    True
    """
    return contrasts([parts_a, parts_b], [[1, -1]], metric, replicates=replicates, seed=seed)[0]


def contrasts(
    rivals: Sequence[Sequence[Part]],
    weights: npt.ArrayLike,
    metric: str,
    *,
    replicates: int = 1000,
    seed: int = 0,
) -> tuple[Outcome, ...]:
    """Sums of one `metric` of several predictions for the same patients, weighted by each row of `weights`,
    ``(sums, rivals)``, with paired 95 % intervals: the same resamples for all.

    A row ``[1, -1]`` is a difference, ``[0.5, 0.5]`` a mean. Raises as `difference`.
    """
    trial = _Trial.of(rivals[0])
    for parts in rivals[1:]:
        _Trial.of(parts)
        require_paired(rivals[0], parts)
    known = [name for name in trial.names if not METRICS[name].fitted]
    if metric not in known:
        raise ConfigError(f"No metric '{metric}' to compare such predictions by.{did_you_mean(metric, known)}")
    if replicates < 1:
        raise ConfigError(f"replicates is {replicates}. Give at least 1.")
    rows = np.atleast_2d(np.asarray(weights, dtype=np.float64))

    def sums(counts: Floats | None = None) -> Floats:
        each = np.stack([trial.values(parts, counts)[metric] for parts in rivals])
        return np.tensordot(rows, each, axes=1)

    resampled = np.concatenate([sums(counts) for counts in trial.resamples(replicates, seed)], axis=1)
    return tuple(
        trial.difference(metric, value, again) if abs(row.sum()) < 1e-9 else trial.outcome(metric, value, again)
        for row, value, again in zip(rows, sums(), resampled, strict=True)
    )


@dataclass(frozen=True)
class _Trial:
    """Who is judged: the patients of all parts whose truth is known, each once."""

    kind: type[Prediction]
    names: tuple[str, ...]
    """Of the metrics that suit the predictions."""
    rows: tuple[Array, ...]
    """Per part: its rows whose truth is known."""
    places: tuple[Array, ...]
    """Per part: the patient, among all, that each such row is."""
    happened: Array | None
    """Per patient: whether the event came, or the class is the positive one; None where neither makes sense."""
    patients: int

    @classmethod
    def of(cls, parts: Sequence[Part]) -> _Trial:
        require_usable(parts)
        rows = tuple(np.flatnonzero(truth.known) for _, truth in parts)
        ids = [who[row].astype(str) for who, row in zip(patients_of(parts), rows, strict=True)]
        # Sorted, so that the interval does not depend on the order of rows
        names, first, place = np.unique(np.concatenate(ids), return_index=True, return_inverse=True)
        ends = np.cumsum([len(row) for row in rows])[:-1]
        marks = [_happened(*part) for part in parts]
        happened = None
        if not any(mark is None for mark in marks):
            happened = np.concatenate([m[row] for m, row in zip(marks, rows, strict=True) if m is not None])[first]
        suited = metrics_for(parts[0][0])
        return cls(type(parts[0][0]), suited, rows, tuple(np.split(place, ends)), happened, len(names))

    def values(self, parts: Sequence[Part], counts: Floats | None = None) -> dict[str, Floats]:
        """Each metric part by part, the last axis; before it, the axes of `counts`, ``(replicates, patients)``."""
        measured = [name for name in self.names if not METRICS[name].fitted]
        empty = {name: np.full(() if counts is None else len(counts), np.nan) for name in measured}
        each = [
            measure(prediction.take(row), truth[row], None if counts is None else counts[:, place])
            if len(row)
            else empty
            for (prediction, truth), row, place in zip(parts, self.rows, self.places, strict=True)
        ]
        return {name: np.stack([metrics[name] for metrics in each], axis=-1) for name in empty}

    def by_formula(self, parts: Sequence[Part]) -> dict[str, Outcome]:
        """Metrics with an interval by formula: those of one part, or those fitted over all of them."""
        if not self.patients:
            return {name: Undefined(name, self.reason(name), 0, self._events(np.arange(0))) for name in self.names}
        if self.kind is SurvivalPrediction:
            known = [(said.take(row), truth[row]) for (said, truth), row in zip(parts, self.rows, strict=True)]
            return prognosis_outcomes(known, self.places)
        if self.kind is CausePrediction:
            known = [(said.take(row), truth[row]) for (said, truth), row in zip(parts, self.rows, strict=True)]
            return cause_outcomes(known, self.places)
        if len(parts) == 1:
            (prediction, truth), (row,) = parts[0], self.rows
            return formulas.by_formula(prediction.take(row), truth[row])
        if not any(METRICS[name].fitted for name in self.names):
            return {}
        return formulas.fitted_over_folds(
            np.concatenate([_positive(part, row) for part, row in zip(parts, self.rows, strict=True)], axis=1),
            np.concatenate(self.places),
            self._events(np.arange(self.patients)),
        )

    def resamples(self, replicates: int, seed: int) -> Iterator[Floats]:
        """How often each patient is drawn, ``(replicates, patients)``, in blocks that fit a processor's cache."""
        rng, size = np.random.default_rng(seed), max(16, 200_000 // max(self.patients, 1))
        for start in range(0, replicates, size):
            block = min(size, replicates - start)
            drawn = rng.integers(max(self.patients, 1), size=(block, self.patients))
            cell = (drawn + self.patients * np.arange(block)[:, None]).ravel()
            yield np.bincount(cell, minlength=block * self.patients).reshape(block, -1).astype(np.float64)

    def outcome(self, metric: str, values: Floats, resampled: Floats, what: str = "") -> Outcome:
        """The mean of `values`, ``(parts,)``, with the quantiles of that of `resampled`, ``(replicates, parts)``."""
        defined = ~np.isnan(values)
        if not defined.any():
            return Undefined(metric, self.reason(metric), self.patients, self._events(np.arange(self.patients)))
        means = self._means(values, resampled)
        usable = means[~np.isnan(means)]
        who = np.unique(np.concatenate([place for place, use in zip(self.places, defined, strict=True) if use]))
        if not len(usable):
            return Undefined(metric, "no resample of the patients allows it", len(who), self._events(who))
        low, high = (float(bound) for bound in np.quantile(usable, [0.025, 0.975]))
        method = what + _method(defined, len(usable), len(means))
        return Estimate(metric, float(mean_of_defined(values)), low, high, len(who), self._events(who), method)

    def difference(self, metric: str, values: Floats, resampled: Floats) -> Outcome:
        """As `outcome`, with the p-value of no difference: twice the share of resamples on the rarer side of 0, never 0
        itself (Davison & Hinkley 1997)."""
        found = self.outcome(metric, values, resampled, what="paired difference; ")
        if isinstance(found, Undefined):
            return found
        gaps = self._means(values, resampled)
        gaps = gaps[~np.isnan(gaps)]
        rarer = min(int((gaps <= 0).sum()), int((gaps >= 0).sum()))
        return replace(found, p=min(1.0, 2 * (1 + rarer) / (1 + len(gaps))))

    def _means(self, values: Floats, resampled: Floats) -> Floats:
        """Means over folds of `resampled`, ``(replicates,)``, as far apart as folds that share patients vary."""
        means, middle = mean_of_defined(resampled), float(mean_of_defined(values))
        if np.isnan(means).all():
            return means
        wider = middle + spread_over(int((~np.isnan(values)).sum())) * (means - middle)
        # a mean cannot leave the range of what it is a mean of
        return np.asarray(np.clip(wider, np.nanmin(resampled), np.nanmax(resampled)))

    def _events(self, who: Array) -> int | None:
        return None if self.happened is None else int(self.happened[who].sum())

    def reason(self, metric: str) -> str:
        """Why no part allows a metric."""
        among = counted(self.patients, "patient")
        event, other, few = _LACKS[self.kind]
        events = self._events(np.arange(self.patients))
        if not self.patients:
            return "no patient whose truth is known"
        if events == 0:
            return f"no {event} among {among}"
        if events == self.patients and other:
            return f"no {other} among {among}"
        few = _CALLED.get(metric, few)
        return f"{few} among {among}" if len(self.rows) == 1 else f"{few} in any of {len(self.rows)} folds"


_LACKS: dict[type[Prediction], tuple[str, str, str]] = {
    ClassPrediction: ("positive patients", "negative patients", "no two classes"),
    LabelsPrediction: ("", "", "no label with patients who have it and patients who do not"),
    SurvivalPrediction: ("events", "", "no two comparable patients"),
    CompetingPrediction: ("events", "", "no two comparable patients"),
    CausePrediction: ("events", "", "no two comparable patients"),
    NumberPrediction: ("", "", "no two different true values"),
    MaskPrediction: ("", "", "no patient whose mask holds tumour"),
}

_CALLED = {
    "precision": "no patient is called positive",
    "mcc": "no two classes that are both called",
}
"""Metrics that lack something although there are patients of two classes."""


def _positive(part: Part, row: Array) -> Floats:
    """Probability of the positive class of two, and whether it is the patient's, of some rows; shape ``(2, rows)``."""
    prediction, truth = part
    assert isinstance(prediction, ClassPrediction)
    return np.stack([prediction.probability[row, 1], truth.fields["label"][row] == 1])


def _method(defined: npt.NDArray[np.bool_], usable: int, replicates: int) -> str:
    several = f"mean over {defined.sum()} of {len(defined)} folds; " if len(defined) > 1 else ""
    lost = f", {replicates - usable} of them undefined and left out" if usable < replicates else ""
    shared = SHARED if len(defined) > 1 else ""
    return f"{several}95 % percentile bootstrap of patients, {counted(replicates, 'replicate')}{lost}{shared}"


def _happened(prediction: Prediction, truth: TargetValues) -> Array | None:
    if isinstance(prediction, SurvivalPrediction | CompetingPrediction):
        return truth.fields["event"].astype(bool)
    if isinstance(prediction, CausePrediction):
        return np.asarray(truth.fields["event"] == 1)
    if isinstance(prediction, ClassPrediction) and len(prediction.classes) == 2:
        return np.asarray(truth.fields["label"] == 1)
    return None
