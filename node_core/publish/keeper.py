"""What is ours on the Node among what others have there: planned from the Node as it is, written to just that state.

Nothing is sent when the plan is to leave all as it is. When somebody else changed the Node meanwhile, the plan is made anew.
"""

from abc import ABC, abstractmethod
from typing import Generic, TypeVar

from node_core.domain.node import NodeView
from node_core.errors import KubeError
from node_core.publish.latest import Latest

ATTEMPTS = 5
"""How often one write is planned anew because somebody else changed the Node meanwhile."""

Wanted = TypeVar("Wanted")
Plan = TypeVar("Plan")


class Keeper(ABC, Generic[Wanted, Plan]):
    """`observe` brings each state of the Node that the watch sees. Used by one thread."""

    def __init__(self) -> None:
        self._latest: Latest[NodeView] = Latest()

    def observe(self, view: NodeView) -> None:
        self._latest.observe(view)

    def is_current(self, wanted: Wanted) -> bool:
        """Whether nothing has to be written; so it is while the Node is not known."""
        return self._latest.view is None or self._plan(self._latest.view, wanted) is None

    def apply(self, wanted: Wanted) -> bool:
        """Makes this all that is ours; whether that took a write. Reads the Node when none was observed. Raises KubeError."""
        live = self._latest.view or self._read()
        wrote = False
        for attempt in range(1, ATTEMPTS + 1):
            plan = self._plan(live, wanted)
            if plan is None:
                break
            try:
                live = self._latest.answered(self._write(plan, live))
            except KubeError as error:
                if error.status != 409 or attempt == ATTEMPTS:
                    raise
                live = self._read()
            else:
                wrote = True
                break
        self._tell(live, wanted)
        return wrote

    def _read(self) -> NodeView:
        return self._latest.answered(self._get())

    @abstractmethod
    def _get(self) -> NodeView: ...

    @abstractmethod
    def _plan(self, live: NodeView, wanted: Wanted) -> Plan | None: ...

    @abstractmethod
    def _write(self, plan: Plan, live: NodeView) -> NodeView: ...

    @abstractmethod
    def _tell(self, live: NodeView, wanted: Wanted) -> None:
        """Says what others have in the way, when that changes."""
