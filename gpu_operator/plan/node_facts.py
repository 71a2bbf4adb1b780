"""What the labels of a Node mean for its driver. PURE. Source: labels of Node Feature Discovery, which nfd-lite also publishes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gpu_operator.view import DEPLOY_DRIVER, DEPLOY_OPERANDS, GPU_PRESENT, OWNER, PRE_INSTALLED, Obj, labels_of

_FEATURE = "feature.node.kubernetes.io"
OS_ID = f"{_FEATURE}/system-os_release.ID"
OS_VERSION = f"{_FEATURE}/system-os_release.VERSION_ID"
OS_MAJOR = f"{_FEATURE}/system-os_release.VERSION_ID.major"
KERNEL = f"{_FEATURE}/kernel-version.full"
ARCHITECTURE = "kubernetes.io/arch"
MAJOR_ONLY = frozenset({"rhel", "rocky", "ol"})
"""Systems whose images are tagged with the major version only."""
OPENSHIFT = "rhcos"
REFUSED_VALUES = ("false", PRE_INSTALLED)
"""Values of DEPLOY_DRIVER with which a Node gets no driver pod."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFacts:
    """The labels that matter for drivers. Missing labels are empty texts. owner: the NVIDIADriver whose driver the Node has at present."""

    name: str
    labels: Mapping[str, str]

    @property
    def has_gpu(self) -> bool:
        return self.labels.get(GPU_PRESENT) == "true"

    @property
    def owner(self) -> str:
        return self.labels.get(OWNER, "")

    @property
    def is_opted_out(self) -> bool:
        return self.labels.get(DEPLOY_OPERANDS) == "false" or self.labels.get(DEPLOY_DRIVER) == "false"

    @property
    def has_own_driver(self) -> bool:
        return self.labels.get(DEPLOY_DRIVER) == PRE_INSTALLED

    @property
    def os_version_label(self) -> str:
        """The label whose value is the version in the tag of the image."""
        return OS_MAJOR if self.labels.get(OS_ID) in MAJOR_ONLY else OS_VERSION

    def missing_labels(self, *, is_precompiled: bool) -> tuple[str, ...]:
        """Returns the labels without which the image of the driver is not known."""
        return tuple(key for key in self._required(is_precompiled=is_precompiled) if not self.labels.get(key))

    def _required(self, *, is_precompiled: bool) -> Iterator[str]:
        yield from (ARCHITECTURE, OS_ID, self.os_version_label)
        if is_precompiled:
            yield KERNEL


def read_facts(nodes: Mapping[str, Obj]) -> tuple[NodeFacts, ...]:
    """Returns the facts of all Nodes, sorted by name."""
    return tuple(NodeFacts(name=name, labels=labels_of(nodes[name])) for name in sorted(nodes))
