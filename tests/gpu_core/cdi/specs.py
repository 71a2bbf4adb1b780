"""Reads planned specifications."""

from gpu_core.cdi.plan import CdiPlan
from gpu_core.domain.cdi import Edits, Spec
from node_core.values import replace
from tests.gpu_core.cdi.conftest import Node

GPU_FILE = "k8s.device-plugin.nvidia.com-gpu.json"


def gpu_spec(plan: CdiPlan) -> Spec:
    return plan.specs[GPU_FILE]


def devices_of(plan: CdiPlan) -> dict[str, Edits]:
    return {device.name: device.edits for device in gpu_spec(plan).devices}


def without(node: Node, *paths: str) -> Node:
    left = {path: each for path, each in node.nodes.nodes.items() if path not in paths}
    return replace(node, nodes=replace(node.nodes, nodes=left))


def hooks_of(spec: Spec) -> list[str]:
    return [hook.args[2] for hook in spec.edits.hooks]
