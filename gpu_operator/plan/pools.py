"""Divides the Nodes of each NVIDIADriver into pools that need the same image. PURE."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gpu_operator.plan.node_facts import ARCHITECTURE, KERNEL, OPENSHIFT, OS_ID, NodeFacts
from gpu_operator.spec import DriverSpec
from gpu_operator.view import OWNER

NO_TOOLKIT = (
    "drivers without usePrecompiled need OpenShift's driver toolkit, which is not supported. Use precompiled images"
)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class NodePool:
    """The Nodes of an NVIDIADriver that share these values. kernel: empty unless the images are precompiled.

    version_label: the label with the value os_version.
    """

    driver: str
    os_id: str
    os_version: str
    architecture: str
    kernel: str = ""
    version_label: str

    @property
    def os_tag(self) -> str:
        """The end of the tag of the image: `ubuntu22.04`."""
        return f"{self.os_id}{self.os_version}"

    @property
    def node_labels(self) -> dict[str, str]:
        """The labels that only the Nodes of this pool have."""
        kernel = {KERNEL: self.kernel} if self.kernel else {}
        labels = {OWNER: self.driver, OS_ID: self.os_id, self.version_label: self.os_version}
        return {**labels, ARCHITECTURE: self.architecture, **kernel}


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePools:
    """nodes: pool -> names of its Nodes, sorted. missing: Node -> the labels that it lacks. refused: Node -> why it cannot get a driver."""

    nodes: Mapping[NodePool, tuple[str, ...]] = field(default_factory=dict)
    missing: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)


def divide_nodes(
    nodes: Iterable[NodeFacts], owners: Mapping[str, str], specs: Mapping[str, DriverSpec | None]
) -> NodePools:
    """owners: Node -> its NVIDIADriver. Nodes of an object without a usable spec are in no pool."""
    pools: dict[NodePool, list[str]] = {}
    missing: dict[str, tuple[str, ...]] = {}
    refused: dict[str, str] = {}
    for node in nodes:
        owner = owners.get(node.name)
        spec = specs.get(owner) if owner is not None else None
        if owner is None or spec is None:
            continue
        if lacking := node.missing_labels(is_precompiled=spec.use_precompiled):
            missing[node.name] = lacking
        elif node.labels[OS_ID] == OPENSHIFT and not spec.use_precompiled:
            refused[node.name] = NO_TOOLKIT
        else:
            pools.setdefault(pool_of(node, owner, is_precompiled=spec.use_precompiled), []).append(node.name)
    ordered = {pool: tuple(sorted(pools[pool])) for pool in sorted(pools)}
    return NodePools(nodes=ordered, missing=missing, refused=refused)


def pool_of(node: NodeFacts, driver: str, *, is_precompiled: bool) -> NodePool:
    """Returns the pool of a Node that has all required labels."""
    return NodePool(
        driver=driver,
        os_id=node.labels[OS_ID],
        os_version=node.labels[node.os_version_label],
        architecture=node.labels[ARCHITECTURE],
        kernel=node.labels[KERNEL] if is_precompiled else "",
        version_label=node.os_version_label,
    )
