"""The fields of Nodes and Pods that decide where a pod runs, and that describe a Node's GPUs. PURE. Source: Kubernetes API v1.

msgspec skips all other fields while it decodes, so a list of thousands of objects needs little memory.
"""

from typing import Any

import msgspec

Quantity = str | int | float
"""The API server returns texts. Manifests of users may contain numbers."""


class ApiStruct(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """A part of an API object. The keys of the API are in camelCase."""


class OwnerReference(ApiStruct, frozen=True):
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool = False


class Metadata(ApiStruct, frozen=True):
    """creation_timestamp: RFC 3339."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    owner_references: tuple[OwnerReference, ...] = ()
    creation_timestamp: str = ""
    deletion_timestamp: str = ""


class Condition(ApiStruct, frozen=True):
    """last_transition_time: RFC 3339; null if the writer of the condition sets none."""

    type: str
    status: str = "Unknown"
    reason: str = ""
    message: str = ""
    last_transition_time: str | None = None

    @property
    def since(self) -> str:
        return self.last_transition_time or ""


class Taint(ApiStruct, frozen=True):
    key: str
    value: str = ""
    effect: str = ""


class NodeSpec(ApiStruct, frozen=True):
    unschedulable: bool = False
    taints: tuple[Taint, ...] = ()


class NodeSystemInfo(ApiStruct, frozen=True):
    kubelet_version: str = ""
    container_runtime_version: str = ""
    kernel_version: str = ""
    os_image: str = ""
    architecture: str = ""


class NodeStatus(ApiStruct, frozen=True):
    capacity: dict[str, Quantity] = {}
    allocatable: dict[str, Quantity] = {}
    conditions: tuple[Condition, ...] = ()
    node_info: NodeSystemInfo = NodeSystemInfo()


class Node(ApiStruct, frozen=True):
    metadata: Metadata
    spec: NodeSpec = NodeSpec()
    status: NodeStatus = NodeStatus()

    @property
    def name(self) -> str:
        return self.metadata.name

    @property
    def labels(self) -> dict[str, str]:
        return self.metadata.labels

    def condition(self, kind: str) -> Condition | None:
        return next((each for each in self.status.conditions if each.type == kind), None)


class ResourceRequirements(ApiStruct, frozen=True):
    """claims: the names of entries of PodSpec.resource_claims."""

    requests: dict[str, Quantity] = {}
    limits: dict[str, Quantity] = {}
    claims: tuple[dict[str, Any], ...] = ()


class Container(ApiStruct, frozen=True):
    """restart_policy: `Always` for a sidecar among the init containers."""

    name: str = ""
    resources: ResourceRequirements = ResourceRequirements()
    restart_policy: str = ""


class Toleration(ApiStruct, frozen=True):
    key: str = ""
    operator: str = ""
    value: str = ""
    effect: str = ""


class Requirement(ApiStruct, frozen=True):
    """A requirement of a node selector term. operator: In, NotIn, Exists, DoesNotExist, Gt or Lt."""

    key: str = ""
    operator: str = ""
    values: tuple[str, ...] = ()


class NodeSelectorTerm(ApiStruct, frozen=True):
    match_expressions: tuple[Requirement, ...] = ()
    match_fields: tuple[Requirement, ...] = ()


class NodeSelector(ApiStruct, frozen=True):
    node_selector_terms: tuple[NodeSelectorTerm, ...] = ()


class NodeAffinity(ApiStruct, frozen=True):
    required_during_scheduling_ignored_during_execution: NodeSelector | None = None


class Affinity(ApiStruct, frozen=True):
    """pod_affinity, pod_anti_affinity: as in the API."""

    node_affinity: NodeAffinity = NodeAffinity()
    pod_affinity: dict[str, Any] = {}
    pod_anti_affinity: dict[str, Any] = {}


class PodSpec(ApiStruct, frozen=True):
    """resources: of the whole pod. overhead: of the RuntimeClass."""

    node_name: str = ""
    scheduler_name: str = ""
    node_selector: dict[str, str] = {}
    affinity: Affinity = Affinity()
    tolerations: tuple[Toleration, ...] = ()
    containers: tuple[Container, ...] = ()
    init_containers: tuple[Container, ...] = ()
    resources: ResourceRequirements = ResourceRequirements()
    overhead: dict[str, Quantity] = {}
    scheduling_gates: tuple[dict[str, Any], ...] = ()
    resource_claims: tuple[dict[str, Any], ...] = ()
    topology_spread_constraints: tuple[dict[str, Any], ...] = ()
    priority: int = 0


class PodStatus(ApiStruct, frozen=True):
    phase: str = ""
    reason: str = ""
    message: str = ""
    conditions: tuple[Condition, ...] = ()


class Pod(ApiStruct, frozen=True):
    metadata: Metadata
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()

    @property
    def key(self) -> str:
        """`namespace/name`."""
        return f"{self.metadata.namespace}/{self.metadata.name}"

    @property
    def is_finished(self) -> bool:
        return self.status.phase in ("Succeeded", "Failed")


class ObjectReference(ApiStruct, frozen=True):
    """namespace: empty for a cluster-scoped object."""

    kind: str = ""
    namespace: str = ""
    name: str = ""


class EventSeries(ApiStruct, frozen=True):
    """last_observed_time: RFC 3339."""

    count: int = 0
    last_observed_time: str | None = None


class Event(ApiStruct, frozen=True):
    """type: Normal or Warning. The times are RFC 3339. Old clients set first_timestamp and last_timestamp, new clients event_time."""

    metadata: Metadata = Metadata()
    involved_object: ObjectReference = ObjectReference()
    type: str = ""
    reason: str = ""
    message: str = ""
    count: int | None = None
    first_timestamp: str | None = None
    last_timestamp: str | None = None
    event_time: str | None = None
    series: EventSeries | None = None

    @property
    def last_seen(self) -> str:
        """RFC 3339."""
        series = self.series.last_observed_time if self.series is not None else None
        return series or self.last_timestamp or self.event_time or self.metadata.creation_timestamp

    @property
    def times(self) -> int:
        """How often the Event happened."""
        return (self.series.count if self.series is not None else 0) or self.count or 1
