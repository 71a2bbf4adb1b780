"""The state of a Node, its labels by agent, and the differences of two states. PURE."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from node_core.domain.labels import GPU_PRESENT

AGENT_OF_PREFIX = (
    ("feature.node.kubernetes.io/", "nfd-lite"),
    (GPU_PRESENT, "nfd-lite"),
    ("nvidia.com/", "gfd"),
)
KUBERNETES = "kubernetes"

Difference = tuple[str, str | None, str | None]
"""A key with its old and its new value. None: the key is absent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeState:
    """resources: capacity and allocatable amount of each extended resource. conditions: status, reason and message by type.

    taints: the effects by key and value.
    """

    labels: Mapping[str, str] = field(default_factory=dict)
    resources: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    conditions: Mapping[str, tuple[str, str, str]] = field(default_factory=dict)
    taints: frozenset[str] = frozenset()
    is_cordoned: bool = False


def parse_node_state(node: Mapping[str, Any]) -> NodeState:
    """Parses a v1 Node object."""
    status, spec = node.get("status") or {}, node.get("spec") or {}
    capacity, allocatable = status.get("capacity") or {}, status.get("allocatable") or {}
    conditions = {each["type"]: each for each in status.get("conditions") or ()}
    return NodeState(
        labels=dict(node["metadata"].get("labels") or {}),
        resources={name: (capacity[name], allocatable.get(name, "0")) for name in capacity if "/" in name},
        conditions={
            name: (each.get("status", ""), each.get("reason", ""), each.get("message", ""))
            for name, each in conditions.items()
        },
        taints=frozenset(_render_taint(taint) for taint in spec.get("taints") or ()),
        is_cordoned=bool(spec.get("unschedulable")),
    )


def _render_taint(taint: Mapping[str, str]) -> str:
    value = f"={taint['value']}" if taint.get("value") else ""
    return f"{taint['key']}{value}:{taint['effect']}"


def group_labels(labels: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Sorted labels by agent, in the order in which the agents run."""
    groups: dict[str, dict[str, str]] = {"nfd-lite": {}, "gfd": {}, KUBERNETES: {}}
    for key, value in sorted(labels.items()):
        groups[agent_of(key)][key] = value
    return groups


def agent_of(key: str) -> str:
    """The agent that writes this label; `kubernetes` for other labels."""
    return next((agent for prefix, agent in AGENT_OF_PREFIX if key.startswith(prefix)), KUBERNETES)


def differences(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Difference]:
    """Yields the keys whose values differ, sorted."""
    for key in sorted(before.keys() | after.keys()):
        if before.get(key) != after.get(key):
            yield key, before.get(key), after.get(key)


def render_resource(capacity: str, allocatable: str) -> str:
    """`8`, or `7 of 8` if some devices are not allocatable."""
    return capacity if capacity == allocatable else f"{allocatable} of {capacity}"
