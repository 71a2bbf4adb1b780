"""What an agent's owning thread is told."""

from dataclasses import dataclass

from node_core.domain.node import NodeView
from node_core.errors import KubeError


@dataclass(frozen=True, slots=True)
class Pass:
    """Look at everything again."""


@dataclass(frozen=True, slots=True)
class NodeSeen:
    """The watched Node has a new state."""

    view: NodeView


@dataclass(frozen=True, slots=True)
class NodeLost:
    """The Node cannot be followed just now."""

    error: KubeError


@dataclass(frozen=True, slots=True)
class KubeletChanged:
    """Something appeared in or vanished from the kubelet's device-plugin directory."""


@dataclass(frozen=True, slots=True)
class PublishedSeen:
    """What we published elsewhere than on the Node has a new state, which the publisher knows already."""


@dataclass(frozen=True, slots=True)
class RulesChanged:
    """What an agent goes by has a new state, which its link holds: rules of the cluster, what others say of this node, a config."""


@dataclass(frozen=True, slots=True)
class Stop:
    """End, leaving labels and kubelet state as they are."""


AgentMessage = Pass | NodeSeen | NodeLost | KubeletChanged | PublishedSeen | RulesChanged | Stop
