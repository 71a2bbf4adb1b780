"""Messages to the control loop of an agent."""

import msgspec

from node_core.domain.node import NodeView
from node_core.domain.node_feature import NodeFeatureView
from node_core.errors import KubeError


class Resync(msgspec.Struct, frozen=True):
    """The agent must read all inputs again."""


class NodeChanged(msgspec.Struct, frozen=True):
    """The watched Node has a new state."""

    view: NodeView


class NodeUnavailable(msgspec.Struct, frozen=True):
    """The Node is missing or cannot be watched at present."""

    error: KubeError


class Wake(msgspec.Struct, frozen=True):
    """State outside the mailbox has changed: a discovery ended, the kubelet's folder changed, or an Xid was reported."""


class NodeFeatureChanged(msgspec.Struct, frozen=True):
    """The NodeFeature object that the agent writes has a new state. view: None if the object does not exist."""

    view: NodeFeatureView | None


class InputsChanged(msgspec.Struct, frozen=True):
    """An input of the agent has a new state: rules, NodeFeatures of other writers, or a config. The informer contains the state."""


class Stop(msgspec.Struct, frozen=True):
    """The agent must end. Labels and the state of the kubelet do not change."""


AgentMessage = Resync | NodeChanged | NodeUnavailable | Wake | NodeFeatureChanged | InputsChanged | Stop
