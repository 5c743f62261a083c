"""Choices: the spec behind what a user wrote: a spec, its name, or a mapping as read from YAML."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter

from fusiondx.core.components import EncoderSpec, FusionSpec, HeadSpec
from fusiondx.core.settings import parse
from fusiondx.core.spec import Spec
from fusiondx.encoders import AnyEncoder, Backbone, Pathways
from fusiondx.errors import ConfigError
from fusiondx.fusion import AnyFusion
from fusiondx.heads import AnyHead


def encoder(value: Any, where: str) -> EncoderSpec:
    """The encoder meant; a name that is none of ours may be a timm model's, such as ``resnet18``."""
    if isinstance(value, str) and value not in kinds(AnyEncoder) and known_to_timm(value):
        return Backbone(name=value)
    chosen: EncoderSpec = resolved(value, AnyEncoder, where)
    return chosen.resolved() if isinstance(chosen, Pathways) else chosen  # a saved model must not need the sets' file


def fusion(value: Any, where: str = "fusion") -> FusionSpec:
    """The fusion meant."""
    chosen: FusionSpec = resolved(value, AnyFusion, where)
    return chosen


def head(value: Any, where: str) -> HeadSpec:
    """The head meant."""
    chosen: HeadSpec = resolved(value, AnyHead, where)
    return chosen


def resolved(value: Any, union: Any, where: str) -> Any:
    """A spec of the closed `union`, or any object of the user's own that has `build`. Raises `ConfigError`."""
    if isinstance(value, str):
        return parse(union, {"kind": value}, where)
    if isinstance(value, Mapping):
        return parse(union, dict(value), where)
    if isinstance(value, type) or not hasattr(value, "build"):
        got = f"the class {value.__name__} itself" if isinstance(value, type) else type(value).__name__
        raise ConfigError(
            f"{where}: expected a name ({', '.join(kinds(union))}), a spec such as Gated(), or an object with a "
            f"'build' method; got {got}."
        )
    return value


def kinds(union: Any) -> tuple[str, ...]:
    """The names in a closed union."""
    schema = TypeAdapter(union).json_schema()
    return tuple(schema["discriminator"]["mapping"])


def refuse_own(value: Any, union: Any, where: str) -> None:
    """Raise `ConfigError` for a component of the user's own, which no reader of a saved model could build."""
    if not isinstance(value, Spec) or getattr(value, "kind", None) not in kinds(union):
        raise ConfigError(
            f"{where}: {type(value).__name__} is not one of fusiondx's own components, so a saved model could not be "
            "read back. Keep the model in memory, or add the component to its union."
        )


def without_downloads(encoders: Mapping[str, EncoderSpec]) -> dict[str, EncoderSpec]:
    """The same encoders, to be given weights of their own and not pretrained ones."""
    return {name: spec.bare() if isinstance(spec, Backbone) else spec for name, spec in encoders.items()}


def known_to_timm(name: str) -> bool:
    """Whether timm has a model of this name. Imports timm, so ask only for names that are not ours."""
    from fusiondx.encoders.backbone import import_timm

    return bool(import_timm().is_model(name.split(".")[0]))
