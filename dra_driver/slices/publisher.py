"""Writes the ResourceSlices of the node in a separate thread. Without differences there is neither a read nor a write.

The slices stay when the process ends: a pod that is replaced leaves no gap, and the kubelet removes the slices of a driver that does not
come back. `gpunode cleanup` removes the slices of an uninstalled driver.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import structlog

from dra_driver.devices.model import Device
from dra_driver.slices.api import SliceApi, slices_of
from dra_driver.slices.changes import SliceWrite, comparable, differs, plan_writes
from dra_driver.slices.features import SliceFeatures
from dra_driver.slices.plan import Specs, Taints, plan_slices
from dra_driver.slices.previous import parse_devices
from node_core.domain.backoff import Backoff
from node_core.errors import KubeError
from node_core.kube.informer import Informer
from node_core.kube.resources import Obj
from node_core.runtime.services import Services
from node_core.runtime.worker import RETRIES, Worker

log = structlog.get_logger(__name__)

NOT_WRITTEN = "the ResourceSlices have not been written yet"
_NOT_ACCEPTED = (404, 422)
"""Statuses of an API server that was upgraded, and accepts another version or other fields than before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """What the driver offers. taints: name of a device -> its taints."""

    devices: Sequence[Device]
    taints: Taints = field(default_factory=dict)


class Watch(Protocol):
    """The informer of the slices."""

    def start(self) -> None: ...

    def stop(self) -> None: ...


OnChange = Callable[[Mapping[str, Obj]], None]
OnError = Callable[[KubeError], None]
OpenWatch = Callable[[str, OnChange, OnError], Watch]


class SlicePublisher(Worker):
    """`recall` and `desire` may be called from any thread, and do not wait. features, problem, previous: readable from any thread.

    features: what the API server accepts; None before the first request. problem: why the slices are not up to date; None if they are.
    previous: the devices that an earlier process published; None before the response to `recall`. on_recall: called with this response.
    """

    def __init__(
        self,
        api: SliceApi,
        services: Services,
        *,
        open_watch: OpenWatch | None = None,
        retries: Backoff = RETRIES,
        on_recall: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__("resource slices", services, retries)
        self.previous: Mapping[str, Device] | None = None
        self._must_recall = False
        self._on_recall = on_recall
        self.features: SliceFeatures | None = None
        self.problem: str | None = NOT_WRITTEN
        self._api = api
        self._open_watch = open_watch or self._open_informer
        self._watch: Watch | None = None
        self._pool: Pool | None = None
        self._observed: Mapping[str, Obj] = {}
        self._accepted: dict[str, Any] = {}
        self._must_check = False

    def recall(self) -> None:
        """Begins to read the devices that an earlier process published."""
        with self._changed:
            self._must_recall = True
            self._changed.notify_all()

    def desire(self, pool: Pool) -> None:
        """Sets what the slices must contain."""
        with self._changed:
            if pool != self._pool:
                self._pool, self._accepted, self._must_check = pool, {}, True
                self._changed.notify_all()

    def observe(self, slices: Mapping[str, Obj]) -> None:
        """Records the slices of the informer."""
        with self._changed:
            self._observed, self._must_check = slices, True
            self._changed.notify_all()

    def observe_error(self, error: KubeError) -> None:
        """A version of the API that is gone is discovered again, because the API server was upgraded."""
        log.warning("slices_not_watched", why=str(error))
        if error.status == 404:
            with self._changed:
                self.features, self._must_check = None, True
                self._changed.notify_all()

    def stop(self) -> None:
        super().stop()
        if self._watch is not None:
            self._watch.stop()

    def step(self) -> bool:
        if self._must_recall:
            return self._recall()
        with self._changed:
            pool, self._must_check = self._pool, False
        try:
            if pool is not None:
                self._reconcile(pool)
        except KubeError as error:
            self.problem = str(error)
            with self._changed:
                self._must_check = True
                if error.status in _NOT_ACCEPTED:
                    self.features = None
            return self._failed("slices_not_written", error)
        self.problem = None
        return self._succeeded()

    def _recall(self) -> bool:
        try:
            self.previous = parse_devices(self._api.list_previous(), self._api.client.node_name)
        except KubeError as error:
            self.problem = str(error)
            return self._failed("slices_not_read", error)
        self.problem = NOT_WRITTEN
        self._must_recall = False
        self._on_recall()
        return self._succeeded()

    def _has_work(self) -> bool:
        if self._must_recall:
            return True
        if self._pool is None or not self._must_check:
            return False
        if self.features is None or self.problem is not None:
            return True
        return differs(self._plan(self._pool, self.features), self._observed, self._accepted)

    def _reconcile(self, pool: Pool) -> None:
        features = self.features or self._discover()
        desired = self._plan(pool, features)
        observed = self._api.list(features.version)
        if differs(desired, observed, self._accepted):
            self._write(desired, plan_writes(desired, observed, self._api.read_node(), features.version), features)

    def _write(self, desired: Specs, writes: Sequence[SliceWrite], features: SliceFeatures) -> None:
        for write in writes:
            stored = self._api.write(write, features.version)
            if write.body is not None:
                self._accept(write.name, desired[write.name], stored)
        log.info("slices_written", slices=len(desired), writes=len(writes))

    def _accept(self, name: str, spec: Obj, stored: Obj) -> None:
        """Records the form of a slice that the API server changed, so that the driver does not write the slice again and again."""
        form = comparable(stored.get("spec", {}))
        if form == comparable(spec):
            return
        log.warning("slice_changed_by_server", slice=name)
        with self._changed:
            self._accepted[name] = form

    def _discover(self) -> SliceFeatures:
        features = self._api.discover()
        log.info(
            "slices_discovered", version=features.version, counters=features.has_counters, taints=features.has_taints
        )
        if self._watch is not None:
            self._watch.stop()
        self._watch = self._open_watch(features.version, self.observe, self.observe_error)
        with self._changed:
            self.features = features
        self._watch.start()
        return features

    def _plan(self, pool: Pool, features: SliceFeatures) -> Specs:
        return plan_slices(pool.devices, pool.taints, self._api.client.node_name, features)

    def _open_informer(self, version: str, on_change: OnChange, on_error: OnError) -> Watch:
        client = self._api.client
        return Informer(client, slices_of(client.node_name, version), on_change=on_change, on_error=on_error)
