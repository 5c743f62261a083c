"""Preflight: everything about an experiment that can be known to fail before anything is trained."""

from __future__ import annotations

from pathlib import Path

import torch

from fusiondx import choices
from fusiondx.admission import check_learnable, check_reads, reading, refuse_unknown
from fusiondx.auditing.case import Case
from fusiondx.auditing.columns import refuse_undatable
from fusiondx.auditing.report import refuse_waivers
from fusiondx.auditing.settings import Audit
from fusiondx.data.cohort import Cohort
from fusiondx.data.reading import need_columns
from fusiondx.encoders import Backbone
from fusiondx.errors import ConfigError, DataError
from fusiondx.experiment.file import Experiment, Model, Stacking, at
from fusiondx.experiment.tuning import inner_parts
from fusiondx.validation.rivals import field_of


def read_patients(experiment: Experiment, path: Path, data: Path | None) -> Cohort:
    """The experiment's patients; `path` is where the experiment.yaml lies. Raises as `Cohort.read` does."""
    return experiment.patients(Cohort.read(path.parent / experiment.cohort, data))


def check(experiment: Experiment, cohort: Cohort) -> None:
    """Raise `ConfigError` or `DataError` for anything that would stop the experiment on these patients.

    Decodes every image once, into the cache that training will read.
    """
    for name, model in experiment.settings.items():
        check_model(model, cohort, f"models.{name}" if name else "model")
    if experiment.sweep is not None:
        target = experiment.sweep.target
        refuse_unknown("sweep.target", {target: None} if target else {}, "target", list(cohort.targets))
        for point in experiment.sweep.samples():
            check_model(at(experiment.settings[""], point), cohort, "sweep.over: model")
    field_of(experiment.build(), cohort, experiment.evaluation.baselines, 0)  # refuses a name that is a baseline's
    check_audit(experiment.evaluation.leaks, cohort)
    for train in training_parts(experiment, cohort):
        check_learnable(train)
        if experiment.sweep is not None:
            inner_parts(experiment.sweep, train, experiment.group)
    check_images(cohort)


def check_audit(settings: Audit | None, cohort: Cohort) -> None:
    """Raise `ConfigError` for a waiver without a check or a reason and for dates of what is no input, `DataError` for
    a date that is not there."""
    if settings is not None:
        refuse_waivers(settings.waivers)
        need_columns(cohort.table, [*([settings.index] if settings.index else []), *settings.dated.values()])
        refuse_undatable(Case(cohort, (), index=settings.index, dated=settings.dated))


def check_images(cohort: Cohort) -> None:
    """Raise `DataError` that lists the images which cannot be used."""
    problems = cohort.check()
    if problems:
        raise DataError("\n".join(problems))


def training_parts(experiment: Experiment, cohort: Cohort) -> list[Cohort]:
    """The patients of each training, one part per fold."""
    if experiment.split is not None:
        return [experiment.split.of(cohort)[0]]
    return [cohort[train] for train, _ in experiment.folds.of(cohort)] if experiment.folds else []


def check_model(model: Model, cohort: Cohort, where: str) -> None:
    """Raise `ConfigError` for a component that does not fit the cohort."""
    refuse_unknown(f"{where}.heads", model.heads, "target", list(cohort.targets))
    kinds = {name: modality.spec.kind for name, modality in cohort.modalities.items()}
    reading(f"{where}.encoders", model.encoders, list(kinds))
    for name, encoder in model.encoders.items():
        check_reads(f"{where}.encoders", name, encoder, kinds)
        if isinstance(encoder, Backbone) and not choices.known_to_timm(encoder.name):
            raise ConfigError(f"{where}.encoders.{name}: no timm model is called '{encoder.name}'.")
    with torch.random.fork_rng(devices=[]):
        if not isinstance(model.fusion, Stacking):
            model.fusion.build(tuple(kinds), model.dim)  # says itself what does not fit
    for name, head in model.heads.items():
        asked = cohort.targets[name].spec.kind
        if head.answers != asked:
            raise ConfigError(f"{where}.heads.{name}: '{head.kind}' answers {head.answers}, but '{name}' is {asked}.")
