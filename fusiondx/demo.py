"""The demonstration: a simulated cohort, on which fusion is compared with single modalities."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from fusiondx.data.synthetic import simulate
from fusiondx.experiment import folder, running
from fusiondx.experiment.file import read_experiment
from fusiondx.reporting.report import Report
from fusiondx.reporting.words import signed, spread, title

EXPERIMENT = """\
# Half of the patients train, the other half judge. Baselines are each modality alone and a clinical regression.
title: "Demonstration: early and late fusion on a SIMULATED cohort"
cohort: cohort.yaml
split: {test: 0.5, stratify: survival, seed: 0}
models:
  early fusion (gated): {fusion: gated, training: {epochs: 30, patience: 8}}
  late fusion (mean): {fusion: mean, training: {epochs: 30, patience: 8}}
evaluation: {baselines: true, replicates: 500}
"""


def demonstrate(
    out: Path, patients: int = 800, overwrite: bool = False, progress: Callable[[str], None] | None = None
) -> Report:
    """Simulate `patients`, train, judge, and leave a run folder at `out` whose subfolder ``data`` is the cohort.

    Raises `RunError` as `folder.staged` does.
    """
    with folder.staged(out, overwrite) as stage, one_thread():
        path = simulate(stage / folder.DATA, patients=patients, image_size=32).with_name("experiment.yaml")
        path.write_text(EXPERIMENT, encoding="utf-8")
        return running.fill(stage, read_experiment(path), path, None, progress)


@contextmanager
def one_thread() -> Iterator[None]:
    """Networks this small gain nothing from a second thread, and on a busy machine waiting for it costs tenfold."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def gains(report: Report) -> str:
    """What the first fusion model adds to each single modality, on the same patients, in words."""
    lead = report.results[0].model
    alone = {result.model for result in report.results if result.role == "modality"}
    rows = [row for row in report.differences.to_dict("records") if row["model"] == lead and row["versus"] in alone]
    lines = [
        f"{row['model']} minus {row['versus']}, {row['target']}: {signed(row['difference'])} {title(row['metric'])} "
        f"({spread(row['low'], row['high'])}), {row['n']} patients"
        for row in rows
    ]
    return "\n".join(["What fusion adds, on the same held-out patients (95 % interval):", *lines])
