"""Layers: an experiment.yaml built on another one by ``extends``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from fusiondx.core.settings import read_yaml
from fusiondx.errors import ConfigError, did_you_mean

ALTERNATIVES = ({"split", "folds"}, {"model", "models"})
"""Keys of which an experiment has one: giving it takes the other away from the file extended."""


def layered(path: Path, above: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The settings in the file at `path`, put over those of the file it extends, if any.

    The file extended lies beside `path` or in a folder below it. Mappings are merged key by key; a list, a number or a
    text replaces what was there; null takes it away; a component of another kind comes without the settings of the old
    one; ``split`` replaces ``folds`` and ``model`` replaces ``models``, and the other way round. `above` are the files
    that led here. Raises `ConfigError` for a file that is absent, elsewhere, or extends itself.
    """
    settings = read_yaml(path)
    named = settings.pop("extends", None)
    if named is None:
        return settings
    trail = (*above, path.resolve())
    base = extended(path, named)
    if base in trail:
        raise ConfigError(f"{path.name}: extends: {base.name} extends itself. Take one 'extends' away.")
    below = layered(base, trail)
    if isinstance(below.get("cohort"), str):  # which is a path relative to the file that says it
        below["cohort"] = str(PurePosixPath(named).parent / below["cohort"])
    for keys in ALTERNATIVES:
        given = keys & {key for key, value in settings.items() if value is not None}
        below = {key: value for key, value in below.items() if not (given and key in keys - given)}
    return merged(below, settings)


def extended(path: Path, named: object) -> Path:
    """The file that is extended. Raises `ConfigError` unless it is there, beside `path` or below."""
    if not isinstance(named, str) or not named:
        raise ConfigError(f"{path.name}: extends: give the path of one YAML file, relative to this one.")
    home = path.resolve().parent
    base = (home / named).resolve()
    if not base.is_relative_to(home):
        raise ConfigError(f"{path.name}: extends: {named} lies outside this file's folder. Put it beside or below.")
    if not base.is_file():
        siblings = sorted(p.name for p in base.parent.glob("*.y*ml") if p.name != path.name)
        raise ConfigError(f"{path.name}: extends: {named} does not exist.{did_you_mean(base.name, siblings)}")
    return base


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`above` put over `below`; see `layered`."""
    found = dict(below)
    for key, value in above.items():
        old: Any = {"kind": below[key]} if isinstance(below.get(key), str) else below.get(key)
        nested = isinstance(value, Mapping) and isinstance(old, Mapping)
        found[key] = merged(old, value) if nested and same_kind(old, value) else value
    return found


def same_kind(below: Mapping[str, Any], above: Mapping[str, Any]) -> bool:
    """Whether settings of one may be kept in the other."""
    return bool(above.get("kind", below.get("kind")) == below.get("kind"))
