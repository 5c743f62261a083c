"""Wanted: what a setting takes, in words, from what pydantic says of a value that does not fit."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from pydantic_core import ErrorDetails

SHOWN = 60
"""Characters of a value that a message repeats."""
NUMBERS = {"int": "a whole number", "float": "a number", "finite": "a finite number", "bool": "true or false"}
BOUNDS = {
    "greater_than_equal": "{ge:g} or more",
    "greater_than": "more than {gt:g}",
    "less_than_equal": "{le:g} or less",
    "less_than": "less than {lt:g}",
    "too_short": "at least {min_length} of them",
    "string_too_short": "at least {min_length} character",
    "too_long": "at most {max_length} of them",
    "literal_error": "{expected}",
}
MAPPINGS = ("dict_type", "dataclass_type", "model_attributes_type", "mapping_type")


def wanted(error: ErrorDetails, schema: Mapping[str, Any]) -> str:
    """What would fit, to stand after "Give", perhaps with an example behind a colon; blank for an error that is not
    about a value. `schema` is that of the setting."""
    kind, value = error["type"], error["input"]
    if kind in BOUNDS:
        return BOUNDS[kind].format(**error.get("ctx", {}))
    if kind in ("tuple_type", "list_type"):
        return "a list" if isinstance(value, Mapping) or value is None else f"a list: [{value}]"
    if kind == "string_type":
        return f"text, in quotes: '{value}'" if isinstance(value, int | float) else "text"
    if kind in MAPPINGS:
        return f"settings: {{{example(value, schema)}}}"
    return NUMBERS.get(kind.split("_")[0], "")


def example(value: Any, schema: Mapping[str, Any]) -> str:
    """What settings of this schema begin with; a name alone is taken for the kind that was meant."""
    kinds = list(schema.get("discriminator", {}).get("mapping", {}))
    if kinds:
        return f"kind: {value if value in kinds else kinds[0]}"
    names = schema.get("required") or list(schema.get("properties", {}))[:1] or ["name"]
    return ", ".join(f"{name}: …" for name in names)


def meant(error: ErrorDetails) -> str:
    """The nearest of a few valid words, as a sentence; blank where there is none."""
    valid = (
        re.findall(r"'([^']*)'", error.get("ctx", {}).get("expected", "")) if error["type"] == "literal_error" else []
    )
    near = get_close_matches(str(error["input"]), valid, n=1, cutoff=0.5)
    return f" Did you mean '{near[0]}'?" if near else ""


def shown(value: Any) -> str:
    """A value as its writer would know it again."""
    if value is None:
        return "an empty value"
    text = f"'{value}'" if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
