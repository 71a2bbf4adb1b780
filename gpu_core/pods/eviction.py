"""Selects the pods that must leave a Node before its driver is unloaded. PURE. Source: Kubernetes documentation, Safely Drain a Node."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from node_core.scheduling.objects import ApiStruct, Pod, PodSpec, PodStatus

RESOURCES = "nvidia.com/"
"""Prefix of the resources that are GPUs, or parts of GPUs. They can be renamed, so the rest of the name means nothing."""
DRAIN_SKIP = "nvidia.com/gpu-driver-upgrade-drain.skip"
"""A label of pods. With the value `true`, a drain leaves the pod on the node. Source: NVIDIA's GPU Operator."""
_MIRROR = "kubernetes.io/config.mirror"
"""Annotation of a pod that the kubelet has from a file. Such a pod cannot be evicted."""


class Volume(ApiStruct, frozen=True):
    """empty_dir: None for a volume of another kind."""

    empty_dir: dict[str, Any] | None = None


class DrainSpec(PodSpec, frozen=True):
    volumes: tuple[Volume, ...] = ()


class PodClaimStatus(ApiStruct, frozen=True):
    """name: of the entry in the spec. resource_claim_name: null if the pod needs no claim."""

    name: str = ""
    resource_claim_name: str | None = None


class DrainStatus(PodStatus, frozen=True):
    """resource_claim_statuses: the claims that were created from templates.

    extended_resource_claim_status: the claim for extended resources whose devices a DRA driver has.
    """

    resource_claim_statuses: tuple[PodClaimStatus, ...] = ()
    extended_resource_claim_status: PodClaimStatus | None = None


class DrainPod(Pod, frozen=True):
    """A pod of a Node, and what an eviction would mean to it."""

    spec: DrainSpec = DrainSpec()
    status: DrainStatus = DrainStatus()

    @property
    def is_terminating(self) -> bool:
        return bool(self.metadata.deletion_timestamp)

    @property
    def has_local_data(self) -> bool:
        """Whether the data of an emptyDir volume would be lost."""
        return any(each.empty_dir is not None for each in self.spec.volumes)

    @property
    def is_managed(self) -> bool:
        """Whether a controller creates another pod in its place."""
        return any(each.controller for each in self.metadata.owner_references)

    @property
    def is_removable(self) -> bool:
        """Whether an eviction makes sense: not of finished pods, nor of those that a DaemonSet or the kubelet would start again here."""
        is_of_daemon_set = any(each.kind == "DaemonSet" for each in self.metadata.owner_references)
        return not (self.is_finished or is_of_daemon_set or _MIRROR in self.metadata.annotations)

    @property
    def requests_gpus(self) -> bool:
        """Whether a container requests a resource of NVIDIA."""
        return any(
            name.startswith(RESOURCES)
            for each in (*self.spec.containers, *self.spec.init_containers)
            for name in (*each.resources.requests, *each.resources.limits)
        )

    @property
    def claims(self) -> tuple[str, ...]:
        """The names of the ResourceClaims of the pod, in its namespace."""
        return tuple(dict.fromkeys(self._claims()))

    def _claims(self) -> Iterator[str]:
        status = self.status
        created = {each.name: each.resource_claim_name for each in status.resource_claim_statuses}
        for entry in self.spec.resource_claims:
            if name := entry.get("resourceClaimName") or created.get(str(entry.get("name"))):
                yield str(name)
        extended = status.extended_resource_claim_status
        if extended is not None and extended.resource_claim_name:
            yield extended.resource_claim_name


class _PodList(msgspec.Struct, frozen=True, kw_only=True):
    items: tuple[DrainPod, ...]


def parse_drain_pods(response: Mapping[str, Any]) -> tuple[DrainPod, ...]:
    """Parses a list of pods. Raises ValueError for an object that is not a pod."""
    return msgspec.convert(response, type=_PodList).items


def parse_drain_pod(obj: Mapping[str, Any]) -> DrainPod:
    """Parses a pod. Raises ValueError for an object that is not a pod."""
    return msgspec.convert(obj, type=DrainPod)


def select_removable(pods: Iterable[DrainPod]) -> tuple[DrainPod, ...]:
    """Returns the pods that a drain removes."""
    return tuple(pod for pod in pods if pod.is_removable and pod.metadata.labels.get(DRAIN_SKIP) != "true")


def select_gpu_pods(pods: Iterable[DrainPod], claimants: Collection[str]) -> tuple[DrainPod, ...]:
    """Returns the pods that use GPUs: by a resource of NVIDIA, or by a ResourceClaim. claimants: `namespace/name`, see ClaimantFinder.

    DRAIN_SKIP has no effect on them, because they would lose their GPUs anyway.
    """
    return tuple(pod for pod in pods if pod.is_removable and (pod.requests_gpus or pod.key in claimants))
