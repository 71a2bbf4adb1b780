"""Who applied what of an object. PURE. Source: Kubernetes API, ManagedFieldsEntry and FieldsV1; documentation, Server-Side Apply."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

Owned = Mapping[str, frozenset[str]]
"""Field manager -> the keys of one map of the object that it applied."""


def owned_keys(managed_fields: Iterable[Mapping[str, Any]] | None, *path: str, subresource: str = "") -> Owned:
    """Who applied which keys of the map at this path. What was written otherwise than by an apply is nobody's here."""
    entries = _applied(managed_fields, subresource)
    return {manager: _keys(_within(fields, path)) for manager, fields in entries}


def owned_part(value: Any, fields: Mapping[str, Any]) -> Any:
    """What of a value stands in these FieldsV1. A map that is owned as a leaf was applied empty; a list is owned whole."""
    if not isinstance(value, Mapping):
        return value
    return {name: owned_part(each, fields[f"f:{name}"]) for name, each in value.items() if f"f:{name}" in fields}


def owned_fields(managed_fields: Iterable[Mapping[str, Any]] | None, manager: str, *path: str) -> Mapping[str, Any]:
    """The FieldsV1 below this path that the manager applied; empty when there are none."""
    return next((_within(fields, path) for name, fields in _applied(managed_fields, "") if name == manager), {})


def _applied(
    managed_fields: Iterable[Mapping[str, Any]] | None, subresource: str
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for entry in managed_fields or ():
        if entry.get("operation") == "Apply" and entry.get("subresource", "") == subresource:
            yield entry.get("manager", ""), entry.get("fieldsV1") or {}


def _within(fields: Mapping[str, Any], path: tuple[str, ...]) -> Mapping[str, Any]:
    for name in path:
        fields = fields.get(f"f:{name}", {})
    return fields


def _keys(fields: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(key.removeprefix("f:") for key in fields if key.startswith("f:"))
