"""Field managers of an object and their fields. PURE. Source: Kubernetes API, ManagedFieldsEntry and FieldsV1; Server-Side Apply."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

OwnedKeys = Mapping[str, frozenset[str]]
"""Field manager -> the keys of one map of the object that it applied."""

Operation = Literal["Apply", "Update"]


def find_owned_keys(
    managed_fields: Iterable[Mapping[str, Any]] | None,
    *path: str,
    subresource: str = "",
    operation: Operation = "Apply",
) -> OwnedKeys:
    """Returns the keys of the map at this path that were written by server-side apply, by field manager.

    operation: `Update` for the keys that were written by other requests.
    """
    return {manager: _keys(_within(fields, path)) for manager, fields in _of(managed_fields, subresource, operation)}


def select_owned_part(value: Any, fields: Mapping[str, Any]) -> Any:
    """Returns the part of a value that these FieldsV1 contain. An empty map is owned as a leaf. A list is owned as a whole."""
    if not isinstance(value, Mapping):
        return value
    return {name: select_owned_part(each, fields[f"f:{name}"]) for name, each in value.items() if f"f:{name}" in fields}


def find_owned_fields(
    managed_fields: Iterable[Mapping[str, Any]] | None, manager: str, *path: str
) -> Mapping[str, Any]:
    """Returns the FieldsV1 below this path that the manager applied; empty without fields."""
    return next((_within(fields, path) for name, fields in _of(managed_fields, "", "Apply") if name == manager), {})


def _of(
    managed_fields: Iterable[Mapping[str, Any]] | None, subresource: str, operation: Operation
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for entry in managed_fields or ():
        if entry.get("operation") == operation and entry.get("subresource", "") == subresource:
            yield entry.get("manager", ""), entry.get("fieldsV1") or {}


def _within(fields: Mapping[str, Any], path: tuple[str, ...]) -> Mapping[str, Any]:
    for name in path:
        fields = fields.get(f"f:{name}", {})
    return fields


def _keys(fields: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(key.removeprefix("f:") for key in fields if key.startswith("f:"))
