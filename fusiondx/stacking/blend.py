"""Blend: how much each member counts, learnt from what members said of patients they had not seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import minimize

from fusiondx.core.components import Head
from fusiondx.core.targets import TargetValues
from fusiondx.data.batches import truth as as_truth
from fusiondx.data.outcomes import idle_labels

Floats = npt.NDArray[np.floating[Any]]

TRUST = 300.0
"""Precision of the weights expected beforehand: they are left by some 0.1 where hundreds of answers say so."""
MODEST = 0.5
"""Share of the median reach of answers below which a member counts less."""
LEVELLED = ("classes", "labels", "number")
"""Kinds of target whose answers have a level; log hazards have none."""


@dataclass(frozen=True, eq=False)
class Blend:
    """A weighted sum of members' answers."""

    weights: Mapping[str, float]
    """By member, zero or more."""
    bias: Floats
    """Shape ``(outputs,)``."""

    @property
    def speaks(self) -> bool:
        """Whether any member counts."""
        return any(self.weights.values())

    def __call__(self, answers: Mapping[str, Floats]) -> Floats:
        """The blended answers, ``(patients, outputs)``; a member that says nothing of a patient adds nothing."""
        parts = [weight * np.nan_to_num(answers[name]) for name, weight in self.weights.items() if weight]
        return np.asarray(sum(parts, np.zeros_like(next(iter(answers.values())))) + self.bias)


def fit_blend(
    answers: Mapping[str, Floats], truth: TargetValues, head: Head, expected: Mapping[str, float] | None = None
) -> Blend:
    """Non-negative weights under which `answers`, of shape ``(patients, outputs)`` each, fit the truth.

    A member that tells nothing or the contrary counts for nothing, unless all do and the weights `expected`, which more
    patients have told, say otherwise of some. The others are brought to equal spread, and together to the scale at
    which their mean fits best; one that says little compared with the others (`MODEST`) counts less in that mean, for a
    regression that has found nothing shrinks its answers. Weights then start from what is `expected`, left out: that
    mean; and leave it as far as the loss of the head says and `TRUST` allows. The weights that fit a few hundred
    patients best owe much to who these are: without that trust they do worse than the plain mean.
    """
    given = {name: np.nan_to_num(values) for name, values in answers.items()}
    telling = [name for name, values in given.items() if alone(values, truth, head) > 0]
    useful = telling or [name for name in given if (expected or {}).get(name)]
    if not useful:
        silence = np.zeros((1, *next(iter(given.values())).shape))
        return Blend(dict.fromkeys(given, 0.0), weighed(silence, truth, head, np.zeros(1), TRUST)[1])
    spread = np.array([reach(given[name]) for name in useful])
    equal = np.stack([given[name] for name in useful]) / spread[:, None, None]
    heard = np.minimum(spread / np.median(spread) / MODEST, 1.0)
    shares = heard / heard.sum()
    together = alone(np.tensordot(shares, equal, axes=1), truth, head) or 1.0  # no scale where only others expect it
    scale = together / spread
    start = dict(zip(useful, scale * shares, strict=True)) if expected is None else expected
    prior = np.array([start.get(name, 0.0) for name in useful]) / scale
    weights, bias = weighed(equal * together, truth, head, prior, TRUST)
    return Blend(dict(zip(useful, (weights * scale).tolist(), strict=True)), bias)


def alone(answers: Floats, truth: TargetValues, head: Head) -> float:
    """The factor that brings answers to scale; zero where they tell nothing, or the contrary."""
    size = reach(answers)
    return float(weighed(answers[None] / size, truth, head, np.zeros(1), 1.0)[0][0]) / size


def reach(answers: Floats) -> float:
    """How far answers go, as a root mean square; 1 where they are all zero."""
    return float(np.sqrt(np.square(answers).mean())) or 1.0


def weighed(answers: Floats, truth: TargetValues, head: Head, prior: Floats, trust: float) -> tuple[Floats, Floats]:
    """Weights, ``(members,)``, and bias, that make the loss and the squared distance to `prior` small."""
    members, _, outputs = answers.shape
    told, given = as_truth(truth), torch.from_numpy(answers)
    level = outputs if truth.spec.kind in LEVELLED else 0
    price = trust / max(1, rests_on(truth)) / 2

    def loss(settings: Floats) -> tuple[float, Floats]:
        free = torch.tensor(settings, requires_grad=True)
        weights = free[:members]
        blended = torch.tensordot(weights, given, dims=1) + (free[members:] if level else 0.0)
        total = head.loss(blended, told) + price * (weights - torch.from_numpy(prior)).square().sum()
        (slope,) = torch.autograd.grad(total, free)
        return total.item(), slope.numpy()

    start = np.concatenate([prior, np.zeros(level)])
    limits = [(0.0, None)] * members + [(None, None)] * level
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=limits).x
    return found[:members], found[members:] if level else np.zeros(outputs)


def teaches(truth: TargetValues) -> bool:
    """Whether there is anything to learn: an event, or answers that differ."""
    fields = truth[truth.known].fields
    if "event" in fields:
        return rests_on(truth) > 0
    if "told" in fields:
        return len(idle_labels(truth)) < len(truth.classes)
    return len(np.unique(fields["value" if truth.spec.kind == "number" else "label"])) > 1


def rests_on(truth: TargetValues) -> int:
    """Patients whose answer is known; of a prognosis, those who had an event."""
    known = truth.known
    return int((truth.fields["event"][known] > 0).sum() if "event" in truth.fields else known.sum())
