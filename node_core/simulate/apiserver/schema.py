"""Which lists merge by key, which are sets, and which are replaced whole. PURE.

Source: the x-kubernetes-list-type, list-map-keys, map-type and patch-merge-key marks of the published OpenAPI documents, for the kinds
that we serve. What is not listed is atomic for lists and granular for maps, as for a custom resource without marks.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

Names = tuple[str, ...]
"""Field names from the top of the object, without list positions: ("spec", "containers", "env")."""


class Atomic(Enum):
    """Replaced whole."""

    VALUE = 0


class SetOf(Enum):
    """Scalars, each once."""

    SCALARS = 0


@dataclass(frozen=True, slots=True)
class Keyed:
    """Merged by these fields. The first alone is the key of strategic merge patches. defaults: for a key field left out."""

    keys: Names
    defaults: Mapping[str, str] = field(default_factory=dict)

    def key_of(self, item: Any) -> tuple[Any, ...] | None:
        """The key values of an item; None when it has not got them all, or has maps and lists for them."""
        if not isinstance(item, dict):
            return None
        values = tuple(item.get(key, self.defaults.get(key)) for key in self.keys)
        return None if any(value is None or isinstance(value, dict | list) for value in values) else values

    def strategic(self) -> "Keyed":
        return Keyed(self.keys[:1])


Shape = Atomic | SetOf | Keyed

_METADATA: dict[Names, Shape] = {
    ("metadata", "finalizers"): SetOf.SCALARS,
    ("metadata", "ownerReferences"): Keyed(("uid",)),
}
_NODE: dict[Names, Shape] = {
    ("spec", "podCIDRs"): SetOf.SCALARS,
    ("status", "addresses"): Keyed(("type",)),
    ("status", "conditions"): Keyed(("type",)),
}
_CONTAINER: dict[Names, Shape] = {
    (): Keyed(("name",)),
    ("env",): Keyed(("name",)),
    ("ports",): Keyed(("containerPort", "protocol"), {"protocol": "TCP"}),
    ("volumeDevices",): Keyed(("devicePath",)),
    ("volumeMounts",): Keyed(("mountPath",)),
    ("resources", "claims"): Keyed(("name",)),
}
_POD: dict[Names, Shape] = {
    **{
        ("spec", containers, *names): shape
        for containers in ("containers", "initContainers", "ephemeralContainers")
        for names, shape in _CONTAINER.items()
    },
    ("spec", "hostAliases"): Keyed(("ip",)),
    ("spec", "imagePullSecrets"): Keyed(("name",)),
    ("spec", "nodeSelector"): Atomic.VALUE,
    ("spec", "resourceClaims"): Keyed(("name",)),
    ("spec", "topologySpreadConstraints"): Keyed(("topologyKey", "whenUnsatisfiable")),
    ("spec", "volumes"): Keyed(("name",)),
    ("status", "conditions"): Keyed(("type",)),
    ("status", "podIPs"): Keyed(("ip",)),
}
_NAMESPACE: dict[Names, Shape] = {("status", "conditions"): Keyed(("type",))}
_SHAPES = {"Node": _NODE | _METADATA, "Pod": _POD | _METADATA, "Namespace": _NAMESPACE | _METADATA}


def shape_of(kind: str, names: Names, value: Any) -> Shape | None:
    """How a list or map merges; None for a granular map and for scalars."""
    declared = _SHAPES.get(kind, _METADATA).get(names)
    if isinstance(value, list):
        return declared or Atomic.VALUE
    return declared if isinstance(value, dict) and declared is Atomic.VALUE else None
