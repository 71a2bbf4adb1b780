"""The sample pod: what it asks for, and what its container got."""

from collections.abc import Callable, Mapping
from typing import Any

from gpunode.demo.changes import NodeState
from gpunode.demo.stage import Stage
from node_core.domain.labels import GPU_PRESENT
from node_core.simulate.apiserver.resources import resource_named
from node_core.simulate.apiserver.writes import Target, Writer
from node_core.simulate.kubelet import ContainerGrant

NAME = "gpu-sample"
PRODUCT = "nvidia.com/gpu.product"
WHOLE_GPU = "nvidia.com/gpu"

Obj = dict[str, Any]


def choose_resource(resources: Mapping[str, tuple[str, str]]) -> str:
    """Whole GPUs where there are any, else the resource with most devices."""
    usable = {name: int(allocatable) for name, (_, allocatable) in resources.items()}
    return max(sorted(usable), key=lambda name: (name == WHOLE_GPU and usable[name] > 0, usable[name]))


def render_pod(labels: Mapping[str, str], resource: str, amount: int) -> Obj:
    """A pod that wants a node with this node's GPUs, as a person would write it."""
    selector = {PRODUCT: labels[PRODUCT]} if PRODUCT in labels else {GPU_PRESENT: "true"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": NAME},
        "spec": {
            "nodeSelector": selector,
            "containers": [
                {
                    "name": "main",
                    "image": "nvidia/cuda:12.4.1-base-ubuntu22.04",
                    "command": ["nvidia-smi"],
                    "resources": {"limits": {resource: amount}},
                }
            ],
        },
    }


def submit(stage: Stage, manifest: Obj, until: Callable[[Callable[[NodeState], Any], str], Any]) -> dict[str, str]:
    """Creates the pod, waits until the kubelet ran it or refused it, and says where it went and what it got."""
    collection = Target(resource=resource_named("pods"), namespace="default")
    created = stage.server.api.create(collection, manifest, Writer(manager="gpunode-demo"))
    finished = until(lambda _: _settled(stage.server.store.get("pods", NAME, "default")), "the sample pod")
    return describe(finished, stage.node_agent.grants.get(created["metadata"]["uid"], {}))


def describe(finished: Obj, grants: Mapping[str, ContainerGrant]) -> dict[str, str]:
    """Placement first, then what each container was given."""
    status = finished["status"]
    facts = {
        "placed on": finished["spec"].get("nodeName", "no node"),
        "phase": f"{status['phase']} (the kubelet stand-in starts no container)",
    }
    if status["phase"] == "Failed":
        facts["why"] = f"{status.get('reason', '')}: {status.get('message', '')}"
    for grant in grants.values():
        facts |= {f"env {name}": value.replace(",", ",\n") for name, value in sorted(grant.env.items())}
        facts |= {f"device {device.container_path}": device.permissions for device in grant.devices}
        facts["CDI devices"] = ", ".join(grant.cdi_devices) or "none: the environment names the GPUs"
    return facts


def _settled(pod: Obj) -> Obj | None:
    return pod if pod["status"].get("phase") in ("Running", "Succeeded", "Failed") else None
