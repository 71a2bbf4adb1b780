"""The interface of every destination, and the function that applies the planned writes."""

from typing import Protocol

from node_core.domain.desired import Outputs
from node_core.domain.node import NodeView
from node_core.domain.node_feature import NodeFeatureView
from node_core.domain.reconcile import BlockedOutput, Write
from node_core.errors import KubeError, NodeError

ATTEMPTS = 5
"""Maximum attempts of one write if other clients change the object between the attempts."""


class Writer(Protocol):
    """One destination. Only one thread may use a Writer. The observed state comes from the informer or from the Writer's last write."""

    def observe(self, node: NodeView) -> None:
        """Accepts a state of the agent's Node from the informer."""
        ...

    def observe_object(self, node_feature: NodeFeatureView | None) -> None:
        """Accepts a state of the agent's NodeFeature object from the informer. None: the object does not exist."""
        ...

    def refresh(self) -> NodeView | None:
        """Reads the destination from the API server. Returns the Node if the destination uses the Node. Raises KubeError."""
        ...

    def published(self) -> Outputs | None:
        """Returns the outputs that this agent or an earlier process of the agent published, or None if the Node is unknown.

        Raises PublishError. The first read of an object can raise KubeError.
        """
        ...

    def reconcile(self, desired: Outputs) -> tuple[Write, ...]:
        """Returns the ordered writes that change the observed state to the desired state. Sends no request. Raises PublishError."""
        ...

    def blocked_outputs(self, desired: Outputs) -> tuple[BlockedOutput, ...]:
        """Returns the desired outputs that cannot be written because other field managers own the fields."""
        ...

    def apply(self, write: Write) -> None:
        """Applies one write and stores the response. Raises PublishError or KubeError; the status is 409 if the destination changed."""
        ...


def write_outputs(writer: Writer, desired: Outputs, *, kinds: tuple[type[Write], ...] = ()) -> bool:
    """Applies the planned writes. An error does not stop the other writes; the first error is raised at the end.

    Returns whether a write was applied. kinds: the types of the writes to apply; empty for all types.
    """
    wrote, errors = False, []
    for write in writer.reconcile(desired):
        if kinds and not isinstance(write, kinds):
            continue
        try:
            wrote = _apply(writer, write, desired) or wrote
        except NodeError as error:
            errors.append(error)
    if errors:
        raise errors[0]
    return wrote


def _apply(writer: Writer, write: Write, desired: Outputs) -> bool:
    """Applies one write. After a conflict, reads the destination and plans the write again. Returns whether a write was applied."""
    planned: Write | None = write
    for attempt in range(1, ATTEMPTS + 1):
        if planned is None:
            return False
        try:
            writer.apply(planned)
        except KubeError as error:
            if error.status != 409 or attempt == ATTEMPTS:
                raise
            writer.refresh()
            planned = next((each for each in writer.reconcile(desired) if type(each) is type(write)), None)
        else:
            break
    return True
