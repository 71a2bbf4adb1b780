"""The status of an NVIDIADriver. PURE. All lists are bounded, and nothing in them depends on the time.

Source: Kubernetes API conventions, typical status properties.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gpu_operator.plan.driver_pods import EXCLUDED, NEEDS_PERSON, Reason, Wait
from gpu_operator.plan.pools import NodePool
from gpu_operator.spec import Decoded
from gpu_operator.view import Obj

MAX_GROUPS, MAX_NAMES, MAX_POOLS, MAX_IGNORED = 20, 20, 100, 50
MAX_MESSAGE = 1024
READY, ERROR = "Ready", "Error"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePoolState:
    """A pool, with the name and the image of its DaemonSet. nodes: their names."""

    pool: NodePool
    name: str
    image: str
    nodes: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverState:
    """Everything that the status of one NVIDIADriver states. waits: Node -> why it has no ready driver; other Nodes of pools are ready.

    problem: why the last pass could not write what it had to, or None.
    """

    decoded: Decoded
    pools: Sequence[NodePoolState] = ()
    waits: Mapping[str, Wait] = field(default_factory=dict)
    problem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A condition of the status."""

    type: str
    is_true: bool
    reason: str
    message: str


def render_status(state: DriverState, observed: Obj, *, now: str) -> dict[str, Any]:
    """Renders the status. observed: the NVIDIADriver. now: RFC 3339, for conditions whose status changes."""
    waiting = {node: wait for node, wait in state.waits.items() if wait.reason not in EXCLUDED}
    desired = {node for pool in state.pools for node in pool.nodes} | waiting.keys()
    conditions = plan_conditions(state)
    counts = {
        "desired": len(desired),
        "ready": len(desired) - len(waiting),
        "waiting": len(waiting),
        "excluded": len(state.waits) - len(waiting),
    }
    return {
        "state": "ready" if conditions[0].is_true else "notReady",
        "observedGeneration": observed["metadata"].get("generation", 0),
        "nodes": counts,
        "conditions": [_render_condition(each, observed, now) for each in conditions],
        "pools": [_render_pool(each, state.waits) for each in state.pools[:MAX_POOLS]],
        "withoutDriver": render_groups(state.waits),
        "notSupported": list(state.decoded.ignored[:MAX_IGNORED]),
    }


def plan_conditions(state: DriverState) -> tuple[Condition, Condition]:
    """Returns the conditions Ready and Error."""
    if state.decoded.spec is None:
        why = f"The spec is not usable, and the DaemonSets do not change: {'; '.join(state.decoded.problems)}"
        return _failed("SpecNotValid", why)
    serious = {node: wait for node, wait in state.waits.items() if wait.reason in NEEDS_PERSON}
    if state.problem is not None:
        return _failed("WriteFailed", state.problem)
    if serious:
        first = render_groups(serious)[0]
        return _failed(first["reason"], f"{first['count']} Nodes, such as {first['nodes'][0]}: {first['message']}")
    waiting = sum(wait.reason not in EXCLUDED for wait in state.waits.values())
    fine = Condition(type=ERROR, is_true=False, reason="NoError", message="")
    if waiting:
        message = f"{waiting} Nodes wait for their driver. See withoutDriver."
        return Condition(type=READY, is_true=False, reason="NodesWait", message=message), fine
    reason, message = (
        ("AllReady", "All selected Nodes have a driver.") if state.pools else ("NoNodes", "No Node is selected.")
    )
    return Condition(type=READY, is_true=True, reason=reason, message=message), fine


def _failed(reason: str, message: str) -> tuple[Condition, Condition]:
    text = message if len(message) <= MAX_MESSAGE else f"{message[: MAX_MESSAGE - 3]}..."
    return (
        Condition(type=READY, is_true=False, reason=reason, message=text),
        Condition(type=ERROR, is_true=True, reason=reason, message=text),
    )


def render_groups(waits: Mapping[str, Wait]) -> list[dict[str, Any]]:
    """Groups the Nodes by the reason, the most serious first. The names of the Nodes are sorted."""
    groups: dict[Wait, list[str]] = {}
    for node in sorted(waits):
        groups.setdefault(waits[node], []).append(node)
    order = list(Reason)
    ordered = sorted(groups, key=lambda wait: (order.index(wait.reason), -len(groups[wait]), wait.message))
    return [
        {
            "reason": str(wait.reason),
            "message": wait.message[:MAX_MESSAGE],
            "count": len(groups[wait]),
            "nodes": groups[wait][:MAX_NAMES],
        }
        for wait in ordered[:MAX_GROUPS]
    ]


def _render_pool(state: NodePoolState, waits: Mapping[str, Wait]) -> dict[str, Any]:
    pool = state.pool
    return {
        "daemonSet": state.name,
        "os": pool.os_tag,
        "architecture": pool.architecture,
        **({"kernel": pool.kernel} if pool.kernel else {}),
        "image": state.image,
        "desired": len(state.nodes),
        "ready": sum(node not in waits for node in state.nodes),
    }


def _render_condition(desired: Condition, driver: Obj, now: str) -> dict[str, Any]:
    status = "True" if desired.is_true else "False"
    before = find_condition(driver, desired.type)
    since = before.get("lastTransitionTime") if before.get("status") == status else None
    return {
        "type": desired.type,
        "status": status,
        "reason": desired.reason,
        "message": desired.message,
        "observedGeneration": driver["metadata"].get("generation", 0),
        "lastTransitionTime": since or now,
    }


def find_condition(driver: Obj, kind: str) -> Obj:
    """Returns the condition of the observed status; an empty mapping if it is missing."""
    conditions: Iterable[Obj] = (driver.get("status") or {}).get("conditions") or ()
    return next((each for each in conditions if each.get("type") == kind), {})
