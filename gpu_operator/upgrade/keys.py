"""Labels and annotations of the upgrade, and the states of a Node. PURE.

Source: NVIDIA GPU Operator documentation, GPU Driver Upgrades. The annotations below `nvidia.com/gpunode` are of this project.
"""

from enum import StrEnum

from gpu_operator.view import UPGRADE_STATE

STATE = UPGRADE_STATE
"""Label of a Node: a `State`."""
SKIP = "nvidia.com/gpu-driver-upgrade.skip"
"""Label of a Node. With the value `true`, no upgrade starts on the Node."""
WAS_UNSCHEDULABLE = "nvidia.com/gpu-driver-upgrade.node-initial-state.unschedulable"
"""Annotation of a Node that was unschedulable before its upgrade, so that the Node remains unschedulable afterwards."""
CORDONED = "nvidia.com/gpunode.driver-upgrade.cordoned"
"""Annotation of a Node that the upgrade made unschedulable."""
PROGRESS = "nvidia.com/gpunode.driver-upgrade.progress"
"""Annotation of a Node: a `Progress`. The upgrade removes labels and annotations only from Nodes that have this annotation."""
REASON = "nvidia.com/gpunode.driver-upgrade.reason"
"""Annotation of a Node: why its upgrade has failed, or why a pod is not evicted. A sentence for people."""
ANNOTATIONS = (WAS_UNSCHEDULABLE, CORDONED, PROGRESS, REASON)


class State(StrEnum):
    """The states of a Node, in order. FAILED can follow each state from DELETION to VALIDATION."""

    UNKNOWN = ""
    REQUIRED = "upgrade-required"
    CORDON = "cordon-required"
    WAIT = "wait-for-jobs-required"
    DELETION = "pod-deletion-required"
    DRAIN = "drain-required"
    RESTART = "pod-restart-required"
    VALIDATION = "validation-required"
    UNCORDON = "uncordon-required"
    DONE = "upgrade-done"
    FAILED = "upgrade-failed"


BUSY = (State.CORDON, State.WAIT, State.DELETION, State.DRAIN, State.RESTART, State.VALIDATION, State.UNCORDON)
"""States of a Node whose upgrade is in progress."""


def parse_state(label: str) -> State:
    """Returns UNKNOWN for a text that is not a state: the Node begins again."""
    return State(label) if label in set(State) else State.UNKNOWN
