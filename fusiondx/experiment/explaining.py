"""Explaining: what drove the predictions of a finished run's model, as tables and as cards to look at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fusiondx.data.cohort import Cohort
from fusiondx.errors import ConfigError, RunError, did_you_mean, listed
from fusiondx.experiment import folder, preflight
from fusiondx.experiment.file import Experiment, read_experiment
from fusiondx.experiment.predicting import kept
from fusiondx.experiment.predicting import loaded as load
from fusiondx.model import FusionModel
from fusiondx.stacking.stack import Stack

MOST = 20
"""Cards that are drawn where no patient is named."""


def explain(
    run: Path,
    data: Path,
    out: Path,
    patients: Sequence[str] = (),
    target: str | None = None,
    label: str | None = None,
    horizon: float | None = None,
    model: str | None = None,
) -> list[Path]:
    """Explain `patients` of the run's cohort, or all of them: tables as CSV, a card each for those named, else for the
    first 20. Returns the pages.

    Raises `RunError` for what is no run and for an `out` that is not an empty folder, else as `Cohort.read` and
    `FusionModel.explain` do.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise RunError(f"{out} exists and is not an empty folder. Choose another --out; it is left as it is.")
    fitted = loaded(run, model)
    experiment = read_experiment(run / folder.SETTINGS)
    cohort = preflight.read_patients(experiment, run / folder.SETTINGS, data)
    chosen = cohort.take_ids(patients) if patients else cohort
    found = fitted.explain(chosen, target, label=label, horizon=horizon, reference=trained_on(experiment, cohort))
    found.save(out)
    return [found.card(str(patient)).save(out)[0] for patient in chosen.ids[: None if patients else MOST]]


def loaded(run: Path, name: str | None) -> FusionModel | Stack:
    """The run's model of this name, or its only one. Raises `ConfigError` where that is not clear."""
    places = kept(run)
    if name is None and len(places) > 1:
        raise ConfigError(f"{run} holds several models. Name one by --model: {listed(places, show=12)}.")
    if name is not None and name not in places:
        raise ConfigError(f"{run} has no model '{name}'.{did_you_mean(name, list(places))}")
    return load(places[name or next(iter(places))])


def trained_on(experiment: Experiment, cohort: Cohort) -> Cohort:
    """The patients that the run's models were fitted on: of folds, all."""
    return cohort if experiment.split is None else experiment.split.of(cohort)[0]
