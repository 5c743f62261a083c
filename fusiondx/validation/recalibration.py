"""Recalibration: the only thing an external cohort's answers may change."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit
from sklearn.model_selection import KFold, StratifiedKFold

from fusiondx.core.predictions import ClassPrediction, Prediction, SurvivalPrediction
from fusiondx.core.targets import TargetValues
from fusiondx.evaluation.logistic import fit_logistic

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
PARTS = 5
SMALLEST = 1e-6
"""Probabilities are held this far from 0 and 1, whose log odds are infinite."""


def recalibrated(
    prediction: Prediction, truth: TargetValues, how: Literal["intercept", "slope"], seed: int = 0
) -> Prediction | None:
    """A prediction moved to fit the patients it is about; None for a kind of target that allows it not, and where the
    truth of fewer than five is known.

    Two classes: the log odds get a new intercept, or intercept and slope (Cox 1958; Steyerberg 2019). Survival, by
    "intercept": cumulative hazards times observed over expected events (van Houwelingen 2000). Each fifth of the
    patients is moved by what the other four say, so that the result is not judged on the answers that made it. Whose
    truth is unknown is moved by all. Ranks within a fifth stay as they are.
    """
    if truth.known.sum() < PARTS:
        return None
    if isinstance(prediction, ClassPrediction) and len(prediction.classes) == 2:
        given = logit(np.clip(prediction.probability[:, 1], SMALLEST, 1 - SMALLEST))
        yes = truth.fields["label"] == 1
        moved = expit(cross_fitted(given, yes, truth.known, how, seed))
        return replace(prediction, probability=np.stack([1 - moved, moved], axis=1))
    if isinstance(prediction, SurvivalPrediction) and how == "intercept" and len(prediction.times):
        return replace(prediction, curves=prediction.curves ** ratios(prediction, truth, seed)[:, None])
    return None


def parts_of(known: Bools, labels: Any, seed: int) -> list[tuple[Any, Any]]:
    """Positions to fit on and positions to move, so that every patient is moved once."""
    at = np.flatnonzero(known)
    rarest = int(np.bincount(labels[at].astype(int), minlength=2).min())
    kind = StratifiedKFold if rarest >= PARTS else KFold
    drawn = kind(PARTS, shuffle=True, random_state=seed).split(at, labels[at])
    return [(at[fit], at[move]) for fit, move in drawn] + [(at, np.flatnonzero(~known))]


def cross_fitted(given: Floats, yes: Bools, known: Bools, how: str, seed: int) -> Floats:
    """Log odds, moved part by part; as they are where a part has one class or separates the classes."""
    moved = given.copy()
    for fit, move in parts_of(known, yes, seed):
        if how == "intercept":
            found = fit_logistic(np.ones((len(fit), 1)), yes[fit], offset=given[fit])
            change = (found.beta[0], 1.0)
        else:
            found = fit_logistic(np.column_stack([np.ones(len(fit)), given[fit]]), yes[fit], start=np.array([0.0, 1.0]))
            change = (found.beta[0], found.beta[1])
        if found.converged:
            moved[move] = change[0] + change[1] * given[move]
    return moved


def ratios(prediction: SurvivalPrediction, truth: TargetValues, seed: int) -> Floats:
    """Observed over expected events by which each patient's cumulative hazard is multiplied."""
    time, event = np.asarray(truth.fields["time"], dtype=np.float64), truth.fields["event"].astype(bool)
    step = np.searchsorted(prediction.times, time, side="right")
    curves = np.concatenate([np.ones((len(time), 1)), prediction.curves], axis=1)
    expected = -np.log(np.clip(curves[np.arange(len(time)), step], SMALLEST, 1.0))
    found = np.ones(len(time))
    for fit, move in parts_of(truth.known, event, seed):
        if event[fit].any() and expected[fit].sum() > 0:
            found[move] = event[fit].sum() / expected[fit].sum()
    return found
