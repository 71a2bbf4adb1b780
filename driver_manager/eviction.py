"""Selects the pods that must leave a node before its driver is unloaded. PURE. Source: Kubernetes documentation, Safely Drain a Node."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from node_core.scheduling.objects import ApiStruct, Container, Pod, PodSpec

RESOURCES = "nvidia.com/"
DRAIN_SKIP = "nvidia.com/gpu-driver-upgrade-drain.skip"
"""A label of pods. With the value `true`, a drain leaves the pod on the node. Source: NVIDIA's GPU Operator."""
_MIRROR = "kubernetes.io/config.mirror"


class Volume(ApiStruct, frozen=True):
    """empty_dir: None for a volume of another kind."""

    empty_dir: dict[str, Any] | None = None


class DrainSpec(PodSpec, frozen=True):
    volumes: tuple[Volume, ...] = ()


class DrainPod(Pod, frozen=True):
    """A pod, and whether its data would be lost."""

    spec: DrainSpec = DrainSpec()

    @property
    def has_local_data(self) -> bool:
        return any(each.empty_dir is not None for each in self.spec.volumes)

    @property
    def is_managed(self) -> bool:
        """Whether a controller creates another pod in its place."""
        return any(each.controller for each in self.metadata.owner_references)


class _PodList(msgspec.Struct, frozen=True, kw_only=True):
    items: tuple[DrainPod, ...]


def parse_drain_pods(response: Mapping[str, Any]) -> tuple[DrainPod, ...]:
    """Parses a list of pods. Raises ValueError for an object that is not a pod."""
    return msgspec.convert(response, type=_PodList).items


def select_removable(pods: Iterable[DrainPod]) -> tuple[DrainPod, ...]:
    """Returns the pods that a drain removes."""
    return tuple(pod for pod in pods if _is_removable(pod) and pod.metadata.labels.get(DRAIN_SKIP) != "true")


def select_gpu_pods(pods: Iterable[DrainPod]) -> tuple[DrainPod, ...]:
    """Returns the pods with resources of NVIDIA or with ResourceClaims, whose devices a pod does not name: they can be GPUs.

    DRAIN_SKIP has no effect on them, because they would lose their GPUs anyway.
    """
    return tuple(pod for pod in pods if _is_removable(pod) and _uses_gpus(pod))


def _is_removable(pod: DrainPod) -> bool:
    """Whether an eviction makes sense: not of finished pods, nor of those that a DaemonSet or the kubelet would start again here."""
    is_of_daemon_set = any(each.kind == "DaemonSet" for each in pod.metadata.owner_references)
    return not (pod.is_finished or is_of_daemon_set or _MIRROR in pod.metadata.annotations)


def _uses_gpus(pod: DrainPod) -> bool:
    containers: tuple[Container, ...] = (*pod.spec.containers, *pod.spec.init_containers)
    asked = (name for each in containers for name in {**each.resources.requests, **each.resources.limits})
    return bool(pod.spec.resource_claims) or any(name.startswith(RESOURCES) for name in asked)


def find_obstacles(pods: Iterable[DrainPod], *, force: bool, deletes_local_data: bool) -> tuple[str, ...]:
    """Describes the pods that must not be evicted, and the setting that allows it."""
    listed = tuple(pods)
    lonely = [pod.key for pod in listed if not (force or pod.is_managed)]
    local = [pod.key for pod in listed if not deletes_local_data and pod.has_local_data]
    return (
        *(
            [f"no controller replaces {', '.join(lonely)} (set DRAIN_USE_FORCE=true to evict such pods)"]
            if lonely
            else []
        ),
        *(
            [f"the emptyDir data of {', '.join(local)} would be lost (set DRAIN_DELETE_EMPTYDIR_DATA=true)"]
            if local
            else []
        ),
    )
