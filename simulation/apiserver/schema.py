"""Which lists merge by key, and which maps are replaced as a whole. PURE.

Source: the x-kubernetes-list-type, list-map-keys, map-type and patch-merge-key marks of the published OpenAPI documents, for our
resources. A list without an entry here is atomic. A map without an entry is granular. Custom resources without marks do the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

Names = tuple[str, ...]
"""The field names of a path without list positions: ("spec", "containers", "env")."""


class Atomic(Enum):
    """A map that is replaced as a whole."""

    VALUE = 0


@dataclass(frozen=True, slots=True)
class Keyed:
    """A list that is merged by key fields. Strategic merge patches use only the first key. defaults: values of absent key fields."""

    keys: Names
    defaults: Mapping[str, str] = field(default_factory=dict)

    def item_key(self, item: Any) -> tuple[Any, ...] | None:
        """Returns the key values of an item; None if a key is missing or is not a scalar."""
        if not isinstance(item, dict):
            return None
        values = tuple(item.get(key, self.defaults.get(key)) for key in self.keys)
        return None if any(value is None or isinstance(value, dict | list) for value in values) else values

    def strategic(self) -> "Keyed":
        return Keyed(self.keys[:1])


Shape = Atomic | Keyed

_METADATA: dict[Names, Shape] = {("metadata", "ownerReferences"): Keyed(("uid",))}
_NODE: dict[Names, Shape] = {
    ("status", "addresses"): Keyed(("type",)),
    ("status", "conditions"): Keyed(("type",)),
}
_CONTAINER: dict[Names, Shape] = {
    (): Keyed(("name",)),
    ("env",): Keyed(("name",)),
    ("ports",): Keyed(("containerPort", "protocol"), {"protocol": "TCP"}),
    ("volumeMounts",): Keyed(("mountPath",)),
}
_POD: dict[Names, Shape] = {
    **{
        ("spec", containers, *names): shape
        for containers in ("containers", "initContainers")
        for names, shape in _CONTAINER.items()
    },
    ("spec", "nodeSelector"): Atomic.VALUE,
    ("spec", "volumes"): Keyed(("name",)),
    ("status", "conditions"): Keyed(("type",)),
}
_SHAPES = {"Node": _NODE | _METADATA, "Pod": _POD | _METADATA}


def shape_of(kind: str, names: Names, value: Any) -> Shape | None:
    """Returns how a list or a map merges; None for a granular map and for a scalar."""
    declared = _SHAPES.get(kind, _METADATA).get(names)
    if isinstance(value, list):
        return declared or Atomic.VALUE
    return declared if isinstance(value, dict) and declared is Atomic.VALUE else None
