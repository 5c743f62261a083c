"""Admission: what is checked, once, before a model trains on a cohort or predicts one."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from torch import nn

from fusiondx.core.components import EncoderSpec
from fusiondx.core.joining import read_by
from fusiondx.core.targets import Classes, CompetingRisks, Labels, Survival
from fusiondx.data import preprocess
from fusiondx.data.bags import BagData
from fusiondx.data.cohort import Cohort
from fusiondx.data.images import ImageData
from fusiondx.data.modalities import Modality
from fusiondx.data.outcomes import idle_labels
from fusiondx.data.preprocess import AnyPreparation, BagPreparation, ImagePreparation, TablePreparation
from fusiondx.data.tables import TableData
from fusiondx.errors import ConfigError, DataError, FusionDxWarning, counted, did_you_mean, listed

SHAPES = {"genomics": "table"}
"""What encoders read, where a modality's kind goes by another name."""


def check_cohort(cohort: object) -> None:
    """Refuse anything else than a cohort."""
    if not isinstance(cohort, Cohort):
        got = type(cohort).__name__
        raise DataError(f"Expected a Cohort, got {got}. Make one with Cohort.from_frame or Cohort.read.")


def check_readable(cohort: Cohort, preparations: Mapping[str, AnyPreparation], limit: float | None = None) -> None:
    """Refuse a cohort the model cannot read, or with observations later than `limit`; say what it will ignore or treat
    as unknown."""
    if not len(cohort):
        raise DataError("There are no patients to predict: the cohort is empty.")
    refuse_other_landmark(cohort, limit)
    refuse_later(cohort.select(modalities=[n for n in cohort.modalities if n in preparations]), limit)
    strangers = [name for name in cohort.modalities if name not in preparations]
    if strangers:
        warn(f"The model was not trained on {listed(strangers)}: ignored for {counted(len(cohort), 'patient')}.")
    for name, preparation in preparations.items():
        if name in cohort.modalities:
            check_fits(name, preparation, cohort.modalities[name])


def last_time(cohort: Cohort) -> float | None:
    """The time after which nothing may have been observed, for prognoses count from there; None where none do."""
    if cohort.landmarked is not None:
        return cohort.landmarked
    asked = any(isinstance(values.spec, Survival | CompetingRisks) for values in cohort.targets.values())
    return 0.0 if asked else None


def refuse_later(cohort: Cohort, limit: float | None) -> None:
    """Raise `DataError` where an input was observed after `limit`: it would tell of a future the prognosis is about."""
    for name, modality in cohort.modalities.items() if limit is not None else ():
        later = modality.later(limit or 0.0)
        if later.any():
            raise DataError(
                f"'{name}': {counted(int(later.sum()), 'patient')} with observations later than {limit:g}, from which "
                f"the prognosis counts: {listed(cohort.ids[later])}. Take what was known at a time with "
                "cohort.landmark(time), the same to train and to predict."
            )


def refuse_other_landmark(cohort: Cohort, limit: float | None) -> None:
    """Raise `DataError` where the patients' clocks start at another time than those the model was trained on."""
    if limit is not None and (cohort.landmarked or 0.0) != limit:
        remedy = f"Take cohort.landmark({limit:g}) of the whole cohort" if limit else "Predict without a landmark"
        raise DataError(
            f"The model's prognosis counts from {limit:g}, this cohort's from {cohort.landmarked or 0.0:g}. {remedy}."
        )


def check_fits(name: str, preparation: AnyPreparation, modality: Modality) -> None:
    """Refuse a modality that the model cannot read; count the categories it never saw."""
    _, rows = modality.locate(np.arange(len(modality.present)))
    clock = None if isinstance(preparation, BagPreparation) else preparation.clock
    if clock is not None and modality.time is None:
        raise DataError(f"'{name}': the model was trained on times of observation. Name their column under 'time'.")
    if isinstance(preparation, TablePreparation) and isinstance(modality.data, TableData):
        preparation.refuse_lacking(name, modality.data)
        preparation.refuse_negative(name, modality.data, rows)
        for column, count in preparation.unseen(modality.data, rows).items():
            warn(
                f"'{name}': {counted(count, 'patient')} with a category of '{column}' that training never saw; "
                "treated as unknown."
            )
    elif isinstance(preparation, ImagePreparation) and isinstance(modality.data, ImageData):
        if len(rows):
            preparation.refuse_other(name, modality.data)
    elif isinstance(preparation, BagPreparation) and isinstance(modality.data, BagData):
        if len(rows) and modality.data.width != preparation.width:
            raise DataError(
                f"'{name}': patches have {modality.data.width} features, the model was trained on {preparation.width}. "
                "Use the embeddings of the same network."
            )
    else:
        raise DataError(f"'{name}' is a {modality.spec.kind} here, but the model was trained on something else.")


NOTHING = "No training patient has any modality to learn from. Check the ids and files of the cohort."


def check_learnable(cohort: Cohort) -> None:
    """Refuse a cohort without patients, modalities, targets, or something to learn in each target."""
    if not len(cohort):
        raise DataError("The cohort is empty: there are no patients to train on.")
    if not cohort.modalities or not cohort.targets:
        lacking = "modalities" if not cohort.modalities else "targets"
        raise DataError(f"The cohort has no {lacking}. Declare at least one.")
    if not any(modality.present.any() for modality in cohort.modalities.values()):
        raise DataError(NOTHING)
    for name in cohort.modalities:
        if not name or "." in name or hasattr(nn.ModuleDict(), name):
            raise DataError(f"A modality cannot be called '{name}' (nothing, dots and names of methods are taken).")
    refuse_later(cohort, last_time(cohort))
    for name, values in cohort.targets.items():
        strata = np.unique(values.strata[values.known])
        if isinstance(values.spec, Survival | CompetingRisks) and not (strata > 0).any():
            raise DataError(f"Target '{name}' has no events among {counted(int(values.known.sum()), 'patient')}.")
        if isinstance(values.spec, Classes) and len(strata) < 2:
            raise DataError(f"Target '{name}' has fewer than two classes among the training patients.")
        if isinstance(values.spec, Labels) and len(idle_labels(values)) == len(values.classes):
            raise DataError(f"Target '{name}' has no label that tells the training patients apart.")
        if not values.known.any():
            raise DataError(f"Target '{name}' is unknown for every training patient.")


def prepare(cohort: Cohort) -> dict[str, AnyPreparation]:
    """Preparations of all modalities that have something to tell, fitted on this cohort."""
    prepared = {}
    for name, modality in cohort.modalities.items():
        _, rows = modality.locate(np.arange(len(cohort)))
        if not len(rows):
            warn(f"No training patient has '{name}': not used.")
            continue
        fitted = preprocess.fit(name, modality.data, rows)
        if modality.time is not None:
            fitted = fitted.replace(clock=preprocess.fit_clock(modality.time[rows]))
        if isinstance(fitted, TablePreparation) and not fitted.useful:
            warn(f"'{name}' has no column that tells patients apart: not used.")
        else:
            prepared[name] = fitted
    if not prepared:
        raise DataError(NOTHING)
    return prepared


def refuse_unknown(setting: str, given: Mapping[str, Any], noun: str, known: list[str]) -> None:
    """Raise `ConfigError` for a setting about a modality or target that is not there."""
    for name in given:
        if name not in known:
            raise ConfigError(f"{setting}: the cohort has no {noun} '{name}'.{did_you_mean(name, known)}")


def reading(setting: str, given: Mapping[str, Any], modalities: list[str]) -> dict[str, tuple[str, ...]]:
    """Which modalities each encoder reads: those named together, ``clinical+omics``, and each of the others alone.

    In the order of the modalities. Raises `ConfigError` where a modality is not there or named twice.
    """
    asked = {name: read_by(name, modalities) for name in given}
    named = [part for mine in asked.values() for part in mine]
    refuse_unknown(setting, dict.fromkeys(named), "modality", modalities)
    for part in named:
        if named.count(part) > 1:
            raise ConfigError(f"{setting}: '{part}' is read more than once. Name each modality once.")
    owner = {part: name for name, mine in asked.items() for part in mine}
    return {name: asked.get(name, (name,)) for name in dict.fromkeys(owner.get(part, part) for part in modalities)}


def check_reads(setting: str, name: str, encoder: EncoderSpec, kinds: Mapping[str, str]) -> None:
    """Raise `ConfigError` for an encoder that cannot read what it is asked to."""
    for part in read_by(name, kinds):
        kind = SHAPES.get(kinds[part], kinds[part])
        if kind not in encoder.accepts:
            reader = getattr(encoder, "kind", type(encoder).__name__)
            raise ConfigError(
                f"{setting}.{name}: '{reader}' reads {listed(encoder.accepts)}, but '{part}' is a {kind}."
            )
        if part != name and kind != "table":
            raise ConfigError(f"{setting}.{name}: '{part}' is a {kind}; only tables can be read side by side.")


def check_together(encoders: Collection[str], cohort: Cohort) -> None:
    """Raise `ConfigError` where a table that is to be read side by side with others has times of observation."""
    for name in encoders:
        for part in read_by(name, cohort.modalities):
            if part != name and cohort.modalities[part].time is not None:
                raise ConfigError(
                    f"encoders.{name}: '{part}' has times of observation, which only an encoder of its own can read."
                )


def warn(message: str) -> None:
    warnings.warn(message, FusionDxWarning, stacklevel=4)
