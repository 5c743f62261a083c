"""Tracking: what is told of each fit while an experiment runs, always as JSON lines, elsewhere on request."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

import pandas as pd
from pydantic import BeforeValidator, Field

from fusiondx.core.spec import Spec, spec


@dataclass(frozen=True)
class Fit:
    """One model trained on one fold."""

    model: str
    fold: int
    seconds: float
    parameters: int | None
    epochs: tuple[Mapping[str, float], ...]
    """``member``, ``epoch``, ``train_loss`` and, where there is one, ``validation_loss``, in the order of training."""


class Tracker(Protocol):
    """Whoever is told of an experiment as it goes: first `begin`, then each `fit`, then `end`."""

    def begin(self, title: str, settings: Mapping[str, Any]) -> None: ...

    def fit(self, done: Fit) -> None: ...

    def end(self, metrics: pd.DataFrame) -> None:
        """`metrics` as `Report.frame` gives them."""


@spec
class TensorBoard(Spec):
    """Loss curves for TensorBoard, in the folder `folder`; needs the extra ``tensorboard``."""

    folder: str = "tensorboard"
    kind: Literal["tensorboard"] = "tensorboard"

    def build(self) -> Tracker:
        from fusiondx.experiment.tensorboard import TensorBoardTracker

        return TensorBoardTracker(self.folder)


@spec
class Mlflow(Spec):
    """A run, with a nested one per fit, in the MLflow store at `uri`, such as ``sqlite:///mlflow.db``; needs the extra
    ``mlflow``."""

    uri: str
    experiment: str = "fusiondx"
    kind: Literal["mlflow"] = "mlflow"

    def build(self) -> Tracker:
        from fusiondx.experiment.mlflow import MlflowTracker

        return MlflowTracker(self.uri, self.experiment)


def named(value: Any) -> Any:
    """A tracker given by its name alone has default settings."""
    return {"kind": value} if isinstance(value, str) else value


AnyTracker = Annotated[Annotated[TensorBoard | Mlflow, Field(discriminator="kind")], BeforeValidator(named)]


@dataclass(frozen=True)
class JsonLines:
    """A file with one line per event: ``begin``, ``epoch``, ``fit``, ``metric``. Appended to as events happen."""

    path: Path

    def begin(self, title: str, settings: Mapping[str, Any]) -> None:
        self._write({"event": "begin", "title": title, "settings": dict(settings)})

    def fit(self, done: Fit) -> None:
        about = {"model": done.model, "fold": done.fold}
        self._write(*({"event": "epoch", **about, **epoch} for epoch in done.epochs))
        self._write({"event": "fit", **about, "seconds": done.seconds, "parameters": done.parameters})

    def end(self, metrics: pd.DataFrame) -> None:
        rows = json.loads(metrics.to_json(orient="records"))
        self._write(*({"event": "metric", **row} for row in rows))

    def _write(self, *events: Mapping[str, Any]) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(event, allow_nan=False) + "\n" for event in events)


def epochs_of(histories: Sequence[pd.DataFrame]) -> Iterator[dict[str, float]]:
    """The epochs of training histories, without gaps."""
    for history in histories:
        for row in history.drop(columns="fold", errors="ignore").to_dict("records"):
            yield {str(name): float(value) for name, value in row.items() if pd.notna(value)}
