"""Tuning: a model whose settings are chosen by cross-validation among its own training patients."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from fusiondx.answering import Answering, no_values
from fusiondx.core.predictions import Prediction
from fusiondx.data.cohort import Cohort
from fusiondx.errors import DataError
from fusiondx.evaluation.score import score_one
from fusiondx.experiment.file import Model, at
from fusiondx.experiment.sweep import Grid, Optuna, Point, Sweep
from fusiondx.parallel import each

Parts = Sequence[tuple[Cohort, Cohort]]


class Tuned(Answering):
    """A `FusionModel` with the settings that do best inside its training patients. Interface as `FusionModel`'s.

    Parameters
    ----------
    model:
        Settings to start from.
    sweep:
        What to try.
    group:
        "site" or a column whose groups stay together in the inner folds.
    jobs:
        Fits that run at a time.

    After `fit`: `model_` (the `FusionModel`), `point_` (the values chosen), `trials_` (one row per trial: ``trial``,
    ``state``, ``value``, ``seconds``, ``chosen``, ``reason`` and the values tried).
    """

    def __init__(self, model: Model, sweep: Sweep, group: str | None = None, jobs: int = 1) -> None:
        self.model = model
        self.sweep = sweep
        self.group = group
        self.jobs = jobs

    def fit(self, cohort: Cohort, y: Any = None) -> Self:
        """Try, choose, and train on everybody. Raises `DataError` where no trial could be judged."""
        target = self.sweep.target or next(iter(cohort.targets))
        parts = inner_parts(self.sweep, cohort, self.group)
        search = grid if isinstance(self.sweep.method, Grid) else optuna
        trials, points = search(self, parts, target)
        values = trials["value"].fillna(-np.inf)
        if not np.isfinite(values).any():
            raise DataError(f"None of {len(trials)} trials of the sweep could be judged: {trials['reason'].iloc[0]}")
        chosen = int(values.argmax())
        self.trials_ = trials.assign(chosen=np.arange(len(trials)) == chosen)
        self.point_ = points[chosen]
        self.model_ = at(self.model, self.point_).build().fit(cohort)
        self.targets_ = {name: no_values(values.spec, values.classes) for name, values in cohort.targets.items()}
        self.history_ = getattr(self.model_, "history_", None)
        return self

    def predict(self, cohort: Cohort) -> dict[str, Prediction]:
        """As `FusionModel.predict`."""
        self._asked()
        return self.model_.predict(cohort)

    @property
    def parameters_(self) -> int:
        """Trainable parameters of the model chosen."""
        return self.model_.parameters_

    def save(self, folder: str | Path, overwrite: bool = False) -> Path:
        """Write the model chosen, as `FusionModel.save`; read it back with `FusionModel.load`."""
        return self.model_.save(folder, overwrite)


def inner_parts(sweep: Sweep, cohort: Cohort, group: str | None) -> Parts:
    """The inner folds of training patients. Raises `DataError` where there are too few patients or groups for them."""
    target = sweep.target or next(iter(cohort.targets))
    drawn = cohort.folds(sweep.folds, group=group, stratify=target, seed=sweep.seed)
    return [(cohort[train], cohort[test]) for train, test in drawn]


def worth(model: Model, train: Cohort, test: Cohort, target: str) -> tuple[float, str, float]:
    """What settings achieve on one inner fold (NaN with the reason where undefined), and the seconds it took."""
    started = time.perf_counter()
    try:
        said = model.build().fit(train).predict(test)[target]
        value, reason = score_one(said, test.targets[target]), ""
    except DataError as error:
        value, reason = np.nan, str(error)
    return value, reason, time.perf_counter() - started


def row(number: int, point: Point, found: Sequence[tuple[float, str, float]], state: str) -> dict[str, Any]:
    """A trial as a row of a table."""
    values = [value for value, _, _ in found if np.isfinite(value)]
    reason = next((reason for _, reason, _ in found if reason), "")
    mean = float(np.mean(values)) if values else np.nan
    told = {"trial": number, "state": state if values else "failed", "value": mean, "reason": reason}
    return told | {"seconds": sum(seconds for *_, seconds in found)} | {path: str(v) for path, v in point.items()}


def grid(tuned: Tuned, parts: Parts, target: str) -> tuple[pd.DataFrame, list[Point]]:
    """Every combination on every inner fold, all at once."""
    points = tuned.sweep.grid()
    tasks = [(at(tuned.model, point), *part, target) for point in points for part in parts]
    found = each(worth, tasks, tuned.jobs)
    rows = [row(n, point, [next(found) for _ in parts], "complete") for n, point in enumerate(points)]
    return pd.DataFrame(rows), points


def optuna(tuned: Tuned, parts: Parts, target: str) -> tuple[pd.DataFrame, list[Point]]:
    """Combinations chosen by Optuna: one trial after the other, its inner folds at once unless a pruner looks on."""
    from fusiondx.experiment.studies import Study

    assert isinstance(tuned.sweep.method, Optuna)
    study = Study.open(tuned.sweep, tuned.model, parts)
    while study.unfinished:
        trial, point = study.ask()
        tasks = [(at(tuned.model, point), *part, target) for part in parts]
        if tuned.sweep.method.pruner == "none":
            study.tell(trial, row(trial.number, point, list(each(worth, tasks, tuned.jobs)), "complete"))
            continue
        found: list[tuple[float, str, float]] = []
        for task in tasks:
            found.append(worth(*task))
            told = row(trial.number, point, found, "complete")
            if len(found) < len(tasks) and study.hopeless(trial, told["value"], len(found)):
                told["state"] = "pruned"
                break
        study.tell(trial, told)
    return pd.DataFrame(study.rows), study.points
