"""Ridge regressions: a linear answer to each kind of target, averaged over penalties by held-out likelihood."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold

from fusiondx.core.targets import TargetValues
from fusiondx.data.splits import quietly
from fusiondx.survival.regression import fit_cox, log_likelihood

Floats = npt.NDArray[np.floating[Any]]
Rows = npt.NDArray[np.integer[Any]]

PENALTIES = tuple(10.0**power for power in (-1, 0, 1, 1.5, 2, 2.5, 3, 4))
"""Ridge penalties tried."""
USUAL = 100.0
"""The one for patients too few to try any."""
LEAST = 0.02
"""Share below which a penalty is left out."""
FOLDS = 5
RARE = 0.5
"""Patients that a class without any is taken to have."""


@dataclass(frozen=True, eq=False)
class Linear:
    """Answers that are weighted sums of columns."""

    weights: Floats
    """Shape ``(columns, outputs)``."""
    bias: Floats
    """Shape ``(outputs,)``."""
    shares: Floats
    """What each of `PENALTIES` counts for, ``(penalties,)``; they add up to 1."""

    @property
    def size(self) -> int:
        return self.weights.size + self.bias.size

    def __call__(self, columns: Floats) -> Floats:
        """Answers, ``(rows, outputs)``."""
        return np.asarray(columns @ self.weights + self.bias)


def fit_linear(columns: Floats, truth: TargetValues, shares: Floats | None = None) -> Linear:
    """The regression that fits the kind of target, on patients whose truth is known.

    Outputs are what the default head of the target takes: centred log probabilities of classes, logits of labels, log
    hazards (of each cause), a standardised number. It is the mean of the regressions under all `PENALTIES`, weighed by
    `shares`; left out, by their likelihood on held-out folds (for survival: Verweij & van Houwelingen 1993), as models
    are averaged (Hoeting et al. 1999). On a few hundred patients many penalties are about as likely, and the likeliest
    alone owes much to chance.
    """
    known = truth[truth.known]
    mine = columns[truth.known]
    regression = REGRESSIONS[truth.spec.kind]
    found = likely(regression, mine, known) if shares is None else shares
    used = np.flatnonzero(found)
    fits = [regression.fit(mine, known, PENALTIES[n]) for n in used]
    weights, bias = (sum(found[n] * fit[part] for n, fit in zip(used, fits, strict=True)) for part in (0, 1))
    return Linear(np.asarray(weights), np.asarray(bias), found)


@dataclass(frozen=True)
class Regression:
    """One kind of regression."""

    fit: Callable[[Floats, TargetValues, float], tuple[Floats, Floats]]
    """Weights and bias."""
    fitness: Callable[[Floats, TargetValues, Rows], float]
    """Log likelihood of the truth of some rows, not those fitted on, given everybody's answers."""


def likely(regression: Regression, columns: Floats, truth: TargetValues) -> Floats:
    """How likely each penalty is, by the held-out likelihood over inner folds; hardly likely ones get nothing."""
    strata = truth.strata
    folds = min(FOLDS, int(np.bincount(strata - strata.min()).max()), len(strata))
    if folds < 2:
        return np.asarray([float(penalty == USUAL) for penalty in PENALTIES])
    splits = quietly(StratifiedKFold(folds, shuffle=True, random_state=0), strata)
    worth = np.array([sum(held_out(regression, columns, truth, p, split) for split in splits) for p in PENALTIES])
    odds = np.exp(worth - worth.max())
    odds[odds < LEAST * odds.sum()] = 0.0
    return np.asarray(odds / odds.sum())


def held_out(
    regression: Regression, columns: Floats, truth: TargetValues, penalty: float, split: Sequence[Rows]
) -> float:
    """The log likelihood of a fold's patients under the regression of the others."""
    train, test = split
    weights, bias = regression.fit(columns[train], truth[train], penalty)
    return regression.fitness(columns @ weights + bias, truth, test)


def logistic(columns: Floats, truth: TargetValues, penalty: float) -> tuple[Floats, Floats]:
    """Multinomial logistic regression; a class without patients keeps a small probability."""
    label = truth.fields["label"].astype(int)
    members = np.bincount(label, minlength=len(truth.classes))
    present = np.flatnonzero(members)
    weights, bias = np.zeros((columns.shape[1], len(members))), np.log(np.maximum(members, RARE))
    if len(present) > 1:
        model = LogisticRegression(C=1 / penalty, max_iter=1000).fit(columns, label)
        two = len(present) == 2
        weights[:, present] = (np.concatenate([-model.coef_, model.coef_]) / 2 if two else model.coef_).T
        level = np.array([-0.5, 0.5]) * model.intercept_ if two else model.intercept_
        bias[present] = level + (bias[present] - level).mean()
    return weights, bias - bias.mean()


def class_fitness(answers: Floats, truth: TargetValues, rows: Rows) -> float:
    label = truth.fields["label"][rows].astype(int)
    odds = np.exp(answers[rows] - answers[rows].max(axis=1, keepdims=True))
    probability = odds / odds.sum(axis=1, keepdims=True)
    return -float(log_loss(label, probability, labels=np.arange(answers.shape[1]), normalize=False))


def logistic_per_label(columns: Floats, truth: TargetValues, penalty: float) -> tuple[Floats, Floats]:
    """A regression for each label; its frequency where it tells nobody apart."""
    each = [logistic(columns[t.known], t[t.known], penalty) for t in map(truth.of_label, truth.classes)]
    return (
        np.stack([weights[:, 1] - weights[:, 0] for weights, _ in each], axis=1),
        np.array([bias[1] - bias[0] for _, bias in each]),
    )


def label_fitness(answers: Floats, truth: TargetValues, rows: Rows) -> float:
    told, yes = truth.fields["told"][rows].astype(bool), truth.fields["label"][rows] == 1
    return -float(np.logaddexp(0, np.where(yes, -1, 1) * answers[rows])[told].sum())


def cox(columns: Floats, truth: TargetValues, penalty: float) -> tuple[Floats, Floats]:
    """Cox regression, within strata; for each of several causes one, to which the others are censoring."""
    time, strata = truth.fields["time"], truth.fields.get("stratum")
    beta = [
        fit_cox(columns, time, event, penalty, strata=strata) if event.any() else np.zeros(columns.shape[1])
        for event in events(truth)
    ]
    weights = np.stack(beta, axis=1)
    return weights, -(columns @ weights).mean(axis=0)


def hazard_fitness(answers: Floats, truth: TargetValues, rows: Rows) -> float:
    """The partial likelihood of all less that of those fitted on: what the held-out ones add."""
    time, rest = truth.fields["time"], np.setdiff1d(np.arange(len(truth)), rows)
    strata = truth.fields.get("stratum", np.zeros(len(truth)))
    return sum(
        log_likelihood(answer, time, event, strata)
        - log_likelihood(answer[rest], time[rest], event[rest], strata[rest])
        for answer, event in zip(answers.T, events(truth), strict=True)
    )


def events(truth: TargetValues) -> list[npt.NDArray[np.bool_]]:
    """Who had the event; for competing causes a list of them."""
    causes = len(truth.classes) if truth.spec.kind == "competing" else 1
    return [truth.fields["event"] == k + 1 for k in range(causes)]


def ridge(columns: Floats, truth: TargetValues, penalty: float) -> tuple[Floats, Floats]:
    """Ridge regression of the standardised number."""
    value = truth.fields["value"].astype(np.float64)
    model = Ridge(alpha=penalty).fit(columns, value)
    mean, spread = value.mean(), value.std() or 1.0
    return np.asarray(model.coef_)[:, None] / spread, np.array([(float(model.intercept_) - mean) / spread])


def number_fitness(answers: Floats, truth: TargetValues, rows: Rows) -> float:
    value = truth.fields["value"].astype(np.float64)
    standard = (value - value.mean()) / (value.std() or 1.0)
    return -float(np.square(answers[rows, 0] - standard[rows]).sum())


HAZARDS = Regression(cox, hazard_fitness)
REGRESSIONS = {
    "classes": Regression(logistic, class_fitness),
    "labels": Regression(logistic_per_label, label_fitness),
    "survival": HAZARDS,
    "competing": HAZARDS,
    "number": Regression(ridge, number_fitness),
}
