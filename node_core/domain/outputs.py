"""What an agent wants on the Node beside labels, and the plan that gets extended resources there. PURE."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from node_core.domain.node import NodeView
from node_core.domain.quantity import parse_quantity
from node_core.domain.taints import Taint, WantedTaints

Resources = Mapping[str, str]
"""Name of an extended resource (`example.com/fpga`) -> quantity as Kubernetes writes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedResources:
    """partial: not all could be told, so nothing is taken away."""

    resources: Resources = field(default_factory=dict)
    partial: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeOutputs:
    """What the last look decided beside labels. partial: it could not tell all, so it may add and takes nothing away."""

    annotations: Mapping[str, str] = field(default_factory=dict)
    extended_resources: Resources = field(default_factory=dict)
    taints: tuple[Taint, ...] = ()
    partial: bool = False

    @property
    def wanted_taints(self) -> WantedTaints:
        return WantedTaints(taints=self.taints, partial=self.partial)

    @property
    def wanted_resources(self) -> WantedResources:
        return WantedResources(resources=self.extended_resources, partial=self.partial)

    def annotations_over(self, known: Mapping[str, str]) -> dict[str, str]:
        """All annotations to publish. known: what is published now."""
        return {**known, **self.annotations} if self.partial else dict(self.annotations)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourcePlan:
    """resources: all that is to be ours. cleared: what the kubelet zeroed and has to go first, with the text that stands there."""

    resources: Resources
    cleared: Resources = field(default_factory=dict)


def plan_resources(live: NodeView, wanted: WantedResources, manager: str) -> ResourcePlan | None:
    """What to write, or None when nothing has to change.

    A resource that the Node has and that is not ours belongs to a device plugin, the kubelet or a person: it stays theirs, equal or not.
    One of which there is 0 is free: a kubelet that starts without a checkpoint sets every extended resource to 0, ours too.
    """
    ours = live.capacity_by(manager)
    foreign = _foreign(live, manager)
    free = {name: amount for name, amount in wanted.resources.items() if _is_free(name, amount, foreign)}
    target = {**ours, **free} if wanted.partial else free
    cleared = {name: foreign[name] for name in target if name in foreign}
    if not cleared and _same(target, ours):
        return None
    return ResourcePlan(resources=dict(sorted(target.items())), cleared=cleared)


def taken_resources(live: NodeView, wanted: WantedResources, manager: str) -> tuple[str, ...]:
    """The wanted resources that cannot be set: the Node has them from somebody else, in another amount."""
    foreign = _foreign(live, manager)
    return tuple(
        name
        for name, amount in sorted(wanted.resources.items())
        if not _is_free(name, amount, foreign) and not _equal(foreign[name], amount)
    )


def render_clearing(resources: Resources) -> list[dict[str, str]]:
    """A JSON patch of the Node that takes these out of its capacity, if they stand there with just this text."""
    paths = {f"/status/capacity/{name.replace('/', '~1')}": amount for name, amount in sorted(resources.items())}
    tests = [{"op": "test", "path": path, "value": amount} for path, amount in paths.items()]
    return [*tests, *({"op": "remove", "path": path} for path in paths)]


def _foreign(live: NodeView, manager: str) -> Resources:
    ours = live.capacity_by(manager)
    return {name: amount for name, amount in live.capacity.items() if name not in ours}


def _is_free(name: str, amount: str, foreign: Resources) -> bool:
    return name not in foreign or (_equal(foreign[name], "0") and not _equal(amount, "0"))


def _same(left: Resources, right: Resources) -> bool:
    return left.keys() == right.keys() and all(_equal(left[name], right[name]) for name in left)


def _equal(left: str, right: str) -> bool:
    """As amounts: the API server gives 1000 back as 1k."""
    if left == right:
        return True
    try:
        return parse_quantity(left) == parse_quantity(right)
    except ValueError:
        return False
