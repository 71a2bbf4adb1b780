"""The desired condition and startup taint."""

import pytest

from device_plugin.health.node_status import NodeStatus, plan_node_status, reconcile_node
from device_plugin.health.startup_taint import STARTUP_TAINT_ANNOTATION
from gpu_core.domain.node_assessment import NodeAssessment, Reason
from node_core.domain.conditions import GPU_READY, Condition
from node_core.domain.node import NodeView
from node_core.domain.taints import Taint
from node_core.values import replace

TAINT = Taint(key="nvidia.com/gpu-not-ready", effect="NoSchedule")
READY = Condition(type=GPU_READY, is_true=True, reason="GPUsReady", message="8 of 8 GPUs are available.")
NODE = NodeView(name="n1", uid="A", resource_version="1", labels={})

ASSESSMENT = NodeAssessment(reason=Reason.READY, sentence="8 of 8 GPUs are available")


@pytest.mark.parametrize(
    ("node", "is_open", "is_registered", "is_tainted"),
    [
        (None, True, False, None),
        (NODE, True, False, True),
        (NODE, True, True, False),
        (replace(NODE, capacity={"nvidia.com/gpu": "8"}), True, False, None),
        (NODE, False, False, None),
        (replace(NODE, annotations={STARTUP_TAINT_ANNOTATION: str(TAINT)}), False, False, False),
    ],
    ids=["unknown", "never-had-gpus", "registered", "had-gpus", "gate-closed", "gate-closed-own-taint"],
)
def test_the_startup_taint_is_desired_until_the_devices_of_an_open_gate_are_registered(
    node: NodeView | None, is_open: bool, is_registered: bool, is_tainted: bool | None
) -> None:
    status = plan_node_status(ASSESSMENT, node, is_open=is_open, is_registered=is_registered)
    assert status.is_tainted is is_tainted
    assert status.condition == READY


def test_a_taint_that_is_not_configured_is_not_planned() -> None:
    assert list(reconcile_node(NodeStatus(is_tainted=True), NODE, None)) == []
