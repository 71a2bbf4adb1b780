"""The fields of one Pod that explain why it does not run. PURE. Source: Kubernetes API v1.

Lists of all Pods use the smaller `node_core.scheduling.objects.Pod`.
"""

from typing import Any

from node_core.scheduling.objects import ApiStruct, Container, Metadata, Pod, PodSpec, PodStatus


class ContainerPort(ApiStruct, frozen=True):
    """host_port: 0 for none."""

    host_port: int = 0


class DetailedContainer(Container, frozen=True):
    ports: tuple[ContainerPort, ...] = ()


class Volume(ApiStruct, frozen=True):
    """Both fields are as in the API; None for other kinds of volumes."""

    persistent_volume_claim: dict[str, Any] | None = None
    ephemeral: dict[str, Any] | None = None


class DetailedSpec(PodSpec, frozen=True):
    containers: tuple[DetailedContainer, ...] = ()
    volumes: tuple[Volume, ...] = ()


class Stop(ApiStruct, frozen=True):
    """Why a container waits or has ended. exit_code: only of a container that has ended."""

    reason: str = ""
    message: str = ""
    exit_code: int | None = None


class ContainerState(ApiStruct, frozen=True):
    waiting: Stop | None = None
    terminated: Stop | None = None


class ContainerStatus(ApiStruct, frozen=True):
    """last_state: of the run before the last restart."""

    name: str = ""
    restart_count: int = 0
    state: ContainerState = ContainerState()
    last_state: ContainerState = ContainerState()


class DetailedStatus(PodStatus, frozen=True):
    """nominated_node_name: the Node on which the scheduler evicts other Pods for this Pod."""

    container_statuses: tuple[ContainerStatus, ...] = ()
    init_container_statuses: tuple[ContainerStatus, ...] = ()
    nominated_node_name: str = ""


class PodDetails(Pod, frozen=True):
    spec: DetailedSpec = DetailedSpec()
    status: DetailedStatus = DetailedStatus()


class PodTemplate(ApiStruct, frozen=True):
    metadata: Metadata = Metadata()
    spec: DetailedSpec = DetailedSpec()
