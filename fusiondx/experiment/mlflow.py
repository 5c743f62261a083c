"""MLflow as a tracker: the only file that knows it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pandas as pd

from fusiondx.errors import MissingPackageError, RunError
from fusiondx.experiment.tracking import Fit


class MlflowTracker:
    """Keeps an experiment as a run of the MLflow experiment `experiment`, with a nested run per fit.

    Raises `MissingPackageError` without MLflow, `RunError` where the store cannot be used.
    """

    def __init__(self, uri: str, experiment: str) -> None:
        try:
            from mlflow.tracking import MlflowClient
        except ImportError as error:
            raise MissingPackageError("MLflow is missing: pip install 'fusiondx[mlflow]'.") from error
        try:
            self.client = MlflowClient(tracking_uri=uri)
            found = self.client.get_experiment_by_name(experiment)
            self.experiment = found.experiment_id if found else self.client.create_experiment(experiment)
        except Exception as error:  # as many kinds as there are stores
            raise RunError(f"tracking: the MLflow store {uri} cannot be used ({type(error).__name__}).") from error
        self.run = ""

    def begin(self, title: str, settings: Mapping[str, Any]) -> None:
        self.run = self.client.create_run(self.experiment, run_name=title).info.run_id
        for path, value in settings.items():
            self.client.log_param(self.run, safe(path), str(value)[:500])

    def fit(self, done: Fit) -> None:
        tags = {"mlflow.parentRunId": self.run}
        nested = self.client.create_run(
            self.experiment, tags=tags, run_name=f"{done.model}, fold {done.fold}"
        ).info.run_id
        for step, epoch in enumerate(done.epochs):
            for loss in (name for name in epoch if name.endswith("_loss")):
                self.client.log_metric(nested, loss, epoch[loss], step=step)
        self.client.log_metric(nested, "seconds", done.seconds)
        self.client.set_terminated(nested)

    def end(self, metrics: pd.DataFrame) -> None:
        for row in metrics.dropna(subset="estimate").to_dict("records"):
            name = safe(f"{row['target']}/{row['metric']}/{row['model']}")
            self.client.log_metric(self.run, name, float(row["estimate"]))
        self.client.set_terminated(self.run)


def safe(name: str) -> str:
    """A name that MLflow takes."""
    return re.sub(r"[^\w./ -]", "-", name)
