"""What every destination of labels does."""

from typing import Protocol

from node_core.domain.labels import Labels
from node_core.domain.node import NodeView


class Publisher(Protocol):
    """One destination, used by one thread."""

    def known(self) -> Labels | None:
        """What is published now as ours, also by an earlier process; None while that cannot be told yet.

        Raises PublishError or KubeError when it has to be asked for and there is no answer.
        """
        ...

    def publish(self, labels: Labels) -> bool:
        """Makes `labels` all that is published as ours; whether that took a write. Raises PublishError or KubeError."""
        ...

    def is_current(self, labels: Labels) -> bool:
        """Whether, by all that was observed, publishing `labels` would write nothing. Asks nobody."""
        ...

    def observe(self, view: NodeView) -> None:
        """Takes in a state of our Node that the watch saw; of no interest to destinations other than the Node."""
        ...

    def refresh(self) -> None:
        """Asks once what is published, for a process that runs once and does not watch. Raises KubeError."""
        ...
