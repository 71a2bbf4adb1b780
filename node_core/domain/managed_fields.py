"""Field managers of an object and their fields. PURE. Source: Kubernetes API, ManagedFieldsEntry and FieldsV1; Server-Side Apply."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

OwnedKeys = Mapping[str, frozenset[str]]
"""Field manager -> the keys of one map of the object that it applied."""


def find_owned_keys(managed_fields: Iterable[Mapping[str, Any]] | None, *path: str, subresource: str = "") -> OwnedKeys:
    """Returns the applied keys of the map at this path, by field manager. Keys that were not written by server-side apply have no owner."""
    return {manager: _keys(_within(fields, path)) for manager, fields in _applied(managed_fields, subresource)}


def select_owned_part(value: Any, fields: Mapping[str, Any]) -> Any:
    """Returns the part of a value that these FieldsV1 contain. An empty map is owned as a leaf. A list is owned as a whole."""
    if not isinstance(value, Mapping):
        return value
    return {name: select_owned_part(each, fields[f"f:{name}"]) for name, each in value.items() if f"f:{name}" in fields}


def find_owned_fields(
    managed_fields: Iterable[Mapping[str, Any]] | None, manager: str, *path: str
) -> Mapping[str, Any]:
    """Returns the FieldsV1 below this path that the manager applied; empty without fields."""
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
