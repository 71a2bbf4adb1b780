"""Caches UIDs, labels and containers of the node's pods from the API server. Needs `list` and `watch` on pods.

Source: Kubernetes API v1 Pod; Kubernetes documentation, Field Selectors.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from gpu_core.pods.holders import PodIdentity
from node_core.domain.backoff import Backoff
from node_core.errors import KubeError
from node_core.kube.client import NodeApi
from node_core.kube.informer import Informer
from node_core.kube.resources import Resource
from node_core.runtime import metrics
from node_core.runtime.services import Services

Obj = Mapping[str, Any]

_STATUSES = ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses")
_MIRROR = "kubernetes.io/config.mirror"
"""The annotation with the UID that the kubelet uses for a static pod. The API server has another UID for it."""


def parse_pod(pod: Obj, select: Callable[[Mapping[str, str]], Mapping[str, str]]) -> PodIdentity:
    """select: returns the exported labels. Raises KeyError, TypeError or AttributeError if the object is not a Pod."""
    metadata = pod["metadata"]
    uid = (metadata.get("annotations") or {}).get(_MIRROR) or metadata["uid"]
    return PodIdentity(
        uid=str(uid),
        namespace=str(metadata["namespace"]),
        name=str(metadata["name"]),
        labels=select(metadata.get("labels") or {}),
        containers=dict(_containers(pod.get("status") or {})),
    )


def _containers(status: Obj) -> Iterator[tuple[str, str]]:
    """Yields id and name of each container that was started. The API has the id as `containerd://<id>`."""
    for container in (each for kind in _STATUSES for each in status.get(kind) or ()):
        id_ = str(container.get("containerID") or "").partition("://")[2]
        if id_:
            yield id_, str(container["name"])


class PodInformer(Informer[PodIdentity]):
    """state: the pods of the node; None while they are unknown. Readable from any thread. After an error the state stays.

    select: returns the exported labels of a pod. Problems are reported as the check `<agent>/pods`.
    """

    def __init__(
        self,
        api: NodeApi,
        *,
        agent: str,
        services: Services,
        select: Callable[[Mapping[str, str]], Mapping[str, str]],
        backoff: Backoff | None = None,
    ) -> None:
        self.state: tuple[PodIdentity, ...] | None = None
        self._agent = agent
        self._services = services
        resource = Resource(
            description=f"Pods of the Node {api.node_name}",
            path="/api/v1/pods",
            selector={"fieldSelector": f"spec.nodeName={api.node_name}"},
            parse=lambda pod, _: parse_pod(pod, select),
        )
        super().__init__(api, resource, on_change=self._observe, on_error=self._observe_error, backoff=backoff)

    def _observe(self, pods: Mapping[str, PodIdentity]) -> None:
        self.state = tuple(pods.values())
        self._services.readiness.report(f"{self._agent}/pods", None)

    def _observe_error(self, error: KubeError) -> None:
        self._services.readiness.report(f"{self._agent}/pods", str(error))
        self._services.metrics.add(metrics.ERRORS, agent=self._agent, check="pods")
