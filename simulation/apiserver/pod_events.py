"""Events about Pods, as the components of Kubernetes record them. The simulated kubelet and scheduler use these functions."""

from typing import Any

from simulation.apiserver.api import Api
from simulation.apiserver.resources import resource_named
from simulation.apiserver.store import timestamp
from simulation.apiserver.writes import Target, Writer

Obj = dict[str, Any]


def pod_target(pod: Obj, subresource: str = "") -> Target:
    """Returns the target of requests for a Pod."""
    metadata = pod["metadata"]
    return Target(
        resource=resource_named("pods"), namespace=metadata["namespace"], name=metadata["name"], subresource=subresource
    )


def record_event(api: Api, pod: Obj, kind: str, reason: str, message: str, *, component: str, writer: Writer) -> None:
    """Records an Event. kind: Normal or Warning. component: the source of the Event. Raises ApiError if the namespace does not exist."""
    now, metadata = timestamp(api.store.clock()), pod["metadata"]
    about = {"apiVersion": "v1", "kind": "Pod", "resourceVersion": metadata["resourceVersion"]}
    about |= {name: metadata[name] for name in ("name", "namespace", "uid")}
    event = {
        "metadata": {"generateName": f"{metadata['name']}."},
        "involvedObject": about,
        "type": kind,
        "reason": reason,
        "message": message,
        "source": {"component": component},
        "reportingComponent": component,
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }
    api.create(Target(resource=resource_named("events"), namespace=metadata["namespace"]), event, writer)
