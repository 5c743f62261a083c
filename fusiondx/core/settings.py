"""Settings from files: YAML to typed values, with errors that name the place in the file."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

import pydantic
import yaml
from pydantic_core import ErrorDetails

from fusiondx.core.wanted import meant, shown, wanted
from fusiondx.errors import ConfigError, did_you_mean, listed

T = TypeVar("T")
Schema = dict[str, Any]


def parse(type: Any, data: object, where: str) -> Any:
    """`data` as a `type`. Raises `ConfigError` that names `where`, the path inside it, and the nearest valid name."""
    adapter = pydantic.TypeAdapter(type)
    try:
        return adapter.validate_python(data)
    except pydantic.ValidationError as error:
        schema = adapter.json_schema()
        lines = explained(error.errors(include_url=False), schema)
        raise ConfigError("\n".join(f"{where}: {line}" for line in lines)) from None


def explained(errors: Sequence[ErrorDetails], schema: Schema) -> list[str]:
    """One line for each place that is wrong: a value that might be one of several things is told all of them."""
    lines: dict[str, list[str]] = {}
    for error in errors:
        path, holder, inside = walk(schema, error["loc"])
        at = f"{'.'.join(path)}: " if path else ""
        phrase = wanted(error, inside)
        if phrase:
            lines.setdefault(f"{at}{shown(error['input'])} does not fit.{meant(error)}", []).append(phrase)
        else:
            lines.setdefault(explain(error, at, path, holder, inside), [])
    return [f"{line} Give {either(phrases)}." if phrases else line for line, phrases in lines.items()]


def either(phrases: Sequence[str]) -> str:
    """Any of them; an example stands behind a single one only."""
    return phrases[0] if len(phrases) == 1 else ", or ".join(dict.fromkeys(p.partition(": ")[0] for p in phrases))


def explain(error: ErrorDetails, at: str, path: list[str], holder: Schema, inside: Schema) -> str:
    """One line for one pydantic error that is not about a value."""
    if error["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        return f"{at}unknown key.{nearest(path[-1], list(holder.get('properties', {})))}"
    if error["type"] == "union_tag_invalid":
        kinds = [tag.strip(" '") for tag in str(error["ctx"]["expected_tags"]).split(",")]
        return f"{at}unknown kind '{error['ctx']['tag']}'.{nearest(str(error['ctx']['tag']), kinds)}"
    if error["type"] == "union_tag_not_found":
        return f"{at}no 'kind'. Give one of: {listed(kinds_of(inside), show=20)}."
    if error["type"] in ("missing", "missing_argument"):
        return f"{at}missing. Give it."
    return f"{at}{error['msg'].removeprefix('Value error, ')}."


def nearest(name: str, known: list[str]) -> str:
    """The nearest valid name, and all of them."""
    valid = [k for k in known if k != "kind"]
    near = get_close_matches(name, valid, n=1, cutoff=0.5)
    return (f" Did you mean '{near[0]}'?" if near else "") + (f" Valid: {listed(valid, show=20)}." if valid else "")


def walk(schema: Schema, loc: tuple[int | str, ...]) -> tuple[list[str], Schema, Schema]:
    """The path a reader sees, without the names of union members; the schema of what holds its last key; its own."""
    path: list[str] = []
    at = holder = resolve(schema, schema)
    for step in loc:
        variant = chosen_kind(at, step)
        if variant is not None:
            at = holder = resolve(variant, schema)
            continue
        inner = [found for part in parts(at, schema) if (found := child(part, step)) is not None]
        if not inner and (at.get("anyOf") or at.get("oneOf")) and not at.get("discriminator"):
            continue  # the name of a member of a plain union: no part of the file
        path.append(str(step))
        holder, at = at, resolve(inner[0], schema) if inner else {}
    return path, holder, at


def resolve(schema: Schema, root: Schema) -> Schema:
    while "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rsplit("/", 1)[-1]]
    return schema


def parts(schema: Schema, root: Schema) -> Iterator[Schema]:
    """The schema itself and, of a union, its members."""
    yield schema
    for member in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
        yield from parts(resolve(member, root), root)


def child(schema: Schema, step: int | str) -> Schema | None:
    if step in schema.get("properties", {}):
        return dict(schema["properties"][step])
    inner = schema.get("items") if isinstance(step, int) else schema.get("additionalProperties")
    return inner if isinstance(inner, dict) else None


def chosen_kind(schema: Schema, step: int | str) -> Schema | None:
    """The member of a union of kinds that `step` names."""
    mapping = schema.get("discriminator", {}).get("mapping", {})
    return {"$ref": mapping[step]} if step in mapping else None


def kinds_of(schema: Schema) -> list[str]:
    return list(schema.get("discriminator", {}).get("mapping", {}))


class StrictLoader(yaml.SafeLoader):
    """YAML's safe loader, that refuses a key given twice."""


def _mapping(loader: StrictLoader, node: yaml.MappingNode) -> dict[Hashable, Any]:
    seen: set[Hashable] = set()
    for key, _ in node.value:
        if key.tag == "tag:yaml.org,2002:merge":
            continue  # <<, which brings in the keys of another mapping
        name = loader.construct_object(key, deep=True)
        if not isinstance(name, Hashable):
            raise yaml.MarkedYAMLError(problem="a key must be a word", problem_mark=key.start_mark)
        if name in seen:
            raise yaml.MarkedYAMLError(problem=f"key '{name}' is given twice", problem_mark=key.start_mark)
        seen.add(name)
    loader.flatten_mapping(node)
    return loader.construct_mapping(node, deep=True)


def _text(loader: StrictLoader, node: yaml.ScalarNode) -> str:
    written = str(loader.construct_scalar(node))
    if "\0" in written:  # which no file system takes
        raise yaml.MarkedYAMLError(problem="a text holds a NUL character", problem_mark=node.start_mark)
    return written


StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_SCALAR_TAG, _text)


def neighbours(path: Path) -> list[str]:
    """The YAML files beside a path."""
    return sorted(file.name for file in path.parent.glob("*.y*ml"))


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file. Raises `ConfigError` naming line and column where it is none."""
    try:
        content = path.read_text(encoding="utf-8-sig")
        loaded = StrictLoader(content).get_single_data()
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist.{did_you_mean(path.name, neighbours(path))}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path.name} is not UTF-8 text. Save it as UTF-8.") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror}).") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        at = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise ConfigError(f"{path.name}{at}: {error.problem}. Correct the YAML there.") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path.name} is no valid YAML ({type(error).__name__}).") from None
    if not isinstance(loaded, dict):
        raise ConfigError(f"{path.name} holds no settings. Write 'key: value' lines.")
    return loaded
