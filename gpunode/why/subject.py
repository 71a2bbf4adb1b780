"""The question: a pod, and what the cluster has. PURE."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from gpunode.cluster.claim_devices import ClaimDevice
from gpunode.cluster.claim_objects import ResourceClaim
from gpunode.cluster.fleet import Holder
from gpunode.why.pod import PodDetails
from gpunode.why.workloads import POD, Pause
from node_core.scheduling.objects import Event, Node

DEFAULT_SCHEDULER = "default-scheduler"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A Pod, or the template of a workload that has no Pods.

    kind: of the Pod or of the workload. is_live: the Pod exists in the cluster. owner: `Deployment web`, or empty. events: of the Pod, the
    newest first. node: of a Pod that has a Node; None if it cannot be read. creation_errors: why Pods of the workload are not created.
    pause: why the workload wants no Pods. notes: sentences about the other Pods of the workload, and about missing rights.
    """

    pod: PodDetails
    kind: str = "Pod"
    is_live: bool = True
    owner: str = ""
    events: tuple[Event, ...] = ()
    node: Node | None = None
    creation_errors: tuple[Event, ...] = ()
    pause: Pause | None = None
    notes: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """`Pod team/train`."""
        metadata = self.pod.metadata
        return f"{self.kind} {metadata.namespace}/{metadata.name}"

    @property
    def is_template(self) -> bool:
        return self.kind != POD

    @property
    def needs_nodes(self) -> bool:
        """Whether the scheduler has to select a Node."""
        return not (self.pod.is_finished or self.pod.spec.node_name)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimSnapshot:
    """claims: by namespace and name. devices: Node -> its devices in ResourceSlices. classes: the names of the DeviceClasses.

    resources: extended resource -> the DeviceClass that serves it.
    """

    claims: Mapping[str, ResourceClaim] = field(default_factory=dict)
    devices: Mapping[str, tuple[ClaimDevice, ...]] = field(default_factory=dict)
    classes: frozenset[str] = frozenset()
    resources: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The Nodes of the cluster. used, holders: by the name of the Node. notes: what could not be read.

    claims: None if no pod in question needs claims, or if they are unknown.
    """

    nodes: tuple[Node, ...]
    used: Mapping[str, Mapping[str, Fraction]] = field(default_factory=dict)
    holders: Mapping[str, tuple[Holder, ...]] = field(default_factory=dict)
    claims: ClaimSnapshot | None = None
    notes: tuple[str, ...] = ()


EMPTY = Snapshot(nodes=())
