"""Events about Pods, as the components of Kubernetes record them."""

from typing import Any

from node_core.simulate.apiserver.api import Api
from node_core.simulate.apiserver.resources import resource_named
from node_core.simulate.apiserver.store import timestamp
from node_core.simulate.apiserver.writes import Target, Writer

Obj = dict[str, Any]


def pod_target(pod: Obj, subresource: str = "") -> Target:
    """Where a Pod is in the API."""
    metadata = pod["metadata"]
    return Target(
        resource=resource_named("pods"), namespace=metadata["namespace"], name=metadata["name"], subresource=subresource
    )


def record_event(api: Api, pod: Obj, kind: str, reason: str, message: str, *, component: str, writer: Writer) -> None:
    """kind: Normal or Warning. component: who says so. Raises ApiError when the Pod's namespace is gone."""
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
