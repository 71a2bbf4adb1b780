"""The fields of one Pod that explain why it does not run. PURE. Source: Kubernetes API v1.

Lists of all Pods use the smaller `node_core.scheduling.objects.Pod`.
"""

from typing import Any

from gpunode.cluster.objects import ContainerPort, DetailedStatus
from node_core.scheduling.objects import ApiStruct, Container, Metadata, Pod, PodSpec


class DetailedContainer(Container, frozen=True):
    ports: tuple[ContainerPort, ...] = ()


class Volume(ApiStruct, frozen=True):
    """Both fields are as in the API; None for other kinds of volumes."""

    persistent_volume_claim: dict[str, Any] | None = None
    ephemeral: dict[str, Any] | None = None


class DetailedSpec(PodSpec, frozen=True):
    containers: tuple[DetailedContainer, ...] = ()
    volumes: tuple[Volume, ...] = ()


class PodDetails(Pod, frozen=True):
    spec: DetailedSpec = DetailedSpec()
    status: DetailedStatus = DetailedStatus()


class PodTemplate(ApiStruct, frozen=True):
    metadata: Metadata = Metadata()
    spec: DetailedSpec = DetailedSpec()
