"""The fields of DaemonSets and Pods that show how programs run. PURE. Source: Kubernetes API v1 Pod, apps/v1 DaemonSet.

Other verbs list all Pods of a cluster, and do not need these fields. So they are not in node_core.scheduling.objects.
"""

from gpunode.cluster.objects import ContainerPort, DetailedStatus, LabelSelector
from node_core.scheduling.objects import Affinity, ApiStruct, Container, Metadata, PodSpec


class EnvironmentVariable(ApiStruct, frozen=True):
    name: str = ""
    value: str = ""


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


class ProgramPodSpec(ApiStruct, frozen=True):
    node_name: str = ""
    affinity: Affinity = Affinity()


class ProgramPod(ApiStruct, frozen=True):
    """A Pod of a DaemonSet."""

    metadata: Metadata
    spec: ProgramPodSpec = ProgramPodSpec()
    status: DetailedStatus = DetailedStatus()

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
