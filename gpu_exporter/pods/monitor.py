"""Reads the devices of the pods in a separate thread, so that a kubelet that hangs does not delay the metrics.

The kubelet replaces its checkpoint when a pod gets devices, which causes a request at once. The kubelet writes nothing when a pod ends, so
the thread also sends a request each 15 s.
"""

import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
import structlog

from gpu_core.pods.checkpoint import parse_checkpoint, read_checkpoint, select_identities
from gpu_core.pods.holders import PodIdentity
from node_core.errors import KubeletError
from node_core.host.inotify import DirectoryWatch
from node_core.kubelet.podresources import PodDevices, list_pod_devices
from node_core.kubelet.sockets import DEVICE_PLUGIN_DIR
from node_core.runtime import metrics
from node_core.runtime.services import Services
from node_core.values import replace

log = structlog.get_logger(__name__)

CHECK = "pod-resources"
INTERVAL = 15.0
"""Seconds between two requests without a change."""
MIN_INTERVAL = 1.0
"""Minimum seconds between two requests after changes."""
STALE_SECONDS = 300.0
"""How long the last response is used after the kubelet stopped to respond. A kubelet that does not run starts and ends no pod."""
STOP_SECONDS = 1.0


class PodsSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The pods of the node and their devices. is_known: False before the first response, and if the last one is too old.

    identities: the pods whose UIDs are known, each namespace and name once.
    """

    pods: tuple[PodDevices, ...] = ()
    identities: tuple[PodIdentity, ...] = ()
    is_known: bool = False


class PodMonitor:
    """A BackgroundService. list_pods: may raise KubeletError. folder: of the kubelet's device plugins, with the checkpoint.

    api_pods: returns the pods of the API server, see PodInformer.state; None if they are unknown or not requested.
    """

    def __init__(
        self,
        agent: str,
        services: Services,
        *,
        list_pods: Callable[[], tuple[PodDevices, ...]] = list_pod_devices,
        folder: Path = DEVICE_PLUGIN_DIR,
        api_pods: Callable[[], tuple[PodIdentity, ...] | None] = lambda: None,
    ) -> None:
        self._agent, self._services = agent, services
        self._list_pods, self._folder, self._api_pods = list_pods, folder, api_pods
        self._read = PodsSnapshot()
        self._read_at = 0.0
        self._checkpoint_problem: str | None = None
        self._wake = threading.Event()
        self._is_stopping = False
        self._watch = DirectoryWatch(folder, self._wake.set, min_interval=MIN_INTERVAL)
        self._thread = threading.Thread(target=self._run, name="pod-devices", daemon=True)

    def start(self) -> None:
        self._watch.start()
        self._thread.start()

    def stop(self) -> None:
        """Returns when the thread has ended, or after STOP_SECONDS: a request to the kubelet ends only with its timeout."""
        self._is_stopping = True
        self._wake.set()
        self._watch.stop()
        if self._thread.ident is not None:
            self._thread.join(STOP_SECONDS)

    def liveness_problem(self) -> str | None:
        """Returns a sentence if a thread has ended before `stop`, or else None. Callable from any thread."""
        is_dead = self._thread.ident is not None and not self._thread.is_alive() and not self._is_stopping
        return f"the thread {self._thread.name} has ended" if is_dead else self._watch.liveness_problem()

    def snapshot(self) -> PodsSnapshot:
        """Returns what is known now, without waiting. Callable from any thread."""
        read, of_api = self._read, self._api_pods()
        return replace(read, identities=_merge(of_api, read.identities)) if of_api else read

    def step(self) -> None:
        """Requests the devices of the pods once. After an error the last response stays for STALE_SECONDS."""
        try:
            snapshot = self._request()
        except KubeletError as error:
            self._report(str(error))
            self._services.metrics.add(metrics.ERRORS, agent=self._agent, check=CHECK)
            if self._services.clock() - self._read_at > STALE_SECONDS:
                self._set(PodsSnapshot())
            return
        self._read_at = self._services.clock()
        self._set(snapshot)
        self._report(None)

    def _run(self) -> None:
        """The watch wakes the thread also when it starts."""
        while True:
            self._wake.wait(INTERVAL)
            self._wake.clear()
            if self._is_stopping:
                return
            self.step()

    def _request(self) -> PodsSnapshot:
        """Raises KubeletError. If the checkpoint changes at the same time, the next request is due, and the last identities stay."""
        content = read_checkpoint(self._folder)
        pods = self._list_pods()
        is_same = content == read_checkpoint(self._folder)
        identities = self._identities(pods, content) if is_same else self._read.identities
        return PodsSnapshot(pods=pods, identities=identities, is_known=True)

    def _identities(self, pods: tuple[PodDevices, ...], content: bytes) -> tuple[PodIdentity, ...]:
        try:
            allocations = parse_checkpoint(content) if content else ()
        except ValueError as error:
            if str(error) != self._checkpoint_problem:
                log.warning("checkpoint_unreadable", why=str(error), effect="the use of devices by pods is not known")
            self._checkpoint_problem = str(error)
            return ()
        self._checkpoint_problem = None
        return select_identities(pods, allocations)

    def _set(self, snapshot: PodsSnapshot) -> None:
        """Retains an equal snapshot, so that callers can compare snapshots by identity."""
        if snapshot != self._read:
            self._read = snapshot
        self._services.metrics.set(metrics.POD_DEVICES_KNOWN, snapshot.is_known, agent=self._agent)

    def _report(self, problem: str | None) -> None:
        self._services.readiness.report(f"{self._agent}/{CHECK}", problem)


def _merge(of_api: tuple[PodIdentity, ...], of_checkpoint: tuple[PodIdentity, ...]) -> tuple[PodIdentity, ...]:
    """Adds the pods that the API server did not report yet."""
    known = {(pod.namespace, pod.name) for pod in of_api}
    return (*of_api, *(pod for pod in of_checkpoint if (pod.namespace, pod.name) not in known))
