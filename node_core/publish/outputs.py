"""Everything that an agent has on its Node, published as one: by the same thread and with the same retries."""

from collections.abc import Callable, Iterator

from node_core.domain.labels import Labels
from node_core.domain.node import NodeView
from node_core.domain.outputs import NodeOutputs
from node_core.domain.taints import WantedTaints
from node_core.errors import NodeError
from node_core.publish.api import Publisher
from node_core.publish.resources import ResourceKeeper
from node_core.publish.taints import TaintKeeper


class OutputsPublisher:
    """Publishes labels wherever `labels` does, and keeps taints and extended resources on the Node.

    outputs: what is wanted beside labels at each publishing; None: it stays as it is. resources: None for an agent that has none.
    enable_taints: without it ours are taken away.
    """

    def __init__(
        self,
        labels: Publisher,
        *,
        outputs: Callable[[], NodeOutputs | None],
        taints: TaintKeeper,
        resources: ResourceKeeper | None = None,
        enable_taints: bool = True,
    ) -> None:
        self._labels = labels
        self._outputs = outputs
        self._taints = taints
        self._resources = resources
        self._enable_taints = enable_taints

    def known(self) -> Labels | None:
        return self._labels.known()

    def observe(self, view: NodeView) -> None:
        self._labels.observe(view)
        self._taints.observe(view)
        if self._resources is not None:
            self._resources.observe(view)

    def refresh(self) -> None:
        self._labels.refresh()

    def is_current(self, labels: Labels) -> bool:
        outputs = self._outputs()
        taints, resources = self._wanted_taints(outputs), self._resources
        return (
            self._labels.is_current(labels)
            and (taints is None or self._taints.is_current(taints))
            and (outputs is None or resources is None or resources.is_current(outputs.wanted_resources))
        )

    def publish(self, labels: Labels) -> bool:
        """Taints first, so that no pod comes by a label before the taint is there. What can go out does, also when another part cannot."""
        wrote, errors = False, []
        for write in self._writes(labels, self._outputs()):
            try:
                wrote = write() or wrote
            except NodeError as error:
                errors.append(error)
        if errors:
            raise errors[0]
        return wrote

    def _wanted_taints(self, outputs: NodeOutputs | None) -> WantedTaints | None:
        if not self._enable_taints:
            return WantedTaints()
        return outputs.wanted_taints if outputs else None

    def _writes(self, labels: Labels, outputs: NodeOutputs | None) -> Iterator[Callable[[], bool]]:
        taints, resources = self._wanted_taints(outputs), self._resources
        if taints is not None:
            yield lambda: self._taints.apply(taints)
        if outputs is not None and resources is not None:
            yield lambda: resources.apply(outputs.wanted_resources)
        yield lambda: self._labels.publish(labels)
