"""Writes the status of an agent to its Node in a separate thread, so that a slow API server delays nothing else."""

from abc import abstractmethod
from collections.abc import Iterable
from typing import Generic, TypeVar

import structlog

from node_core.domain.backoff import Backoff
from node_core.domain.node import NodeView
from node_core.errors import KubeError
from node_core.publish.object_cache import ObjectCache
from node_core.runtime.services import Services
from node_core.runtime.worker import RETRIES, Worker

log = structlog.get_logger(__name__)

Status = TypeVar("Status")
Write = TypeVar("Write")


class NodeStatusWriter(Worker, Generic[Status, Write]):
    """desire, observe: callable from any thread without waiting. event: the log event of a write that must be retried.

    desired: the status at the start; None to write nothing before the first `desire`.
    """

    def __init__(
        self, name: str, services: Services, *, event: str, desired: Status | None = None, retries: Backoff = RETRIES
    ) -> None:
        super().__init__(name, services, retries)
        self._event = event
        self._desired = desired
        self._observed: ObjectCache[NodeView] = ObjectCache()
        self._refused: tuple[Write, ...] = ()

    @abstractmethod
    def _plan(self, desired: Status, observed: NodeView) -> Iterable[Write]:
        """Returns the writes that the observed Node needs, in their order. PURE."""

    @abstractmethod
    def _send(self, write: Write, observed: NodeView) -> NodeView:
        """Returns the Node after the write. Raises KubeError."""

    @abstractmethod
    def _refused_event(self, write: Write) -> str:
        """Returns the log event of a write that the API server refuses."""

    def desire(self, status: Status) -> None:
        with self._changed:
            if status != self._desired:
                self._desired, self._refused = status, ()
                self._changed.notify_all()

    def observe(self, node: NodeView) -> None:
        """Records a state of the Node from the informer."""
        with self._changed:
            self._observed.observe(node)
            self._changed.notify_all()

    def step(self) -> bool:
        """Writes each difference. Returns False if a write failed and must be retried later."""
        while (found := self._next()) is not None:
            write, observed = found
            try:
                self._accept(self._send(write, observed))
            except KubeError as error:
                if not error.is_final:
                    return self._failed(self._event, error)
                self._refuse(write, str(error))
            else:
                if self._is_next(write):  # an admission webhook reverts the write: do not repeat it endlessly
                    self._refuse(write, "the API server accepted the write, but the Node did not change")
        return self._succeeded()

    def _has_work(self) -> bool:
        return self._first() is not None

    def _next(self) -> tuple[Write, NodeView] | None:
        with self._changed:
            return self._first()

    def _is_next(self, write: Write) -> bool:
        found = self._next()
        return found is not None and found[0] == write

    def _first(self) -> tuple[Write, NodeView] | None:
        """Returns the first necessary write and the Node that needs the write. The caller holds the lock."""
        observed, desired = self._observed.view, self._desired
        if observed is None or desired is None:
            return None
        writes = (write for write in self._plan(desired, observed) if write not in self._refused)
        return next(((write, observed) for write in writes), None)

    def _accept(self, node: NodeView) -> None:
        """Records the Node of a response, unless the Node was deleted and created again since the request."""
        with self._changed:
            now = self._observed.view
            if now is not None and now.uid == node.uid:
                self._observed.set_from_response(node)

    def _refuse(self, write: Write, why: str) -> None:
        log.warning(self._refused_event(write), why=why)
        with self._changed:
            self._refused = (*self._refused, write)
