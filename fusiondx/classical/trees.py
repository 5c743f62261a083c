"""Boosted trees: gradient boosting of scikit-learn's trees, for every kind of target, as plain arrays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit
from sklearn.tree import DecisionTreeRegressor

from fusiondx.core.targets import TargetValues
from fusiondx.survival.estimators import nelson_aalen

Floats = npt.NDArray[np.floating[Any]]
Family = Callable[[Floats], Floats]
"""The mean of an outcome, and of its curvature, from the answer."""

ROUNDS = 100
RATE = 0.05
DEPTH = 3
LEAF = 10
SHARE = 0.5
"""Of patients and of columns that each tree sees."""
LEAP = 4.0
"""No leaf moves an answer further than this."""


@dataclass(frozen=True, eq=False)
class Forest:
    """Trees one after the other, each a run of nodes; a leaf points to itself."""

    column: npt.NDArray[np.int64]
    threshold: Floats
    left: npt.NDArray[np.int64]
    right: npt.NDArray[np.int64]
    value: Floats
    roots: npt.NDArray[np.int64]
    start: float
    """The answer before any tree."""
    depth: int

    def __call__(self, columns: Floats) -> Floats:
        """The answer to each row, ``(rows,)``."""
        node = np.tile(self.roots, (len(columns), 1))
        row = np.arange(len(columns))[:, None]
        for _ in range(self.depth):
            low = columns[row, self.column[node]] <= self.threshold[node]
            node = np.where(low, self.left[node], self.right[node])
        return np.asarray(self.start + self.value[node].sum(axis=1))


@dataclass(frozen=True, eq=False)
class Trees:
    """A forest for each output."""

    forests: tuple[Forest, ...]
    paired: bool
    """Whether the one forest is of the second of two classes."""

    @property
    def size(self) -> int:
        return sum(int((forest.value != 0).sum()) for forest in self.forests)

    def __call__(self, columns: Floats) -> Floats:
        """Answers, ``(rows, outputs)``, as `Linear` gives them."""
        columns = np.asarray(columns, dtype=np.float32).astype(np.float64)
        found = np.stack([forest(columns) for forest in self.forests], axis=1)
        return np.concatenate([-found / 2, found / 2], axis=1) if self.paired else found


@dataclass(frozen=True, eq=False)
class Outcome:
    """One thing to learn: `observed`, of mean ``exposure * family(answer)``."""

    observed: Floats
    exposure: Floats
    family: str
    known: npt.NDArray[np.bool_]


def fit_trees(columns: Floats, truth: TargetValues, seed: int = 0) -> Trees:
    """Boosted trees for the kind of target, on patients whose truth is known.

    Outputs are those of `fit_linear`; each is learnt on its own.
    """
    outcomes, paired = outcomes_of(truth[truth.known])
    columns = np.asarray(columns[truth.known], dtype=np.float32)
    return Trees(tuple(boost(columns[o.known], o, seed) for o in outcomes), paired)


def outcomes_of(truth: TargetValues) -> tuple[list[Outcome], bool]:
    """What has to be learnt to answer a target, and whether it is the odds of the second of two classes."""
    everyone, one = np.ones(len(truth), dtype=bool), np.ones(len(truth))
    kind, fields = truth.spec.kind, truth.fields
    if kind == "number":
        value = fields["value"].astype(np.float64)
        return [Outcome((value - value.mean()) / (value.std() or 1.0), one, "number", everyone)], False
    if kind == "classes":
        paired = len(truth.classes) == 2
        chosen = (1,) if paired else range(len(truth.classes))
        return [Outcome((fields["label"] == k).astype(float), one, "odds", everyone) for k in chosen], paired
    if kind == "labels":
        told = fields["told"].astype(bool)
        return [Outcome(y.astype(float), one, "odds", t) for y, t in zip(fields["label"].T, told.T, strict=True)], False
    # a hazard ratio multiplies a patient's cumulative baseline hazard, so events are Poisson (LeBlanc & Crowley 1992)
    events = [fields["event"] == k + 1 for k in range(max(len(truth.classes), 1) if kind == "competing" else 1)]
    strata = fields.get("stratum", np.zeros(len(truth)))
    return [Outcome(e.astype(float), exposure(fields["time"], e, strata), "hazard", everyone) for e in events], False


def exposure(time: Floats, event: npt.NDArray[np.bool_], strata: npt.NDArray[Any]) -> Floats:
    """The Nelson-Aalen cumulative hazard, of their stratum, that each patient was exposed to; never zero."""
    hazard = np.zeros(len(time))
    for mine in (strata == s for s in np.unique(strata)):
        hazard[mine] = nelson_aalen(time[mine], event[mine]).at(time[mine])
    return np.maximum(hazard, 0.5 / len(time))


FAMILIES: dict[str, tuple[Callable[[Floats], Floats], Callable[[Floats], Floats]]] = {
    "odds": (expit, lambda mean: mean * (1 - mean)),
    "hazard": (lambda answer: np.exp(np.clip(answer, -20, 20)), lambda mean: mean),
    "number": (lambda answer: answer, np.ones_like),
}
"""The mean of an outcome by its answer, and the curvature of the loss by its mean."""


def boost(columns: Floats, outcome: Outcome, seed: int) -> Forest:
    """Gradient boosting (Friedman 2001), each tree a Newton step on half of the patients (Friedman 2002).

    Without patients, as of a label that is blank for all, a constant.
    """
    random = np.random.RandomState(seed)
    mean_of, curvature_of = FAMILIES[outcome.family]
    observed, exposure = outcome.observed[outcome.known], outcome.exposure[outcome.known]
    start = constant(observed, exposure, outcome.family)
    if not len(observed):
        none, nodes = np.zeros(0), np.zeros(0, dtype=np.int64)
        return Forest(nodes, none, nodes, nodes, none, nodes, start, DEPTH)
    answer = np.full(len(columns), start)
    trees = []
    for _ in range(ROUNDS):
        mean = mean_of(answer)
        curvature = np.maximum(exposure * curvature_of(mean), 1e-6)
        step = np.clip((observed - exposure * mean) / curvature, -LEAP, LEAP)
        some = random.permutation(len(columns))[: max(2, round(SHARE * len(columns)))]
        tree = DecisionTreeRegressor(
            max_depth=DEPTH, min_samples_leaf=min(LEAF, max(1, len(some) // 4)), max_features=SHARE, random_state=random
        )
        tree.fit(columns[some], step[some], sample_weight=curvature[some])
        answer += RATE * tree.predict(columns)
        trees.append(tree.tree_)
    return planted(trees, start)


def constant(observed: Floats, exposure: Floats, family: str) -> float:
    """The answer that fits everybody's mean."""
    if family == "number":
        return float(observed.mean())
    total, events = exposure.sum(), observed.sum()
    if family == "hazard":
        return float(np.log(max(events, 0.5) / total))
    return float(np.log((events + 0.5) / (total - events + 0.5)))


def planted(trees: list[Any], start: float) -> Forest:
    """scikit-learn's trees as one run of nodes."""
    sizes = [tree.node_count for tree in trees]
    roots = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
    own = np.arange(sum(sizes))
    shift = np.repeat(roots, sizes)
    leaf = np.concatenate([tree.children_left < 0 for tree in trees])
    left, right = (
        np.where(leaf, own, np.concatenate([getattr(tree, side) for tree in trees]) + shift)
        for side in ("children_left", "children_right")
    )
    column = np.where(leaf, 0, np.concatenate([tree.feature for tree in trees]))
    value = np.concatenate([tree.value[:, 0, 0] for tree in trees]) * RATE
    threshold = np.concatenate([tree.threshold for tree in trees])
    return Forest(column, threshold, left, right, np.where(leaf, value, 0.0), roots, start, DEPTH)
