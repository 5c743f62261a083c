"""Sample size: how many patients it takes to show what fusion adds, found by simulation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import binomtest
from sklearn.base import BaseEstimator, clone
from sklearn.linear_model import LogisticRegression

from fusiondx.admission import prepare
from fusiondx.classical.view import design as columns
from fusiondx.core.predictions import ClassPrediction, Prediction, SurvivalPrediction
from fusiondx.core.targets import TargetValues
from fusiondx.data.cohort import Cohort
from fusiondx.data.design import Design
from fusiondx.data.preprocess import TablePreparation
from fusiondx.data.substitution import shuffled
from fusiondx.data.tables import TableData
from fusiondx.errors import ConfigError, DataError
from fusiondx.evaluation.estimate import Estimate
from fusiondx.evaluation.metrics import primary_metric
from fusiondx.evaluation.score import Part, contrasts
from fusiondx.survival.regression import fit_cox

Floats = npt.NDArray[np.float64]
GAIN = "fusion beats the best single modality"


@dataclass(frozen=True)
class Shown:
    """In how many simulated studies of some size something was shown."""

    patients: int
    question: str
    times: int
    simulations: int

    @property
    def probability(self) -> tuple[float, float, float]:
        """The share of studies, with Wilson's 95 % interval (1927): it speaks of the number of simulations."""
        span = binomtest(self.times, self.simulations).proportion_ci(method="wilson")
        return self.times / self.simulations, float(span.low), float(span.high)


@dataclass(frozen=True)
class Power:
    """With what probability a study of each size shows what there is to show.

    >>> design = fdx.Design({"omics": fdx.Planted(uniqueness=2.0), "mri": fdx.Planted()})
    >>> fdx.power(design, 40, folds=2, simulations=1, replicates=20).frame().columns.tolist()
    ['patients', 'question', 'power', 'low', 'high', 'simulations']
    """

    shown: tuple[Shown, ...]

    def frame(self) -> pd.DataFrame:
        """One row per number of patients and question: `power` with its 95 % Monte-Carlo interval."""
        rows = [(s.patients, s.question, *s.probability, s.simulations) for s in self.shown]
        return pd.DataFrame(rows, columns=["patients", "question", "power", "low", "high", "simulations"])

    def __str__(self) -> str:
        return self.frame().to_string(index=False, float_format="{:.2f}".format)


def power(
    design: Design,
    patients: int | Sequence[int],
    *,
    model: Any = None,
    folds: int = 5,
    simulations: int = 100,
    replicates: int = 400,
    seed: int = 0,
) -> Power:
    """Simulate studies of a design and count in how many of them the gain, and each modality's use, is shown.

    A study draws `patients` and cross-validates `model` (left out: `SideBySide`, which takes a fraction of a second),
    with all modalities and with each alone, where patients who lack it get its answer to nothing; folds mix sites. The
    gain is shown where the paired 95 % interval of the difference to the best single modality lies above zero; a
    modality is used where that of permuting it lies above zero, as in `modality_audit`. A study in which a fold cannot
    be learnt from shows nothing.

    Raises `ConfigError` for fewer than two modalities, no simulations, or fewer patients than folds.

    >>> design = fdx.Design({"omics": fdx.Planted(uniqueness=2.0), "mri": fdx.Planted(uniqueness=2.0)})
    >>> found = fdx.power(design, patients=[40, 60], folds=2, simulations=1, replicates=20)
    >>> found.frame()[["patients", "question"]].head(3)
       patients                               question
    0        40  fusion beats the best single modality
    1        40                          omics is used
    2        40                            mri is used
    """
    sizes = [patients] if isinstance(patients, int | np.integer) else list(patients)
    if len(design.modalities) < 2 or simulations < 1 or not sizes or min(sizes) < 2 * folds:
        raise ConfigError(
            "power needs a design of two modalities or more, one simulation or more, and two patients or more per fold."
        )
    fitted = model if model is not None else SideBySide(products=bool(design.synergy))
    seeds = np.random.SeedSequence(seed).generate_state(simulations)
    found = []
    for size in sizes:
        studies = [study(design.draw(size, int(s)), fitted, folds, replicates, int(s)) for s in seeds]
        questions = [GAIN, *(f"{name} is used" for name in design.modalities)]
        found += [Shown(size, q, sum(q in done for done in studies), simulations) for q in questions]
    return Power(tuple(found))


def study(cohort: Cohort, model: Any, folds: int, replicates: int, seed: int) -> set[str]:
    """The questions that one simulated study answers with yes."""
    try:
        rivals = cross_fitted(cohort, model, folds, seed)
    except DataError:
        return set()
    names = list(cohort.modalities)
    metric = primary_metric(next(iter(cohort.targets.values())))
    gaps = np.concatenate([np.ones((2 * len(names), 1)), -np.eye(2 * len(names))], axis=1)
    levels = contrasts(rivals, np.eye(len(rivals)), metric, replicates=1, seed=seed)[1 : 1 + len(names)]
    best = np.argmax([level.value if isinstance(level, Estimate) else -np.inf for level in levels])
    asked = {GAIN: gaps[best], **{f"{name} is used": row for name, row in zip(names, gaps[len(names) :], strict=True)}}
    found = contrasts(rivals, np.stack(list(asked.values())), metric, replicates=replicates, seed=seed)
    return {q for q, gap in zip(asked, found, strict=True) if isinstance(gap, Estimate) and gap.low > 0}


def cross_fitted(cohort: Cohort, model: Any, folds: int, seed: int) -> list[list[Part]]:
    """Held-out predictions, fold by fold: of the fusion, of each modality alone, of the fusion with each permuted."""
    each = [
        list(rivals(cohort[train], cohort[test], model, seed))
        for train, test in cohort.folds(folds, group=None, seed=seed)
    ]
    return [list(parts) for parts in zip(*each, strict=True)]


def rivals(train: Cohort, test: Cohort, model: Any, seed: int) -> Iterator[Part]:
    """The same of one fold."""
    target, truth = next(iter(test.targets.items()))
    fused = clone(model).fit(train)
    yield fused.predict(test)[target], truth
    for name in train.modalities:
        yield clone(model).fit(train.select([name])).predict(test.select([name]))[target], truth
    for name in train.modalities:
        yield fused.predict(shuffled(test, name, seed))[target], truth


class SideBySide(BaseEstimator):
    """All tables side by side in one ridge regression, logistic or Cox: quick to fit, for `power`.

    What is missing is zero, the mean, and said so in a column. With `products` also the products of the columns of
    every two modalities, so that an interaction of two can be learnt.

    Parameters
    ----------
    products:
        Whether columns are multiplied.
    penalty:
        Of the ridge, on standardised columns.
    """

    def __init__(self, products: bool = False, penalty: float = 10.0) -> None:
        self.products = products
        self.penalty = penalty

    def fit(self, cohort: Cohort, y: Any = None) -> Self:
        """Fit the regression on the first target. Raises `DataError` where it cannot be learnt."""
        self.preparations_ = prepare(cohort)
        self.target_, truth = next(iter(cohort.targets.items()))
        inputs, known = self._inputs(cohort)[truth.known], truth[truth.known]
        self.classes_ = truth.classes
        self.beta_ = (logistic if truth.classes else cox)(inputs, known, self.penalty)
        return self

    def predict(self, cohort: Cohort) -> dict[str, Prediction]:
        """A prediction for every patient."""
        score = self._inputs(cohort) @ self.beta_
        if not self.classes_:
            return {self.target_: SurvivalPrediction(cohort.ids, score, np.zeros(0), np.zeros((len(cohort), 0)))}
        yes = 1 / (1 + np.exp(-score))
        return {self.target_: ClassPrediction(cohort.ids, self.classes_, np.stack([1 - yes, yes], axis=1))}

    def _inputs(self, cohort: Cohort) -> Floats:
        parts = [
            placed(cohort, name, preparation)
            for name, preparation in self.preparations_.items()
            if isinstance(preparation, TablePreparation)
        ]
        pairs = combinations(parts, 2) if self.products else ()
        products = [(a[:, :-1, None] * b[:, None, :-1]).reshape(len(cohort), -1) for a, b in pairs]
        return np.concatenate([*parts, *products], axis=1)


def placed(cohort: Cohort, name: str, preparation: TablePreparation) -> Floats:
    """One table's standardised columns, patient by patient, zero where it is missing; the last says that it is."""
    modality = cohort.modalities[name]
    assert isinstance(modality.data, TableData)
    who, rows = modality.locate(np.arange(len(cohort)))
    inputs = columns(preparation, modality.data, rows)
    found = np.zeros((len(cohort), inputs.shape[1] + 1))
    found[who, :-1] = inputs
    found[:, -1] = ~modality.present
    return found


def logistic(inputs: Floats, truth: TargetValues, penalty: float) -> Floats:
    """Coefficients of a logistic regression; no intercept, which no rank depends on."""
    label = truth.fields["label"]
    if len(np.unique(label)) < 2:
        raise DataError("Fewer than two classes among the training patients.")
    return np.asarray(LogisticRegression(C=1 / penalty, max_iter=500).fit(inputs, label).coef_[0], dtype=np.float64)


def cox(inputs: Floats, truth: TargetValues, penalty: float) -> Floats:
    """Coefficients of a Cox regression."""
    if not truth.fields["event"].any():
        raise DataError("No events among the training patients.")
    return np.asarray(fit_cox(inputs, truth.fields["time"], truth.fields["event"], penalty), dtype=np.float64)
