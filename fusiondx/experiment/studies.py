"""Studies: the only file that knows Optuna."""

from __future__ import annotations

import hashlib
import json
import math
import warnings
from dataclasses import dataclass
from typing import Any

from fusiondx.errors import MissingPackageError, RunError
from fusiondx.experiment.file import Model
from fusiondx.experiment.sweep import Optuna, Point, Range, Sweep


@dataclass
class Study:
    """An Optuna study of one training part; trials of before are read from its storage."""

    sweep: Sweep
    trials: int
    study: Any
    optuna: Any

    @classmethod
    def open(cls, sweep: Sweep, model: Model, parts: Any) -> Study:
        """Begin, or go on with what the storage holds of the same sweep on the same patients.

        Raises `MissingPackageError` without Optuna, `RunError` where the storage cannot be used.
        """
        try:
            import optuna
        except ImportError as error:
            raise MissingPackageError("This sweep needs Optuna. Install it: pip install 'fusiondx[optuna]'.") from error
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        method = sweep.method
        assert isinstance(method, Optuna)
        told = repr((sweep.replace(method=method.replace(trials=1)), model, [list(train.ids) for train, _ in parts]))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="optuna")  # samplers that Optuna calls experimental
            try:
                study = optuna.create_study(
                    study_name=f"fusiondx {hashlib.sha256(told.encode()).hexdigest()[:16]}",
                    direction="maximize",
                    sampler=sampler(optuna, method, sweep.seed),
                    pruner=pruner(optuna, method),
                    storage=method.storage,
                    load_if_exists=True,
                )
            except Exception as error:
                if method.storage is None:
                    raise
                reason = type(error).__name__
                raise RunError(f"sweep.method.storage: {method.storage} cannot be used ({reason}).") from error
        return cls(sweep, method.trials, study, optuna)

    @property
    def done(self) -> list[Any]:
        """Trials that were told, in their order."""
        return [trial for trial in self.study.trials if "told" in trial.user_attrs]

    @property
    def unfinished(self) -> bool:
        return len(self.done) < self.trials

    @property
    def rows(self) -> list[dict[str, Any]]:
        """What was told of each trial."""
        told = [trial.user_attrs["told"] for trial in self.done]
        return [entry | {"value": math.nan if entry["value"] is None else entry["value"]} for entry in told]

    @property
    def points(self) -> list[Point]:
        """The values each trial tried."""
        return [trial.user_attrs["point"] for trial in self.done]

    def ask(self) -> tuple[Any, Point]:
        """The next trial, and the values to try."""
        trial = self.study.ask()
        point = {path: suggested(trial, path, values) for path, values in self.sweep.over.items()}
        trial.set_user_attr("point", point)
        return trial, point

    def hopeless(self, trial: Any, value: float, folds: int) -> bool:
        """Whether to stop after so many inner folds with this mean."""
        if math.isfinite(value):
            trial.report(value, folds)
        return bool(trial.should_prune())

    def tell(self, trial: Any, told: dict[str, Any]) -> None:
        """Hand in a trial; of one that was pruned or failed, Optuna is told so."""
        states = self.optuna.trial.TrialState
        state = {"complete": states.COMPLETE, "pruned": states.PRUNED, "failed": states.FAIL}[told["state"]]
        finite = math.isfinite(told["value"])
        trial.set_user_attr("told", told | {"value": told["value"] if finite else None})
        self.study.tell(trial, told["value"] if state == states.COMPLETE else None, state=state)


def suggested(trial: Any, path: str, values: tuple[Any, ...] | Range) -> Any:
    """A value for one setting; of a list by its JSON text, which every storage can hold."""
    if not isinstance(values, Range):
        return json.loads(trial.suggest_categorical(path, [json.dumps(value) for value in values]))
    if values.whole:
        step = {} if values.log else {"step": int(values.step or 1)}
        return trial.suggest_int(path, int(values.low), int(values.high), log=values.log, **step)
    return trial.suggest_float(path, values.low, values.high, step=values.step, log=values.log)


def sampler(optuna: Any, method: Optuna, seed: int) -> Any:
    kinds = {"tpe": "TPESampler", "random": "RandomSampler", "qmc": "QMCSampler", "gp": "GPSampler"}
    return getattr(optuna.samplers, kinds[method.sampler])(seed=seed)


def pruner(optuna: Any, method: Optuna) -> Any:
    kinds = {"none": "NopPruner", "median": "MedianPruner", "halving": "SuccessiveHalvingPruner"}
    return getattr(optuna.pruners, kinds.get(method.pruner, "HyperbandPruner"))()
