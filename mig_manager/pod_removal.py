"""Removes the pods that use devices which must become free."""

from typing import Protocol

from mig_manager.busy_policy import BusyPolicy
from node_core.errors import KubeError


class PodRemover(Protocol):
    """See node_core.kube.pods.PodApi. Both methods raise KubeError."""

    def evict(self, namespace: str, name: str) -> None: ...

    def delete(self, namespace: str, name: str) -> None: ...


def remove_pod(api: PodRemover, namespace: str, name: str, policy: BusyPolicy) -> str | None:
    """Evicts or deletes a pod; with the policy WAIT, does nothing. Returns why the pod is not removed, or None."""
    try:
        match policy:
            case BusyPolicy.EVICT:
                api.evict(namespace, name)
            case BusyPolicy.FORCE:
                api.delete(namespace, name)
            case BusyPolicy.WAIT:
                return None
    except KubeError as error:
        return f"pod {namespace}/{name} is not removed: {error}"
    return None
