"""Evicts pods from this node, and waits until they have ended.

Needs `list` on pods, `get` on resourceclaims, and `create` on pods/eviction.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from driver_manager.obstacles import find_obstacles
from driver_manager.wait import Waiter
from gpu_core.pods.claimants import ClaimantFinder
from gpu_core.pods.eviction import DrainPod, parse_drain_pods, select_gpu_pods, select_removable
from node_core.errors import DriverError, KubeError
from node_core.kube.http import ApiClient, parse_response
from node_core.kube.pods import PodApi

log = structlog.get_logger(__name__)

RETRY_SECONDS = 5.0
"""Seconds between two requests to evict a pod, as in `kubectl drain`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvictionPolicy:
    """force: also pods without a controller. seconds: until the last pod has ended. selector: of the pods to drain; empty for all."""

    force: bool = False
    deletes_local_data: bool = False
    seconds: float = math.inf
    selector: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evictor:
    """Each call raises KubeError, and DriverError if a pod must not be evicted or does not end."""

    api: ApiClient
    node_name: str
    policy: EvictionPolicy
    waiter: Waiter

    def evict_gpu_pods(self) -> None:
        """Evicts the pods that have resources of NVIDIA, or ResourceClaims with GPUs."""
        claimants = ClaimantFinder(self.api)

        def list_gpu_pods() -> tuple[DrainPod, ...]:
            pods = self._list()
            return select_gpu_pods(pods, claimants.find(pods))

        self._evict(list_gpu_pods)

    def drain(self) -> None:
        """Evicts all pods, or those of the selector."""
        self._evict(lambda: select_removable(self._list(self.policy.selector)))

    def _list(self, selector: str = "") -> tuple[DrainPod, ...]:
        query = {"fieldSelector": f"spec.nodeName={self.node_name}"} | ({"labelSelector": selector} if selector else {})
        return parse_response(parse_drain_pods, self.api.request("GET", "/api/v1/pods", query=query))

    def _evict(self, select: Callable[[], tuple[DrainPod, ...]]) -> None:
        policy, refused = self.policy, dict[str, str]()
        if obstacles := find_obstacles(select(), force=policy.force, deletes_local_data=policy.deletes_local_data):
            raise DriverError(f"the pods of the node {self.node_name} are not evicted: {'; '.join(obstacles)}")

        def evict_remaining() -> tuple[DrainPod, ...]:
            left = select()
            for pod in left:
                self._request(pod, refused)
            return left

        if left := self.waiter.until_empty(evict_remaining, policy.seconds, RETRY_SECONDS):
            named = ", ".join(f"{pod.key}{refused.get(pod.key, '')}" for pod in left)
            hint = "end these pods, change their disruption budgets, or set a longer DRAIN_TIMEOUT_SECONDS"
            raise DriverError(f"these pods did not end within {policy.seconds:g} s: {named}", hint=hint)

    def _request(self, pod: DrainPod, refused: dict[str, str]) -> None:
        """Requests the eviction of a pod that has not begun to end. Logs the first refusal by a disruption budget."""
        if pod.is_terminating:
            return
        try:
            PodApi(self.api).evict(pod.metadata.namespace, pod.metadata.name, uid=pod.metadata.uid or None)
        except KubeError as error:
            if error.status not in (409, 429):
                raise
            if pod.key not in refused:
                log.warning("eviction_refused", pod=pod.key, why=error.message, effect="the request is repeated")
            refused[pod.key] = f" ({error.message})"
        else:
            log.info("pod_evicted", pod=pod.key)
