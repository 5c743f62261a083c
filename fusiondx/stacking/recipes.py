"""Recipes: which models a stack is made of."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from fusiondx.classical.model import ClassicalModel
from fusiondx.core.components import EncoderSpec
from fusiondx.data.cohort import Cohort
from fusiondx.encoders import MLP
from fusiondx.encoders import default as default_encoder
from fusiondx.errors import ConfigError, listed
from fusiondx.model import FusionModel
from fusiondx.stacking.describing import Description
from fusiondx.stacking.member import Recipe
from fusiondx.training import Training

READER = MLP(components=128, input_dropout=0.5)
"""Reads what was found in images, as wide as genomics and as redundant."""


def recipes(
    descriptions: Sequence[Description], cohort: Cohort, thorough: bool, training: Training | None, seed: int
) -> list[Recipe]:
    """Ridge regressions and, of all together, a forest and an early-fusion network; where `thorough`, also a forest of
    each description and a network of each modality."""
    names = tuple(d.name for d in descriptions)
    several = len(names) > 1
    parts: dict[str, tuple[str, ...]] = {}
    for d in descriptions:
        parts[d.modality] = (*parts.get(d.modality, ()), d.name)
    found = [Recipe(f"ridge of {name}", ClassicalModel((name,)), (name,), joint=False) for name in names]
    if several:
        found.append(Recipe("ridge of all", ClassicalModel(names), names, joint=True))
    if several and thorough:
        found += [Recipe(f"trees of {name}", ClassicalModel((name,), "trees"), (name,), joint=False) for name in names]
    found.append(Recipe("trees of all", ClassicalModel(names, "trees"), names, joint=several))
    encoders = {d.name: reader(d, cohort) for d in descriptions}
    found.append(Recipe("network of all", network(encoders, training, seed), names, joint=several))
    for modality, mine in parts.items() if thorough and len(parts) > 1 else ():
        some = {name: encoders[name] for name in mine}
        found.append(Recipe(f"network of {modality}", network(some, training, seed), mine, joint=False))
    return found


def network(encoders: Mapping[str, EncoderSpec], training: Training | None, seed: int) -> FusionModel:
    """An early-fusion network on descriptions."""
    return FusionModel(encoders=dict(encoders), fusion="gated", training=training, seed=seed)


def reader(description: Description, cohort: Cohort) -> EncoderSpec:
    """What encodes a description: tables as ever."""
    return READER if description.encoder else default_encoder(cohort.modalities[description.name].spec.kind)


def check_models(models: object) -> None:
    """Raise `ConfigError` for anything but estimators by name."""
    if not isinstance(models, Mapping):
        raise ConfigError(
            f"models: got {type(models).__name__}. Give models by name, such as {{'mine': FusionModel()}}."
        )
    for name, model in models.items():
        if isinstance(model, type) or not all(hasattr(model, verb) for verb in ("fit", "predict", "get_params")):
            raise ConfigError(f"models.{name}: {model!r} is no estimator. Give one, such as FusionModel().")


def of_users(models: Mapping[str, Any], modalities: Collection[str], taken: Sequence[str]) -> list[Recipe]:
    """Models of the user's own, which see the modalities as they are. Raises `ConfigError` for a name that is taken."""
    both = [name for name in models if name in taken]
    if both:
        raise ConfigError(f"models: {listed(both)} is the name of a member the stack has already. Choose another.")
    return [Recipe(name, model, tuple(modalities), joint=True) for name, model in models.items()]
