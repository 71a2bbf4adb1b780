"""The sample pod: its resource request, and what its container received."""

from collections.abc import Callable, Mapping
from typing import Any

from gpunode.demo.changes import NodeState
from gpunode.demo.stage import Stage
from node_core.domain.labels import GPU_PRESENT
from simulation.apiserver.resources import resource_named
from simulation.apiserver.writes import Target, Writer
from simulation.kubelet.kubelet import ContainerGrant

NAME = "gpu-sample"
PRODUCT = "nvidia.com/gpu.product"
WHOLE_GPU = "nvidia.com/gpu"
MIG_PREFIX = "nvidia.com/mig-"

Obj = dict[str, Any]


def choose_resource(resources: Mapping[str, tuple[str, str]]) -> str | None:
    """MIG devices if there are any, then whole GPUs, then the resource with the most devices. None if no device is allocatable."""
    usable = {name: int(allocatable) for name, (_, allocatable) in sorted(resources.items()) if allocatable != "0"}
    return max(usable, key=lambda name: (name.startswith(MIG_PREFIX), name == WHOLE_GPU, usable[name]), default=None)


def render_pod(labels: Mapping[str, str], resource: str, amount: int) -> Obj:
    """A pod that selects nodes with this GPU model and requests GPUs."""
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
    """Creates the pod and waits until the kubelet accepts or rejects it. Returns the rows of `describe`. Raises ApiError."""
    collection = Target(resource=resource_named("pods"), namespace="default")
    created = stage.server.api.create(collection, manifest, Writer(manager="gpunode-demo"))
    finished = until(lambda _: _finished(stage.server.store.get("pods", NAME, "default")), "the sample pod")
    return describe(finished, stage.node_agent.grants.get(created["metadata"]["uid"], {}))


def describe(finished: Obj, grants: Mapping[str, ContainerGrant]) -> dict[str, str]:
    """Rows for the terminal: the node, the phase, and what each container received."""
    status = finished["status"]
    rows = {
        "placed on": finished["spec"].get("nodeName", "no node"),
        "phase": f"{status['phase']} (the simulated kubelet starts no container)",
    }
    if status["phase"] == "Failed":
        rows["why"] = f"{status.get('reason', '')}: {status.get('message', '')}"
    for grant in grants.values():
        rows |= {f"env {name}": value.replace(",", ",\n") for name, value in sorted(grant.env.items())}
        rows |= {f"device {device.container_path}": device.permissions for device in grant.devices}
        rows["CDI devices"] = ", ".join(grant.cdi_devices) or "none: environment variables select the GPUs"
    return rows


def _finished(pod: Obj) -> Obj | None:
    return pod if pod["status"].get("phase") in ("Running", "Succeeded", "Failed") else None
