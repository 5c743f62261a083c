"""Missingness: modalities taken away from patients, by a mechanism that is known."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field
from scipy.optimize import brentq
from scipy.special import expit

from fusiondx.core.spec import Spec, spec
from fusiondx.core.targets import CompetingRisks, Labels, Survival, TargetValues
from fusiondx.data.cohort import Cohort
from fusiondx.errors import ConfigError, did_you_mean, listed
from fusiondx.survival.estimators import nelson_aalen

Floats = npt.NDArray[np.floating[Any]]
Bools = npt.NDArray[np.bool_]
Rate = Annotated[float, Field(ge=0, le=1)]
Rates = Rate | dict[str, Rate]
"""Of the patients who have a modality, the share who lose it: one for all modalities, or by name; 0 where left out."""
Strength = Annotated[float, Field(ge=-10, le=10)]

FAR = 50.0
"""Log odds as good as certain."""
SWEEPS = 200
CLOSE = 1e-4
"""How near the expected rates come to those asked for."""


@spec
class MCAR(Spec):
    """Missing completely at random: who lacks a modality depends on nothing (Rubin 1976).

    >>> fdx.ampute(cohort, fdx.MCAR({"omics": 0.5}))
    <Cohort of 60 patients: clinical (60), omics (18), image (49); targets: survival (60), diagnosis (60)>
    """

    rate: Rates
    kind: Literal["mcar"] = "mcar"

    def leaning(self, cohort: Cohort) -> Floats:
        """How much more likely each patient is to lose a modality, in standard deviations. Shape ``(patients,)``."""
        return np.zeros(len(cohort))


@spec
class MAR(Spec):
    """Missing at random: it depends on a column of the patient table that is always there, such as age or hospital
    (Rubin 1976).

    The log odds of losing a modality rise by `strength` per standard deviation of a numeric column. The values of
    any other column, such as hospitals, each get a score of their own, drawn by their name. Blank cells lie at the
    mean.

    >>> fdx.ampute(cohort, fdx.MAR({"image": 0.5}, column="age_years", strength=2.0))
    <Cohort of 60 patients: clinical (60), omics (46), image (23); targets: survival (60), diagnosis (60)>
    """

    rate: Rates
    column: str
    strength: Strength = 1.0
    kind: Literal["mar"] = "mar"

    def leaning(self, cohort: Cohort) -> Floats:
        """As `MCAR.leaning`. Raises `DataError` where the patient table lacks the column."""
        values = pd.Series(cohort.categories(self.column), dtype=object).replace("", None)
        numbers = pd.to_numeric(values, errors="coerce").to_numpy(dtype=np.float64)
        if (np.isnan(numbers) & values.notna().to_numpy()).any():
            drawn = {value: uniform(0, self.column, str(value)) for value in values.dropna().unique()}
            numbers = values.map(drawn).to_numpy(dtype=np.float64)
        return self.strength * standardised(numbers)


@spec
class MNAR(Spec):
    """Missing not at random: it depends on the outcome, which nobody knows when the model is used (Rubin 1976).

    The log odds of losing a modality rise by `strength` per standard deviation of the outcome of `target` (left out,
    the first one): the later class, the number of labels, the number, or, of a prognosis, the martingale residual,
    high for early events and low for long survivors. Patients whose outcome is unknown lie at the mean.

    >>> fdx.ampute(cohort, fdx.MNAR({"image": 0.5}, target="survival"))
    <Cohort of 60 patients: clinical (60), omics (46), image (24); targets: survival (60), diagnosis (60)>
    """

    rate: Rates
    target: str | None = None
    strength: Strength = 1.0
    kind: Literal["mnar"] = "mnar"

    def leaning(self, cohort: Cohort) -> Floats:
        """As `MCAR.leaning`. Raises `ConfigError` where the cohort lacks the target."""
        name = self.target if self.target is not None else next(iter(cohort.targets), "")
        if name not in cohort.targets:
            raise ConfigError(f"mnar: the cohort has no target '{name}'.{did_you_mean(name, list(cohort.targets))}")
        values = cohort.targets[name]
        return self.strength * standardised(np.where(values.known, severity(values), np.nan))


Mechanism = MCAR | MAR | MNAR
"""Why modalities are missing."""


def ampute(cohort: Cohort, mechanism: Mechanism, *, seed: int = 0, keep_last: bool = True) -> Cohort:
    """The same patients with modalities taken away, never added: amputation (Schouten et al. 2018), of whole
    modalities.

    Chances are logistic in what the mechanism leans on, with an intercept for each modality such that the share of
    those who have it and lose it is expected to be the mechanism's `rate`. Given that, modalities are lost one
    independently of the other, but with `keep_last` a patient who would lose all keeps one, drawn at random; one who
    has a single modality always keeps it. What is drawn for a patient depends on the seed, the modality and the
    patient's id alone: neither the order of rows nor who else is there matters, except through the intercepts.

    Raises `ConfigError` for an unknown modality, or a rate that cannot be reached when nobody loses the last one.

    >>> cohort
    <Cohort of 60 patients: clinical (60), omics (46), image (49); targets: survival (60), diagnosis (60)>
    >>> fdx.ampute(cohort, fdx.MCAR(0.5), seed=1)
    <Cohort of 60 patients: clinical (27), omics (22), image (32); targets: survival (60), diagnosis (60)>
    """
    has = present(cohort)
    wanted = rates(mechanism.rate, list(cohort.modalities))
    chance = chances(has, wanted, mechanism.leaning(cohort), keep_last, list(cohort.modalities))
    kept = has & (drawn(cohort, seed, "lost") >= chance)
    if keep_last:
        bare = np.flatnonzero(has.any(axis=1) & ~kept.any(axis=1))
        order = np.where(has, drawn(cohort, seed, "kept"), -1.0)
        kept[bare, order[bare].argmax(axis=1)] = True
    return keep(cohort, kept)


def present(cohort: Cohort) -> Bools:
    """Who has which modality, ``(patients, modalities)``, in the order of `Cohort.modalities`."""
    columns = [modality.present for modality in cohort.modalities.values()]
    return np.stack(columns, axis=1) if columns else np.zeros((len(cohort), 0), dtype=bool)


def keep(cohort: Cohort, kept: Bools) -> Cohort:
    """The same patients with only these of the modalities they have; `kept` as `present` gives it."""
    columns = zip(cohort.modalities.items(), kept.T, strict=True)
    return replace(cohort, modalities={name: modality.keep(column) for (name, modality), column in columns})


def lost(before: Cohort, after: Cohort) -> pd.DataFrame:
    """What amputation took: per modality, patients who had it, who lost it, and their share, the realised rate."""
    had, has = present(before), present(after)
    frame = pd.DataFrame({"modality": list(before.modalities), "had": had.sum(axis=0)})
    frame["lost"] = (had & ~has).sum(axis=0)
    return frame.assign(rate=frame["lost"] / frame["had"].clip(lower=1))


def rates(asked: Rates, modalities: list[str]) -> Floats:
    """A rate for every modality."""
    if not isinstance(asked, Mapping):
        return np.full(len(modalities), float(asked))
    for name in asked:
        if name not in modalities:
            raise ConfigError(f"rate: the cohort has no modality '{name}'.{did_you_mean(name, modalities)}")
    return np.array([asked.get(name, 0.0) for name in modalities])


def chances(has: Bools, wanted: Floats, leaning: Floats, keep_last: bool, names: list[str]) -> Floats:
    """The chance of every patient to be drawn for every modality, ``(patients, modalities)``.

    Some of those drawn keep their last modality, so chances exceed the rates `wanted`. Intercepts are raised in
    turns until the rates expected are those.
    """
    chance = np.zeros(has.shape)
    ordered = sorted(range(len(names)), key=names.__getitem__)
    asked = [column for column in ordered if wanted[column] > 0 and has[:, column].any()]
    for _ in range(SWEEPS):
        for column in asked:
            who = has[:, column]
            stays = spared(has, chance, column)[who] if keep_last else np.zeros(int(who.sum()))
            chance[who, column] = solved(leaning[who], stays, wanted[column])
        gaps = np.array([abs(expected(has, chance, column, keep_last) - wanted[column]) for column in asked])
        if (gaps < CLOSE).all():
            return chance
    short = [names[column] for column, gap in zip(asked, gaps, strict=True) if gap >= CLOSE]
    raise ConfigError(
        f"rate: too many patients would lose their last modality for {listed(short)} to be missing that often. Lower "
        "the rates, or let patients lose everything with keep_last=False."
    )


def spared(has: Bools, chance: Floats, column: int) -> Floats:
    """The chance that a patient drawn for a modality is the one to keep it: all others are drawn too, and it is this
    one of all that is given back."""
    others = np.delete(np.where(has, chance, 1.0), column, axis=1).prod(axis=1)
    return np.asarray(others / np.maximum(has.sum(axis=1), 1))


def expected(has: Bools, chance: Floats, column: int, keep_last: bool) -> float:
    """The share of those who have a modality that is expected to lose it."""
    stays = spared(has, chance, column) if keep_last else np.zeros(len(has))
    return float((chance[:, column] * (1 - stays))[has[:, column]].mean())


def solved(leaning: Floats, stays: Floats, rate: float) -> Floats:
    """Logistic chances with the intercept that makes the expected loss `rate`, or as near to it as there is."""

    def short(intercept: float) -> float:
        return float((expit(intercept + leaning) * (1 - stays)).mean()) - rate

    if rate >= 1 or short(FAR) <= 0:
        return np.ones(len(leaning))
    return np.asarray(expit(brentq(short, -FAR, FAR) + leaning))


def severity(values: TargetValues) -> Floats:
    """One number per patient that is higher for a worse or later outcome."""
    if isinstance(values.spec, Survival | CompetingRisks):
        time, event = values.fields["time"], values.fields["event"] > 0
        hazard = nelson_aalen(time[values.known], event[values.known])
        return np.asarray(event - hazard.at(time), dtype=np.float64)
    if isinstance(values.spec, Labels):
        return np.asarray(((values.fields["label"] == 1) & values.fields["told"].astype(bool)).sum(axis=1), dtype=float)
    return next(iter(values.fields.values())).astype(np.float64)


def standardised(values: Floats) -> Floats:
    """Mean 0 and standard deviation 1 over those that are known; the others 0."""
    known = np.isfinite(values)
    if not known.any() or not (spread := values[known].std()):
        return np.zeros(len(values))
    return np.where(known, (values - values[known].mean()) / spread, 0.0)


def drawn(cohort: Cohort, seed: int, what: str) -> Floats:
    """A number from 0 up to 1 for every patient and modality, ``(patients, modalities)``."""
    rows = [[uniform(seed, what, name, str(patient)) for name in cohort.modalities] for patient in cohort.ids]
    return np.asarray(rows, dtype=np.float64).reshape(len(cohort), len(cohort.modalities))


def uniform(seed: int, *names: str) -> float:
    """A number from 0 up to 1 that depends on the seed and these names alone."""
    digest = hashlib.blake2b(repr((seed, names)).encode(), digest_size=7).digest()
    return int.from_bytes(digest, "big") / 2**56
