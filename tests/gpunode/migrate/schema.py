"""Checks values against values.schema.json of the chart, with the keywords that this schema uses. Helm checks them in tests/manifests."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
CHART = ROOT / "manifests" / "chart" / "gpunode"
SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())
TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,), "array": (list,), "string": (str,), "boolean": (bool,), "integer": (int,), "null": (type(None),),
}  # fmt: skip


def refused_values(values: Mapping[str, Any]) -> list[str]:
    """Returns each part of values that Helm refuses. Helm removes null, and the default with it, before it applies the schema."""
    return [*schema_problems({key: value for key, value in values.items() if value is not None})]


def schema_problems(value: Any, schema: Any = SCHEMA, path: str = "values") -> Iterator[str]:
    """Yields each part of a value that the schema refuses."""
    if schema is True:
        return
    if "$ref" in schema:
        schema = SCHEMA["definitions"][schema["$ref"].rpartition("/")[2]]
    for keyword, rule in schema.items():
        yield from (f"{path}: {keyword} {each}" for each in CHECKS[keyword](value, rule))
    if isinstance(value, dict):
        for key, each in value.items():
            if key in schema.get("properties", {}):
                yield from schema_problems(each, schema["properties"][key], f"{path}.{key}")
            elif (more := schema.get("additionalProperties", True)) is False:
                yield f"{path}: the key {key} is unknown"
            else:
                yield from schema_problems(each, more, f"{path}.{key}")
    if isinstance(value, list) and "items" in schema:
        for index, each in enumerate(value):
            yield from schema_problems(each, schema["items"], f"{path}[{index}]")


def schema_at(path: str) -> Any:
    """Returns the schema of a value."""
    schema: Any = SCHEMA
    for key in path.split("."):
        if "$ref" in schema:
            schema = SCHEMA["definitions"][schema["$ref"].rpartition("/")[2]]
        schema = schema.get("properties", {}).get(key) or schema.get("additionalProperties", True)
        if schema is True:
            return True
    return schema


def _type(value: Any, names: Any) -> Iterator[str]:
    kinds = [kind for name in ([names] if isinstance(names, str) else names) for kind in TYPES[name]]
    if type(value) not in kinds:
        yield f"{names}"


def _enum(value: Any, known: Any) -> Iterator[str]:
    if value not in known:
        yield f"{known}"


def _pattern(value: Any, pattern: Any) -> Iterator[str]:
    if isinstance(value, str) and not re.search(pattern, value):
        yield pattern


def _any_of(value: Any, schemas: Any) -> Iterator[str]:
    if all([*schema_problems(value, each)] for each in schemas):
        yield f"{schemas}"


def _property_names(value: Any, schema: Any) -> Iterator[str]:
    for key in value if isinstance(value, dict) else ():
        yield from schema_problems(key, schema)


def _required(value: Any, names: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (name for name in names if name not in value)


def _nothing(_value: Any, _rule: Any) -> Iterator[str]:
    yield from ()


CHECKS: Mapping[str, Callable[[Any, Any], Iterator[str]]] = {
    "type": _type, "enum": _enum, "const": lambda value, known: _enum(value, [known]), "pattern": _pattern, "anyOf": _any_of,
    "propertyNames": _property_names, "required": _required,
    **dict.fromkeys(("$schema", "title", "definitions", "properties", "additionalProperties", "items", "if", "then", "minItems"), _nothing),
    **dict.fromkeys(("minimum", "maximum", "minLength"), _nothing),
}  # fmt: skip
