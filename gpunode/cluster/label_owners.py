"""Which program wrote each label of a Node, by the field managers of the API server. PURE."""

from collections.abc import Mapping
from typing import Any

from node_core.domain.managed_fields import find_owned_keys

AGENTS = ("nfd-lite", "gfd", "gpu-device-plugin")
"""Field managers that are shown first."""
OTHERS = "others"
"""The owner of labels without a field manager."""

LabelsByOwner = dict[str, dict[str, str]]


def group_labels(node: Mapping[str, Any]) -> LabelsByOwner:
    """Returns field manager -> its labels: our agents, then others by name, then OTHERS. node: the JSON of a Node.

    A label has several owners if several managers applied it. Labels that no manager applied belong to the managers that updated them.
    """
    metadata = node["metadata"]
    labels: Mapping[str, str] = metadata.get("labels") or {}
    managed = metadata.get("managedFields")
    applied = find_owned_keys(managed, "metadata", "labels")
    updated = find_owned_keys(managed, "metadata", "labels", operation="Update")
    owned = {manager: set(keys) for manager, keys in applied.items()}
    known = set().union(*applied.values())
    for manager, keys in updated.items():
        owned.setdefault(manager, set()).update(keys - known)
    owned[OTHERS] = set(labels) - set().union(*owned.values())
    groups = {manager: _select(labels, owned[manager]) for manager in sorted(owned, key=_order)}
    return {manager: group for manager, group in groups.items() if group}


def _select(labels: Mapping[str, str], keys: set[str]) -> dict[str, str]:
    return {key: labels[key] for key in sorted(keys) if key in labels}


def _order(manager: str) -> tuple[int, str]:
    if manager in AGENTS:
        return AGENTS.index(manager), ""
    return len(AGENTS) + (manager == OTHERS), manager
