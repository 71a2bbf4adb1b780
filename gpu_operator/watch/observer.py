"""Registers the handlers of kopf: an index for each kind, and a handler for each event, which reports that the indices have changed.

No handler asks kopf to write to objects: there are no finalizers, no annotations and no Events of kopf.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import kopf

from gpu_operator.view import ClusterView, Obj
from gpu_operator.watch.credentials import connection_info
from gpu_operator.watch.kinds import KINDS, Kind, make_view
from node_core.kube.cluster import Cluster

WATCH_SECONDS = 540
"""A watch ends after this time, and continues from its last version."""
PAGE = 500
"""Maximum objects in one page of a list."""
Indices = Mapping[str, "kopf.Index[str, Obj]"]


class Observer:
    """One run of kopf. Its view is complete when `on_change` is called the first time, and does not become incomplete.

    kopf lists the objects of a kind again after the API server has forgotten the version of a watch, and does not notice which objects
    were deleted before. Then `on_relist` is called, and the owner must replace this observer by a new one.
    """

    def __init__(self, *, on_change: Callable[[], None], on_relist: Callable[[], None]) -> None:
        self._on_change, self._on_relist = on_change, on_relist
        self._indices: Indices | None = None
        self._seen: set[str] = set()

    async def copy_view(self) -> ClusterView | None:
        """Returns the present state, or None before the state is complete. Runs in the loop of kopf, which changes the indices."""
        indices = self._indices
        if indices is None:
            return None
        return make_view(
            {kind.field: {key: next(iter(store)) for key, store in indices[kind.field].items()} for kind in KINDS}
        )

    def observe(self, event_type: str | None, uid: str, indices: Indices) -> None:
        """Handles an event. event_type: None for an object of a list. Events begin when the first list of every kind is complete."""
        if event_type is None and uid in self._seen:
            self._on_relist()
            return
        if event_type == "DELETED":
            self._seen.discard(uid)
        else:
            self._seen.add(uid)
        self._indices = indices
        self._on_change()


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
    async def index(body: Mapping[str, Any], name: str, namespace: str | None, **_: Any) -> dict[str, Obj]:
        return {f"{namespace}/{name}" if namespace else name: kind.prune(body)}

    async def handle(type: str | None, uid: str, **more: Any) -> None:  # noqa: A002 - as kopf calls it
        observer.observe(type, uid, {each.field: more[each.field] for each in KINDS})

    kopf.index(kind.group, kind.version, kind.plural, registry=registry, id=kind.field)(index)
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
