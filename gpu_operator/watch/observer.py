"""Registers the handlers of kopf: one for the events of each kind, which fills the store.

No handler asks kopf to write to objects: there are no finalizers, no annotations and no Events of kopf.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import kopf

from gpu_operator.view import ClusterView
from gpu_operator.watch.credentials import connection_info
from gpu_operator.watch.kinds import KINDS, Kind
from gpu_operator.watch.store import ObjectStore
from node_core.errors import KubeError
from node_core.kube.cluster import Cluster

WATCH_SECONDS = 540
"""A watch ends after this time, and continues from its last version."""
PAGE = 500
"""Maximum objects in one page of a list."""
PERIOD_SECONDS = 600.0
"""Between two checks without such an event: kopf reports nothing if a list of a kind is empty after an outage."""
CHECK_SECONDS = 1.0
"""Between the event that makes a check of the store necessary, or an unsuccessful check, and the next check."""


class Observer:
    """One run of kopf. All methods but the constructor run in the loop of kopf.

    list_uids: returns the uids of all objects of a kind; raises KubeError. on_change: called after each change of a complete store.
    on_problem: receives why the store is not complete yet, or None.
    """

    def __init__(
        self,
        *,
        list_uids: Callable[[Kind], frozenset[str]],
        on_change: Callable[[], None],
        on_problem: Callable[[str | None], None],
    ) -> None:
        self.store = ObjectStore()
        self._list_uids, self._on_change, self._on_problem = list_uids, on_change, on_problem
        self._needs_check = asyncio.Event()
        self._needs_check.set()

    async def copy_view(self) -> ClusterView | None:
        return self.store.copy_view()

    def observe(self, kind: Kind, event_type: str | None, key: str, body: Mapping[str, Any]) -> None:
        if not self.store.observe(kind, event_type, key, body):
            self.require_check()
        elif self.store.is_complete:
            self._on_change()

    def require_check(self) -> None:
        """Compares the store with the cluster again. Until then the view is unknown."""
        self.store.is_complete = False
        self._needs_check.set()

    async def check_for_ever(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._needs_check.wait(), PERIOD_SECONDS)
            await asyncio.sleep(CHECK_SECONDS)
            self._needs_check.clear()
            problem = await self._check()
            self._on_problem(problem)
            if problem is not None:
                self._needs_check.set()
            elif not self._needs_check.is_set():  # no new list began during the check
                self.store.is_complete = True
                self._on_change()

    async def _check(self) -> str | None:
        """Returns why the store is not complete, or None."""
        missing = 0
        for kind in KINDS:
            before = self.store.uids(kind)
            try:
                listed = await asyncio.to_thread(self._list_uids, kind)
            except KubeError as error:
                return str(error)
            missing += self.store.compare(kind, before, listed)
        return f"{missing} objects are not watched yet" if missing else None


def make_registry(observer: Observer, connect: Callable[[], Cluster]) -> kopf.OperatorRegistry:
    """connect: reads the credentials. Raises KubeError."""
    registry = kopf.OperatorRegistry()

    async def login(**_: Any) -> kopf.ConnectionInfo:
        return connection_info(await asyncio.to_thread(connect))

    kopf.on.login(registry=registry, id="login")(login)
    for kind in KINDS:
        _register(registry, kind, observer)
    return registry


def _register(registry: kopf.OperatorRegistry, kind: Kind, observer: Observer) -> None:
    async def handle(type: str | None, body: Mapping[str, Any], name: str, namespace: str | None, **_: Any) -> None:  # noqa: A002
        observer.observe(kind, type, f"{namespace}/{name}" if namespace else name, body)

    kopf.on.event(kind.group, kind.version, kind.plural, registry=registry, id=f"watch-{kind.field}")(handle)


def make_settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = (
        True  # the kinds are fixed, so that no rights on CustomResourceDefinitions and namespaces are needed
    )
    settings.peering.standalone = True  # a Lease elects the leader
    settings.watching.server_timeout = WATCH_SECONDS
    settings.watching.chunk_size = PAGE
    for kind in KINDS:
        if kind.selector:
            settings.watching.label_selectors[kind.group, kind.version, kind.plural] = kind.selector
    return settings
