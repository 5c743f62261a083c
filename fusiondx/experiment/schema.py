"""Schemas: what may stand in cohort.yaml and experiment.yaml, as JSON Schema."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import TypeAdapter

from fusiondx.data.cohort_file import CohortFile
from fusiondx.experiment.file import Experiment

FILES: dict[str, Any] = {"cohort": CohortFile, "experiment": Experiment}


def schema_of(file: Literal["cohort", "experiment"]) -> dict[str, Any]:
    """The JSON Schema of one of the two files."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **TypeAdapter(FILES[file]).json_schema()}
    found: dict[str, Any] = without_examples(by_name(schema) if file == "experiment" else schema)
    return found


def without_examples(node: Any) -> Any:
    """The schema whose descriptions end before the examples, which are Python and no YAML."""
    if isinstance(node, list):
        return [without_examples(entry) for entry in node]
    if not isinstance(node, dict):
        return node
    return {
        key: entry.partition("\n\n>>> ")[0]
        if key == "description" and isinstance(entry, str)
        else without_examples(entry)
        for key, entry in node.items()
    }


def by_name(node: Any) -> Any:
    """The schema in which a component may also be given by its name alone; an encoder's may be any timm model's."""
    if isinstance(node, list):
        return [by_name(entry) for entry in node]
    if not isinstance(node, dict):
        return node
    if "discriminator" in node:
        return {"anyOf": [{"type": "string"}, {k: v for k, v in node.items() if k != "default"}]} | (
            {"default": node["default"]} if "default" in node else {}
        )
    return {key: by_name(entry) for key, entry in node.items()}
