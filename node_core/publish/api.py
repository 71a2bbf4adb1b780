"""What every destination of labels does."""

from typing import Protocol

from node_core.domain.labels import Labels
from node_core.domain.node import NodeView


class Publisher(Protocol):
    """One destination, used by one thread."""

    def known(self) -> Labels | None:
        """What is published now as ours, also by an earlier process; None while that cannot be told yet."""
        ...

    def publish(self, labels: Labels) -> bool:
        """Makes `labels` all that is published as ours; whether that took a write. Raises PublishError or KubeError."""
        ...

    def observe(self, view: NodeView) -> None:
        """Takes in a state of our Node that the watch saw; of no interest to destinations other than the Node."""
        ...

    def refresh(self) -> None:
        """Asks once what is published, for a process that runs once and does not watch. Raises KubeError."""
        ...
