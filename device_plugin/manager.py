"""The set of resources on offer: which there are, and that the kubelet knows each of them, whatever happens to the kubelet.

The kubelet forgets its plugins and removes their sockets when it starts. A watch on its directory, and the end of its stream, call
`notify`; the thread that owns the manager then calls `check`. Nothing that is found on the node is raised: see `problems`.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from device_plugin.allocate.respond import Strategy
from device_plugin.devices import Offer, Plan
from device_plugin.plugin import ResourcePlugin
from node_core.domain.backoff import Backoff
from node_core.domain.resources import ResourceName
from node_core.errors import KubeletError
from node_core.host.inotify import DirectoryWatch
from node_core.kubelet.registration import TIMEOUT, VERSIONS, ApiVersion, Manner
from node_core.kubelet.sockets import Stamp, read_stamp

log = structlog.get_logger(__name__)

PATIENCE = 1.0
"""Seconds after which a check leaves the rest to the next one, so that a kubelet that hangs does not hold up our owner."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """retries: after a registration or a socket that failed. hearing: how long the kubelet may go without asking for our devices.

    register_timeout: seconds for one registration. chance: uniform in [0, 1). clock: monotonic seconds.
    """

    retries: Backoff = field(default_factory=lambda: Backoff(first=0.5, most=30.0))
    hearing: Backoff = field(default_factory=lambda: Backoff(first=2.0, most=60.0))
    register_timeout: float = TIMEOUT
    chance: Callable[[], float] = random.random
    clock: Callable[[], float] = time.monotonic


DEFAULT_TIMING = Timing()
Answers = Callable[[ResourceName, Offer], Sequence[Strategy]]
"""How containers are told of the devices of a resource, as long as it offers this."""


@dataclass(slots=True, kw_only=True)
class _Served:
    """A plugin, and how far it has come with the kubelet. situation: the kubelet's socket and ours when we last tried."""

    plugin: ResourcePlugin
    situation: tuple[Stamp | None, Stamp | None] = (None, None)
    failures: int = 0
    unheard: int = 0
    retry_at: float | None = None
    problem: str | None = None


class Manager:
    """Owned by one thread, which calls everything here; `notify` is called in any other.

    registrations, registration_failures, allocations: counts for metrics, by resource, since the process began.
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
        self._served: dict[ResourceName, _Served] = {}
        self._counting = threading.Lock()
        self._watch = DirectoryWatch(kubelet_socket.parent, notify)
        self._closed = False

    @property
    def plugins(self) -> Mapping[ResourceName, ResourcePlugin]:
        return {resource: served.plugin for resource, served in self._served.items()}

    def next_check(self, most: float) -> float:
        """Seconds until `check` is due even if nobody notifies, at most `most`."""
        due = [served.retry_at for served in self._served.values() if served.retry_at is not None]
        return max(0.0, min(most, *(at - self._clock() for at in due))) if due else most

    def problems(self) -> tuple[str, ...]:
        """A sentence for each resource that the kubelet does not have from us."""
        return tuple(
            f"{resource}: {served.problem}" for resource, served in self._served.items() if served.problem is not None
        )

    def reconcile(self, plan: Plan, answers: Answers) -> None:
        """Makes the resources on offer those of the plan, and checks all of them. One that stays keeps its socket."""
        for resource in [resource for resource in self._served if resource not in plan.resources]:
            self._served.pop(resource).plugin.stop(retire=True)
            log.info("resource_retired", resource=resource)
        for resource, offer in plan.resources.items():
            strategies = answers(resource, offer)
            if resource in self._served:
                self._served[resource].plugin.update(offer, strategies)
            else:
                self._served[resource] = _Served(plugin=self._make(resource, offer, strategies))
        self.check()

    def check(self) -> None:
        """Does what is due: our sockets in place, all resources registered at the kubelet that runs now."""
        if self._closed:
            return
        self._watch.start()
        began = self._clock()
        for served in self._served.values():
            if self._clock() - began > PATIENCE:
                served.retry_at = self._clock()
            else:
                self._tend(served)

    def close(self) -> None:
        """Ends within a second. The kubelet keeps the capacity for the next process."""
        self._closed = True
        self._watch.stop()
        while self._served:
            self._served.popitem()[1].plugin.stop()

    def _make(self, resource: ResourceName, offer: Offer, strategies: Sequence[Strategy]) -> ResourcePlugin:
        def count(containers: int) -> None:
            with self._counting:
                self.allocations[resource] += containers

        return ResourcePlugin(
            resource,
            offer,
            directory=self._directory,
            kubelet_socket=self._kubelet_socket,
            strategies=strategies,
            on_stream_end=self._notify,
            on_allocate=count,
            manner=Manner(versions=self._api, timeout=self._timing.register_timeout),
        )

    def _tend(self, served: _Served) -> None:
        if self._situation(served) != served.situation:
            served.failures, served.unheard, served.retry_at = 0, 0, None
        if served.retry_at is not None and self._clock() < served.retry_at:
            return
        try:
            self._settle(served)
        except KubeletError as error:
            self._failed(served, error)
        served.situation = self._situation(served)

    def _situation(self, served: _Served) -> tuple[Stamp | None, Stamp | None]:
        return read_stamp(self._kubelet_socket), read_stamp(served.plugin.path)

    def _settle(self, served: _Served) -> None:
        plugin = served.plugin
        if not plugin.is_serving:
            plugin.serve()
        if plugin.registered and plugin.streams == 0 and served.retry_at is not None:
            self._unheard(served)
        if not plugin.registered:
            plugin.register()
            self._registered(served)
        elif plugin.streams == 0:
            served.retry_at = self._clock() + self._timing.hearing.delay(served.unheard + 1, self._timing.chance())
        else:
            served.unheard, served.retry_at, served.problem = 0, None, None

    def _registered(self, served: _Served) -> None:
        resource = served.plugin.resource
        self.registrations[resource] += 1
        log.info("resource_registered", resource=resource, devices=len(served.plugin.offer.devices))
        served.failures = 0
        served.retry_at = self._clock() + self._timing.hearing.delay(served.unheard + 1, self._timing.chance())
        if served.unheard == 0:
            served.problem = None

    def _unheard(self, served: _Served) -> None:
        """The kubelet took the registration and did not ask for the devices, or asks no more: registering again heals both."""
        served.unheard += 1
        self._say(served, "the kubelet does not ask for its devices")
        served.plugin.forget_registration()

    def _failed(self, served: _Served, error: KubeletError) -> None:
        served.failures += 1
        self.registration_failures[served.plugin.resource] += 1
        served.retry_at = self._clock() + self._timing.retries.delay(served.failures, self._timing.chance())
        self._say(served, str(error))

    def _say(self, served: _Served, problem: str) -> None:
        if served.problem != problem:
            log.warning("resource_not_served", resource=served.plugin.resource, why=problem)
        served.problem = problem
