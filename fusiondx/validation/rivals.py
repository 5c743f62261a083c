"""Rivals: the baselines every model is judged beside."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sklearn.base import clone

from fusiondx.answering import Answering
from fusiondx.baselines import ClinicalBaseline
from fusiondx.core.joining import read_by
from fusiondx.data.cohort import Cohort
from fusiondx.data.tables import Table
from fusiondx.errors import ConfigError, listed
from fusiondx.model import FusionModel
from fusiondx.validation.contender import Contender


def field_of(
    models: Answering | Mapping[str, Answering], cohort: Cohort, baselines: bool, permutations: int
) -> list[Contender]:
    """All contenders: the models, and with `baselines` each modality alone and a clinical regression.

    Raises `ConfigError` where a model is called as a baseline is, by which their results would be mixed up.
    """
    mine = named(models)
    leads = [Contender(name, "model", model, permutations=permutations) for name, model in mine.items()]
    # settings for single modalities come from a model that has such, not from one that chooses them
    plain = next((model for model in mine.values() if isinstance(model, FusionModel)), next(iter(mine.values())))
    others = rivals(plain, cohort) if baselines else []
    kinds = {values.spec.kind for values in cohort.targets.values()}
    taken = {other.named(kind) for other in others for kind in kinds}
    if shared := [name for name in mine if name in taken]:
        raise ConfigError(f"A model may not be called as a baseline is: {listed(shared)}. Rename it.")
    return [*leads, *others]


def rivals(model: Answering, cohort: Cohort) -> list[Contender]:
    """The baselines of a model: each modality alone, with the same settings, and a regression on the first table."""
    singles = [
        Contender(f"{name} alone", "modality", confined(model, name, cohort.modalities), only=name)
        for name in cohort.modalities
        if len(cohort.modalities) > 1
    ]
    tables = [name for name, modality in cohort.modalities.items() if isinstance(modality.spec, Table)]
    classical = [Contender(name, "baseline", ClinicalBaseline(name), only=name) for name in tables[:1]]
    return [*singles, *classical]


def confined(model: Answering, modality: str, modalities: Collection[str]) -> Answering:
    """The same settings for one modality."""
    if not isinstance(model, FusionModel):
        return FusionModel(training=getattr(model, "training", None), seed=getattr(model, "seed", 0))
    mine = [spec for name, spec in (model.encoders or {}).items() if modality in read_by(name, modalities)]
    confined: FusionModel = clone(model).set_params(encoders={modality: mine[0]} if mine else None)
    return confined


def named(models: Answering | Mapping[str, Answering]) -> dict[str, Answering]:
    """The models by name."""
    if isinstance(models, Mapping):
        if not models:
            raise ConfigError("There are no models to validate.")
        return dict(models)
    return {title_of(models): models}


def title_of(model: Answering) -> str:
    """A name for a model: its fusion's."""
    if not isinstance(model, FusionModel):
        effort = getattr(model, "effort", "")
        return f"{type(model).__name__.lower()} ({effort})" if effort else type(model).__name__
    fusion = model.fusion
    return f"fusion ({fusion if isinstance(fusion, str) else getattr(fusion, 'kind', type(fusion).__name__)})"
