"""Serves the advertised resources, and registers them with the kubelet, again after each restart of the kubelet.

When the kubelet starts, it forgets all plugins and removes their sockets. The manager calls `notify` when the kubelet's directory
changes or a stream ends; the thread that owns the manager then calls `check`. Errors are not raised; see `problems`.
"""

import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
import structlog

from device_plugin.allocate.response import Strategy
from device_plugin.allocate.strategies import build_strategies
from device_plugin.plugin import ResourcePlugin
from device_plugin.response_options import ServedResource
from gpu_core.domain.resources import ResourceName
from node_core.domain.backoff import Backoff
from node_core.errors import KubeletError
from node_core.grpc_h2.status import CallError
from node_core.host.inotify import DirectoryWatch
from node_core.kubelet.client import PluginClient
from node_core.kubelet.registration import TIMEOUT, VERSIONS, ApiVersion, RegistrationOptions
from node_core.kubelet.sockets import Stamp, read_stamp

log = structlog.get_logger(__name__)

CHECK_SECONDS = 1.0
"""After this time a check postpones the remaining resources to the next check, so that a kubelet that hangs does not block the agent."""


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """retries: delays after a failed registration or socket. watch_timeout: how long the kubelet may take to call ListAndWatch.

    register_timeout: seconds for one registration. chance: uniform in [0, 1). clock: monotonic seconds.
    """

    retries: Backoff = msgspec.field(default_factory=lambda: Backoff(first=0.5, maximum=30.0))
    watch_timeout: Backoff = msgspec.field(default_factory=lambda: Backoff(first=2.0, maximum=60.0))
    register_timeout: float = TIMEOUT
    chance: Callable[[], float] = random.random
    clock: Callable[[], float] = time.monotonic


DEFAULT_TIMING = Timing()


@dataclass(slots=True, kw_only=True)
class _Entry:
    """A plugin and its registration.

    stamps: the kubelet's socket and the plugin's socket at the last attempt to register. failures: failed attempts in a row.
    unwatched: registrations in a row after which the kubelet did not call ListAndWatch. retry_at: monotonic seconds.
    """

    plugin: ResourcePlugin
    served: ServedResource
    stamps: tuple[Stamp | None, Stamp | None] = (None, None)
    failures: int = 0
    unwatched: int = 0
    retry_at: float | None = None
    problem: str | None = None


class Manager:
    """One thread owns the manager and calls its methods. notify: called in other threads.

    registrations, registration_failures, allocations: counters for metrics, by resource, since the process started.
    """

    def __init__(
        self,
        directory: Path,
        kubelet_socket: Path,
        notify: Callable[[], None],
        *,
        timing: Timing = DEFAULT_TIMING,
        api: tuple[ApiVersion, ...] = VERSIONS,
    ) -> None:
        self.registrations: Counter[ResourceName] = Counter()
        self.registration_failures: Counter[ResourceName] = Counter()
        self.allocations: Counter[ResourceName] = Counter()
        self._directory = directory
        self._kubelet_socket = kubelet_socket
        self._notify = notify
        self._timing = timing
        self._api = api
        self._clock = timing.clock
        self._entries: dict[ResourceName, _Entry] = {}
        self._count_lock, self._probe_lock = threading.Lock(), threading.Lock()
        self._watch = DirectoryWatch(kubelet_socket.parent, notify)
        self._is_closed = False

    def next_check(self, maximum: float) -> float:
        """Returns the seconds until `check` is due without a notification; at most `most`."""
        due = [entry.retry_at for entry in self._entries.values() if entry.retry_at is not None]
        return max(0.0, min(maximum, *(at - self._clock() for at in due))) if due else maximum

    def problems(self) -> tuple[str, ...]:
        """Returns a sentence for each resource that is not registered with the kubelet."""
        return tuple(
            f"{resource}: {entry.problem}" for resource, entry in self._entries.items() if entry.problem is not None
        )

    @property
    def is_registered(self) -> bool:
        """Whether at least one resource exists and all resources are registered with the running kubelet."""
        return bool(self._entries) and all(entry.plugin.is_registered for entry in self._entries.values())

    @property
    def unwatched(self) -> tuple[ResourceName, ...]:
        """The resources whose devices the kubelet has not read: without a ListAndWatch call of the running kubelet."""
        entries = self._entries.items()
        return tuple(name for name, each in entries if not each.plugin.is_registered or each.plugin.stream_count == 0)

    def sockets_problem(self) -> str | None:
        """Returns a sentence if a plugin socket does not respond or the directory watch has ended. Callable from any thread."""
        if (problem := self._watch.liveness_problem()) is not None:
            return problem
        with self._probe_lock:  # any client of the health port can cause a probe
            problems = (_probe(entry.plugin) for entry in tuple(self._entries.values()))
            return next(filter(None, problems), None)

    def reconcile(self, resources: Mapping[ResourceName, ServedResource]) -> None:
        """Serves exactly these resources. A resource that changes retains its socket; a resource that is equal is not touched."""
        for resource in self._entries.keys() - resources.keys():
            self._entries.pop(resource).plugin.stop(retire=True)
            log.info("resource_removed", resource=resource)
        for resource, served in resources.items():
            entry = self._entries.get(resource)
            if entry is None:
                self._entries[resource] = _Entry(plugin=self._build_plugin(resource, served), served=served)
            elif entry.served != served:
                entry.served = served
                entry.plugin.update(served.offer, _strategies(served))

    def check(self) -> None:
        """Restores missing sockets and registers each resource with the running kubelet, as far as this is due."""
        if self._is_closed:
            return
        self._watch.start()
        began = self._clock()
        for entry in self._entries.values():
            if self._clock() - began > CHECK_SECONDS:
                entry.retry_at = self._clock()
            else:
                self._check_plugin(entry)

    def close(self) -> None:
        """Stops all plugins within a second. The kubelet retains the capacity for the next process."""
        self._is_closed = True
        self._watch.stop()
        while self._entries:
            self._entries.popitem()[1].plugin.stop()

    def _build_plugin(self, resource: ResourceName, served: ServedResource) -> ResourcePlugin:
        def count(containers: int) -> None:
            with self._count_lock:
                self.allocations[resource] += containers

        return ResourcePlugin(
            resource,
            served.offer,
            directory=self._directory,
            kubelet_socket=self._kubelet_socket,
            strategies=_strategies(served),
            on_stream_end=self._notify,
            on_allocate=count,
            registration=RegistrationOptions(versions=self._api, timeout=self._timing.register_timeout),
        )

    def _check_plugin(self, entry: _Entry) -> None:
        kubelet = read_stamp(
            self._kubelet_socket
        )  # before the call: a kubelet that starts during the call is a new one
        if (kubelet, read_stamp(entry.plugin.path)) != entry.stamps:
            entry.failures, entry.unwatched, entry.retry_at = 0, 0, None
        if entry.retry_at is not None and self._clock() < entry.retry_at:
            return
        try:
            self._serve_and_register(entry)
        except KubeletError as error:
            self._failed(entry, error)
        entry.stamps = kubelet, read_stamp(entry.plugin.path)

    def _serve_and_register(self, entry: _Entry) -> None:
        plugin = entry.plugin
        if not plugin.is_serving:
            plugin.serve()
        if plugin.is_registered and plugin.stream_count == 0 and entry.retry_at is not None:
            self._reset_registration(entry)
        if not plugin.is_registered:
            plugin.register()
            self.registrations[plugin.resource] += 1
            log.info("resource_registered", resource=plugin.resource, devices=len(plugin.offer.devices))
            entry.failures = 0
            if entry.unwatched == 0:
                entry.problem = None
        elif plugin.stream_count > 0:
            entry.unwatched, entry.retry_at, entry.problem = 0, None, None
            return
        entry.retry_at = self._clock() + self._timing.watch_timeout.delay(entry.unwatched + 1, self._timing.chance())

    def _reset_registration(self, entry: _Entry) -> None:
        """The kubelet accepted the registration but does not call ListAndWatch, or ended its call. A new registration repairs both."""
        entry.unwatched += 1
        self._report(entry, "the kubelet does not call ListAndWatch")
        entry.plugin.registered_at = None

    def _failed(self, entry: _Entry, error: KubeletError) -> None:
        entry.failures += 1
        self.registration_failures[entry.plugin.resource] += 1
        entry.retry_at = self._clock() + self._timing.retries.delay(entry.failures, self._timing.chance())
        self._report(entry, str(error))

    def _report(self, entry: _Entry, problem: str) -> None:
        if entry.problem != problem:
            log.warning("resource_not_served", resource=entry.plugin.resource, why=problem)
        entry.problem = problem


def _strategies(served: ServedResource) -> tuple[Strategy, ...]:
    return build_strategies(served.response_options, lambda: str(uuid.uuid4()))


def _probe(plugin: ResourcePlugin) -> str | None:
    """Calls the plugin's socket as the kubelet does. A missing socket is not a problem, because `check` replaces the socket."""
    if not plugin.is_serving:
        return None
    try:
        with PluginClient(plugin.path) as client:
            client.options()
    except CallError as error:
        return (
            f"{plugin.resource}: {plugin.path} does not respond: {error.code}: {error}" if plugin.is_serving else None
        )
    return None
