"""What became different on a Node between two looks, as lines for a person. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from node_core.domain.labels import GPU_PRESENT

AGENT_OF_PREFIX = (
    ("feature.node.kubernetes.io/", "nfd-lite"),
    (GPU_PRESENT, "nfd-lite"),
    ("nvidia.com/", "gfd"),
)
PLUGIN = "gpu-device-plugin"
KUBERNETES = "kubernetes"
SOMEBODY = "somebody"
"""Who took a label away: a Node does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeState:
    """labels: all of the Node. owners: label -> the field manager that has it. resources: resource -> (capacity, allocatable)."""

    labels: Mapping[str, str] = field(default_factory=dict)
    owners: Mapping[str, str] = field(default_factory=dict)
    resources: Mapping[str, tuple[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """agent: who did it, as far as the Node says. before or after is None where the thing appeared or vanished."""

    agent: str
    kind: Literal["label", "resource"]
    key: str
    before: str | None
    after: str | None


def agent_of(key: str) -> str:
    """The agent whose label this is; `kubernetes` for everybody else's."""
    return next((agent for prefix, agent in AGENT_OF_PREFIX if key.startswith(prefix)), KUBERNETES)


def group_labels(labels: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Labels by agent, sorted, the agents in the order in which they act."""
    groups: dict[str, dict[str, str]] = {"nfd-lite": {}, "gfd": {}, KUBERNETES: {}}
    for key, value in sorted(labels.items()):
        groups[agent_of(key)][key] = value
    return groups


def diff_nodes(before: NodeState, after: NodeState) -> tuple[Change, ...]:
    """Every label and resource that differs, labels first, each sorted by key."""
    labels = [
        Change(agent=after.owners.get(key, SOMEBODY), kind="label", key=key, before=old, after=new)
        for key, old, new in _differences(before.labels, after.labels)
    ]
    resources = [
        Change(agent=PLUGIN, kind="resource", key=key, before=old, after=new)
        for key, old, new in _differences(_shown(before.resources), _shown(after.resources))
    ]
    return (*labels, *resources)


def show_resource(capacity: str, allocatable: str) -> str:
    """`8`, or `7 of 8` while some devices cannot be allocated."""
    return capacity if capacity == allocatable else f"{allocatable} of {capacity}"


def _shown(resources: Mapping[str, tuple[str, str]]) -> dict[str, str]:
    return {name: show_resource(*amounts) for name, amounts in resources.items()}


def _differences(before: Mapping[str, str], after: Mapping[str, str]) -> list[tuple[str, str | None, str | None]]:
    keys = sorted(before.keys() | after.keys())
    return [(key, before.get(key), after.get(key)) for key in keys if before.get(key) != after.get(key)]
