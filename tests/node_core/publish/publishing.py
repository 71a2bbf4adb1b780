"""A writer, and the steps of the agent that uses it."""

from node_core.domain.desired import Outputs
from node_core.domain.labels import Labels
from node_core.publish.writer import Writer, write_outputs
from node_core.values import replace


class Publishing:
    """outputs: the desired outputs other than labels. Tests change them."""

    def __init__(self, writer: Writer, outputs: Outputs | None = None) -> None:
        self.writer = writer
        self.outputs = outputs or Outputs()

    def publish(self, labels: Labels) -> bool:
        return write_outputs(self.writer, replace(self.outputs, labels=labels))

    def is_current(self, labels: Labels) -> bool:
        return not self.writer.reconcile(replace(self.outputs, labels=labels))

    def known(self) -> Labels | None:
        published = self.writer.published()
        return None if published is None else published.labels
