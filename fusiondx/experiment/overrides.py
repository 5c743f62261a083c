"""Overrides: settings changed on the command line, such as ``model.fusion.kind=concat``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import yaml

from fusiondx.errors import ConfigError


def overridden(settings: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """A copy of `settings` with each ``path=value`` put in place.

    Values are YAML, so that ``folds={k: 2}`` replaces a whole node and ``split=null`` takes it away. Another ``kind``
    comes without the settings of the old one, whatever the order of overrides. Whether path and value make sense is
    for whoever parses the result. Raises `ConfigError` for what is no override at all.
    """
    changed = deepcopy(dict(settings))
    for override in sorted(overrides, key=lambda o: not o.partition("=")[0].strip().endswith(".kind")):
        path, equals, value = override.partition("=")
        keys = path.strip().split(".")
        if not equals or not all(keys):
            raise ConfigError(f"--set {override}: write it as key=value, such as model.training.epochs=3.")
        if keys[0] == "extends":
            raise ConfigError(f"--set {override}: files are put together first. Write 'extends' in the file.")
        put(changed, keys, parsed(override, value), f"--set {override}")
    return changed


def put(node: dict[str, Any], keys: Sequence[str], value: Any, where: str) -> None:
    """Set the value at `keys` inside `node`, making mappings on the way; a component's name becomes its `kind`."""
    first, *rest = keys
    if not rest:
        if first == "kind" and node.get("kind") != value:
            node.clear()
        node[first] = value
        return
    inner = node.get(first)
    if isinstance(inner, list):
        raise ConfigError(f"{where}: '{first}' is a list. Set it whole, such as {first}=[a, b].")
    if not isinstance(inner, dict):
        inner = {"kind": inner} if isinstance(inner, str) else {}
    node[first] = inner
    put(inner, rest, value, where)


def parsed(override: str, value: str) -> Any:
    try:
        return yaml.safe_load(value)
    except (yaml.YAMLError, ValueError, RecursionError):
        raise ConfigError(f"--set {override}: the value is no valid YAML. Put text with : or {{ in quotes.") from None
