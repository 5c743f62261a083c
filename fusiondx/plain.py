"""Heads without a network: answers that something else worked out, and what they stand for."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from fusiondx.core.components import Head, HeadSpec, Settled, Stratified
from fusiondx.core.predictions import (
    ClassPrediction,
    CompetingPrediction,
    LabelsPrediction,
    NumberPrediction,
    Prediction,
    SurvivalPrediction,
)
from fusiondx.core.targets import Array, TargetValues
from fusiondx.data.cohort import Cohort
from fusiondx.heads.causes import CauseSpecific
from fusiondx.heads.cox import Cox
from fusiondx.heads.diagnosis import Diagnosis
from fusiondx.heads.multilabel import MultiLabel
from fusiondx.heads.regression import Regression

Floats = npt.NDArray[np.floating[Any]]

PLAIN: dict[str, HeadSpec] = {
    "classes": Diagnosis(),
    "labels": MultiLabel(),
    "survival": Cox(),
    "competing": CauseSpecific(),
    "number": Regression(),
}
"""Heads whose answers can be added up: log probabilities, logits, log hazards, a standardised number."""
LEAST = 1e-7
"""No probability is taken to be nearer to 0 or 1 than this."""


def plain_head(target: TargetValues) -> Head:
    """The head that turns answers to this target into predictions; nothing in it is drawn at random or trained."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # of layers that are never used, but saved
        return PLAIN[target.spec.kind].build(target, 1).eval()


def settled_head(target: TargetValues, answers: Array) -> Head:
    """The same, fitted on the answers to training patients and their truth."""
    head = plain_head(target)
    if isinstance(head, Settled):
        head.settle(answers, target)
    return head


def said_by(head: Head, answers: Array, cohort: Cohort) -> Prediction:
    """The prediction that answers about these patients stand for."""
    if isinstance(head, Stratified) and head.stratum_column is not None:
        return head.predict_within(answers, cohort.ids, cohort.categories(head.stratum_column))
    return head.predict(answers, cohort.ids)


def answers_of(prediction: Prediction, head: Head) -> Floats:
    """The answers, as `head` takes them, that anybody's prediction stands for; shape ``(patients, outputs)``.

    NaN where it says nothing: curves without times, of a model that saw no event.
    """
    if isinstance(prediction, ClassPrediction):
        logs = np.log(np.clip(prediction.probability, LEAST, 1))
        return np.asarray(logs - logs.mean(axis=1, keepdims=True))
    if isinstance(prediction, LabelsPrediction):
        yes = np.clip(prediction.probability, LEAST, 1 - LEAST)
        return np.asarray(np.log(yes) - np.log1p(-yes))
    if isinstance(prediction, SurvivalPrediction):
        return np.asarray(prediction.risk[:, None])
    if isinstance(prediction, CompetingPrediction):
        if not len(prediction.times):
            return np.full(prediction.incidence.shape[:2], np.nan)
        final = np.clip(prediction.incidence[:, :, -1], LEAST, 1 - LEAST)
        return np.asarray(np.log(-np.log1p(-final)))
    assert isinstance(prediction, NumberPrediction)
    assert isinstance(head.centre, torch.Tensor)
    assert isinstance(head.scale, torch.Tensor)
    return np.asarray((prediction.value[:, None] - head.centre.item()) / head.scale.item())


def outputs_of(target: TargetValues) -> int:
    """How many answers a patient gets."""
    return len(target.classes) if target.spec.kind in ("classes", "labels", "competing") else 1
