"""The fields of DaemonSets and Pods that show how programs run. PURE. Source: Kubernetes API v1 Pod, apps/v1 DaemonSet.

Other verbs list all Pods of a cluster, and do not need these fields. So they are not in node_core.scheduling.objects.
"""

import msgspec

from node_core.scheduling.objects import Affinity, ApiStruct, Condition, Container, Metadata, PodSpec, Requirement


class EnvironmentVariable(ApiStruct, frozen=True):
    name: str = ""
    value: str = ""


class ContainerPort(ApiStruct, frozen=True):
    name: str = ""
    container_port: int = 0


class ProgramContainer(Container, frozen=True):
    image: str = ""
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: tuple[EnvironmentVariable, ...] = ()
    ports: tuple[ContainerPort, ...] = ()


class ProgramSpec(PodSpec, frozen=True):
    containers: tuple[ProgramContainer, ...] = ()


class PodTemplate(ApiStruct, frozen=True):
    spec: ProgramSpec = ProgramSpec()


class LabelSelector(ApiStruct, frozen=True):
    match_labels: dict[str, str] = msgspec.field(default_factory=dict)
    match_expressions: tuple[Requirement, ...] = ()


class DaemonSetSpec(ApiStruct, frozen=True):
    selector: LabelSelector = LabelSelector()
    template: PodTemplate = PodTemplate()


class DaemonSet(ApiStruct, frozen=True):
    metadata: Metadata
    spec: DaemonSetSpec = DaemonSetSpec()

    @property
    def key(self) -> str:
        """`namespace/name`."""
        return f"{self.metadata.namespace}/{self.metadata.name}"


class Waiting(ApiStruct, frozen=True):
    reason: str = ""
    message: str = ""


class Terminated(ApiStruct, frozen=True):
    """message: the end of the log, or the termination message."""

    reason: str = ""
    message: str = ""
    exit_code: int = 0
    signal: int = 0
    finished_at: str | None = None


class Running(ApiStruct, frozen=True):
    started_at: str | None = None


class ContainerState(ApiStruct, frozen=True):
    waiting: Waiting | None = None
    running: Running | None = None
    terminated: Terminated | None = None


class ContainerStatus(ApiStruct, frozen=True):
    name: str = ""
    ready: bool = False
    restart_count: int = 0
    state: ContainerState = ContainerState()
    last_state: ContainerState = ContainerState()


class ProgramPodSpec(ApiStruct, frozen=True):
    node_name: str = ""
    affinity: Affinity = Affinity()


class ProgramPodStatus(ApiStruct, frozen=True):
    phase: str = ""
    reason: str = ""
    message: str = ""
    conditions: tuple[Condition, ...] = ()
    init_container_statuses: tuple[ContainerStatus, ...] = ()
    container_statuses: tuple[ContainerStatus, ...] = ()


class ProgramPod(ApiStruct, frozen=True):
    """A Pod of a DaemonSet."""

    metadata: Metadata
    spec: ProgramPodSpec = ProgramPodSpec()
    status: ProgramPodStatus = ProgramPodStatus()

    @property
    def key(self) -> str:
        """`namespace/name`."""
        return f"{self.metadata.namespace}/{self.metadata.name}"

    @property
    def target(self) -> str:
        """The Node of the pod. The DaemonSet controller selects the Node of a pod by its affinity until the pod is scheduled."""
        required = self.spec.affinity.node_affinity.required_during_scheduling_ignored_during_execution
        terms = required.node_selector_terms if required is not None else ()
        names = (each.values for term in terms for each in term.match_fields if each.key == "metadata.name")
        return self.spec.node_name or next((values[0] for values in names if values), "")

    @property
    def is_running(self) -> bool:
        """Whether all containers run. They may be not ready."""
        statuses = self.status.container_statuses
        return bool(statuses) and all(each.state.running is not None for each in statuses)
