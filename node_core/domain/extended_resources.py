"""Plans extended resources on the Node. PURE. Source: Kubernetes documentation, Advertise Extended Resources for a Node."""

from collections.abc import Mapping

import msgspec

from node_core.domain.node import NodeView
from node_core.domain.quantity import parse_quantity

Resources = Mapping[str, str]
"""Name of an extended resource (`example.com/fpga`) -> quantity as Kubernetes writes it."""


class ResourcePlan(msgspec.Struct, frozen=True, kw_only=True):
    """resources: all resources that the field manager owns afterwards.

    cleared: resources that the kubelet set to 0 and that have to be removed first, with their text on the Node.
    """

    resources: Resources
    cleared: Resources = msgspec.field(default_factory=dict)


def plan_resources(observed: NodeView, desired: Resources, manager: str) -> ResourcePlan | None:
    """Returns the plan, or None without changes.

    A resource of another writer (a device plugin, the kubelet or a person) is not taken over, not even with an equal amount. An amount
    of 0 is an exception: a kubelet that starts without a checkpoint sets every extended resource to 0, and those of this manager too.
    """
    owned = observed.capacity_by(manager)
    foreign = _foreign(observed, manager)
    available = {name: amount for name, amount in desired.items() if _is_available(name, amount, foreign)}
    cleared = {name: foreign[name] for name in available if name in foreign}
    if not cleared and _same(available, owned):
        return None
    return ResourcePlan(resources=dict(sorted(available.items())), cleared=cleared)


def blocked_resources(observed: NodeView, desired: Resources, manager: str) -> tuple[str, ...]:
    """Returns the desired resources that another writer has set to another amount."""
    foreign = _foreign(observed, manager)
    return tuple(
        name
        for name, amount in sorted(desired.items())
        if not _is_available(name, amount, foreign) and not _equal(foreign[name], amount)
    )


def render_clearing(resources: Resources) -> list[dict[str, str]]:
    """Renders a JSON patch that removes these resources from the Node's capacity, if each still has this text."""
    paths = {f"/status/capacity/{name.replace('/', '~1')}": amount for name, amount in sorted(resources.items())}
    tests = [{"op": "test", "path": path, "value": amount} for path, amount in paths.items()]
    return [*tests, *({"op": "remove", "path": path} for path in paths)]


def _foreign(observed: NodeView, manager: str) -> Resources:
    owned = observed.capacity_by(manager)
    return {name: amount for name, amount in observed.capacity.items() if name not in owned}


def _is_available(name: str, amount: str, foreign: Resources) -> bool:
    return name not in foreign or (_equal(foreign[name], "0") and not _equal(amount, "0"))


def _same(left: Resources, right: Resources) -> bool:
    return left.keys() == right.keys() and all(_equal(left[name], right[name]) for name in left)


def _equal(left: str, right: str) -> bool:
    """Compares amounts, not texts: the API server returns 1000 as 1k."""
    if left == right:
        return True
    try:
        return parse_quantity(left) == parse_quantity(right)
    except ValueError:
        return False
