"""TensorBoard as a tracker: the only file that knows it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from fusiondx.errors import MissingPackageError
from fusiondx.experiment.folder import file_names
from fusiondx.experiment.tracking import Fit


class TensorBoardTracker:
    """Writes a run per model, fold and member into `folder`. Raises `MissingPackageError` without TensorBoard."""

    def __init__(self, folder: str) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise MissingPackageError("TensorBoard is missing: pip install 'fusiondx[tensorboard]'.") from error
        self.folder, self.writer = Path(folder), SummaryWriter
        self.title = ""

    def begin(self, title: str, settings: Mapping[str, Any]) -> None:
        self.title = file_names([title])[title]

    def fit(self, done: Fit) -> None:
        for member in sorted({epoch.get("member", 0.0) for epoch in done.epochs}):
            name = f"{done.model} fold {done.fold} member {member:.0f}"
            with self.writer(str(self.folder / self.title / file_names([name])[name])) as board:
                for epoch in done.epochs:
                    for loss in (name for name in epoch if name.endswith("_loss")):
                        if epoch.get("member", 0.0) == member:
                            board.add_scalar(loss, epoch[loss], int(epoch["epoch"]))

    def end(self, metrics: pd.DataFrame) -> None:
        with self.writer(str(self.folder / self.title)) as board:
            for row in metrics.dropna(subset="estimate").to_dict("records"):
                board.add_scalar(f"{row['target']}/{row['metric']}/{row['model']}", float(row["estimate"]))
