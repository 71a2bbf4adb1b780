"""Messages to the control loop of an agent."""

from dataclasses import dataclass

from node_core.domain.node import NodeView
from node_core.domain.node_feature import NodeFeatureView
from node_core.errors import KubeError


@dataclass(frozen=True, slots=True)
class Resync:
    """The agent must read all inputs again."""


@dataclass(frozen=True, slots=True)
class NodeChanged:
    """The watched Node has a new state."""

    view: NodeView


@dataclass(frozen=True, slots=True)
class NodeUnavailable:
    """The Node is missing or cannot be watched at present."""

    error: KubeError


@dataclass(frozen=True, slots=True)
class Wake:
    """State outside the mailbox has changed: a discovery ended, the kubelet's folder changed, or an Xid was reported."""


@dataclass(frozen=True, slots=True)
class NodeFeatureChanged:
    """The NodeFeature object that the agent writes has a new state. view: None if the object does not exist."""

    view: NodeFeatureView | None


@dataclass(frozen=True, slots=True)
class InputsChanged:
    """An input of the agent has a new state: rules, NodeFeatures of other writers, or a config. The informer contains the state."""


@dataclass(frozen=True, slots=True)
class Stop:
    """The agent must end. Labels and the state of the kubelet do not change."""


AgentMessage = Resync | NodeChanged | NodeUnavailable | Wake | NodeFeatureChanged | InputsChanged | Stop
