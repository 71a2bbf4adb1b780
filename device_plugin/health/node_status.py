"""Plans the condition GPUReady and the startup taint of the Node. PURE.

The desired status is always compared with the observed Node and not with earlier writes, so a Node that is created again gets all of it.
"""

from collections.abc import Iterator

import msgspec

from device_plugin.health.startup_taint import STARTUP_TAINT_ANNOTATION, had_gpus, plan_startup_taint
from gpu_core.domain.node_assessment import NodeAssessment
from node_core.domain.conditions import GPU_READY, Condition
from node_core.domain.node import NodeView
from node_core.domain.taints import Taint, TaintPlan


class NodeStatus(msgspec.Struct, frozen=True, kw_only=True):
    """condition: None to leave the condition unchanged. is_tainted: whether the Node must have the startup taint; None for no change."""

    condition: Condition | None = None
    is_tainted: bool | None = None


class ConditionWrite(msgspec.Struct, frozen=True, kw_only=True):
    """uid: the UID of the Node."""

    uid: str
    condition: Condition


class TaintWrite(msgspec.Struct, frozen=True, kw_only=True):
    """uid: the UID of the Node. is_tainted: whether the Node has the startup taint after the write."""

    uid: str
    is_tainted: bool
    plan: TaintPlan


NodeWrite = ConditionWrite | TaintWrite


def plan_node_status(
    assessment: NodeAssessment | None, node: NodeView | None, *, is_open: bool, is_registered: bool
) -> NodeStatus:
    """is_open: the gate is open. is_registered: all advertised resources are registered with the running kubelet."""
    condition = None
    if assessment is not None:
        reason = str(assessment.reason)
        condition = Condition(type=GPU_READY, is_true=assessment.is_ready, reason=reason, message=assessment.text)
    return NodeStatus(condition=condition, is_tainted=_is_tainted(node, is_open=is_open, is_registered=is_registered))


def reconcile_node(desired: NodeStatus, observed: NodeView, taint: Taint | None) -> Iterator[NodeWrite]:
    """Yields the writes that the observed Node needs. taint: the configured startup taint, or None."""
    if taint is not None and desired.is_tainted is not None:
        plan = plan_startup_taint(observed, taint, is_desired=desired.is_tainted)
        if plan is not None:
            yield TaintWrite(uid=observed.uid, is_tainted=desired.is_tainted, plan=plan)
    if (condition := desired.condition) is not None:
        current = observed.conditions.get(condition.type)
        if current is None or not current.equals(condition):
            yield ConditionWrite(uid=observed.uid, condition=condition)


def _is_tainted(node: NodeView | None, *, is_open: bool, is_registered: bool) -> bool | None:
    """A Node that never had GPUs is tainted until its GPUs are registered. With a closed gate, only the plugin's own taint is removed."""
    if node is None:
        return None
    if not is_open:
        return False if STARTUP_TAINT_ANNOTATION in node.annotations else None
    if is_registered:
        return False
    return None if had_gpus(node) else True
