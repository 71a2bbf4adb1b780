"""The controller of gpu-dra-driver: serves the kubelet, offers the devices of the node, and reverts stale claims.

Claims are prepared in separate threads. The controller never exits because of the state of the node, of the kubelet or of the API server.

During an update two processes serve the kubelet. One of them is the publisher: it writes the slices and the health of devices, and reverts
stale claims. The other one becomes the publisher as soon as the first one begins to end.
"""

import threading
from collections.abc import Callable, Collection
from concurrent.futures import Executor
from dataclasses import dataclass

import structlog

from dra_driver.claims.holding import NodeDevices
from dra_driver.claims.preparer import ClaimPreparer
from dra_driver.devices.retain import Devices, retain_lost, with_lost
from dra_driver.kubelet.health import HealthBroadcaster
from dra_driver.kubelet.plugin import DraSockets
from dra_driver.names import AGENT
from dra_driver.offer import device_healths, find_plugin_resources, plugin_problem
from dra_driver.slices.publisher import Pool, SlicePublisher
from dra_driver.slices.taints import TaintEffect, taints_of
from gpu_core.domain.inventory import GpuUuid
from gpu_core.health.state_file import StateFile
from gpu_core.health.tracker import HealthTracker
from gpu_core.health.watch import needs_refresh
from gpu_core.health.xid_queue import XidQueue
from gpu_core.nvml.api import DRIVER_NOT_LOADED
from gpu_core.nvml.poller import InventoryPoller
from gpu_core.nvml.source import is_released
from node_core.domain.backoff import Backoff
from node_core.domain.node import NodeView
from node_core.errors import KubeletError, NodeError, NvmlError
from node_core.runtime import metrics
from node_core.runtime.control_loop import Timers
from node_core.runtime.instance_lock import RETRY, InstanceLock
from node_core.runtime.messages import AgentMessage, InputsChanged, NodeChanged, NodeUnavailable, Resync
from node_core.runtime.services import Services

log = structlog.get_logger(__name__)

NAME = AGENT
DISCOVER, SERVE, CLEAN, REPORT, ROLE = "discover", "serve", "clean", "report", "role"
"""Timers: the next discovery that can change the health of a GPU, the next attempt to serve the sockets, the check of all claims, the next
report of the slices while they are not up to date, and the next attempt to become the publisher."""
CLEAN_SECONDS = 300.0
REFRESH = "refresh"
"""Work after each discovery: the CDI specifications of prepared claims."""
MIN_INTERVAL = 5.0
"""The minimum seconds until the next discovery of a timer: a GPU with a pending row remapping is due until somebody resets it."""
DRAIN_SECONDS = 20.0
"""How long calls of the kubelet may take to end while the process ends: less than the grace period of a pod (30 s)."""
STOP_SECONDS = DRAIN_SECONDS + 5.0
"""How long the agent may take to stop: the calls of the kubelet, and the end of the publisher and of the servers."""
RETRIES = Backoff(first=1.0, maximum=30.0)
NOT_REGISTERED = "the kubelet has not registered the driver yet: Dynamic Resource Allocation needs Kubernetes 1.34, or a feature gate"
NOT_OFFERED = "the ResourceSlices are written as soon as the kubelet has registered the driver"


@dataclass(frozen=True, kw_only=True)
class DraDiscovery:
    """began: monotonic seconds before the discovery. held: the GPUs of the claims of the node; None if unknown."""

    node: NodeDevices
    began: float
    held: Collection[GpuUuid] | None = ()


@dataclass(frozen=True, kw_only=True)
class Parts:
    """executor: runs what waits for the API server or the driver. registration: returns the kubelet's last status, NOT_REGISTERED first.

    health_file: the incidents of GPUs for the next process, so that a restart removes no taint. refresh: registers for the events of all
    GPUs again. role: the lock of the publisher; None without a folder for locks, and then the process is the publisher.
    """

    sockets: DraSockets
    registration: Callable[[], str | None]
    poller: InventoryPoller[DraDiscovery]
    tracker: HealthTracker
    health_file: StateFile
    xids: XidQueue
    refresh: Callable[[], None]
    publisher: SlicePublisher
    health: HealthBroadcaster
    preparer: ClaimPreparer
    executor: Executor
    role: InstanceLock | None = None


class DraController:
    name = NAME

    def __init__(self, services: Services, timers: Timers, parts: Parts, *, pool: str, effect: TaintEffect) -> None:
        self._services, self._timers, self._parts = services, timers, parts
        self._pool, self._effect = pool, effect
        self._node: NodeView | None = None
        self._discovery: DraDiscovery | None = None
        self._devices: Devices = {}
        self._is_recalled = False
        self._had_slices = False
        self._is_known = False
        self._is_registered = False
        self._failures = 0
        self._running: set[str] = set()
        self._is_publisher = False

    def start(self) -> None:
        for check in ("node", "gpus", "kubelet", "slices"):
            self._services.readiness.expect(f"{NAME}/{check}")
        self._timers.set_after(SERVE, 0.0)
        self._parts.poller.request()

    def handle(self, message: AgentMessage) -> None:
        match message:
            case NodeChanged(view):
                self._services.readiness.report(f"{NAME}/node", None)
                self._node = view
                self._offer()
            case NodeUnavailable(error):
                self._services.readiness.report(f"{NAME}/node", str(error))
                self._services.metrics.add(metrics.ERRORS, agent=NAME, check="node")
            case InputsChanged() | Resync():
                self._parts.poller.request()
            case _:
                pass

    def timer(self, name: str) -> None:
        if name == DISCOVER:
            self._parts.poller.request()
        elif name == CLEAN:
            self._begin(CLEAN, self._parts.preparer.clean)
            self._parts.sockets.remove_dead()
            self._timers.set_after(CLEAN, CLEAN_SECONDS)

    def reconcile(self) -> None:
        self._serve()
        self._acquire_role()
        self._recall()
        drained = self._parts.xids.drain()
        attributed = self._parts.tracker.record_xids(drained.xids)
        for each in attributed:
            log.warning("xid", xid=each.event.xid, gpu=each.gpu, count=each.event.count)
        if drained.xids or drained.needs_discovery:
            self._parts.poller.request()
        result = self._parts.poller.pop_result()
        if result is not None:
            self._record(result)
        if self._is_publisher and (result is not None or attributed):
            self._parts.health_file.write(self._parts.tracker.healths)
            self._offer()
        self._report_slices()

    def close(self, *, is_final: bool) -> None:
        """The slices stay, so that a new pod of the driver leaves no gap; claims that are in use stay prepared.

        Another process becomes the publisher. The kubelet gets the responses of its calls before the sockets are removed.
        """
        self._parts.publisher.stop()
        if self._parts.role is not None:
            self._parts.role.release()
        drain = threading.Thread(target=self._parts.executor.shutdown, name="drain", daemon=True)
        drain.start()
        drain.join(DRAIN_SECONDS)
        self._parts.sockets.stop()
        self._parts.preparer.close(is_final=is_final)

    def _serve(self) -> None:
        """Serves the sockets again if they disappeared. Does not try again before the timer, unless the kubelet's folder changed."""
        try:
            self._parts.sockets.ensure()
        except KubeletError as error:
            if not self._timers.is_set(SERVE):
                self._failures += 1
                self._timers.set_after(SERVE, RETRIES.delay(self._failures, self._services.chance()))
            self._services.readiness.report(f"{NAME}/kubelet", str(error))
            return
        self._failures = 0
        status = self._parts.registration()
        is_expected = status == NOT_REGISTERED
        self._services.readiness.report(f"{NAME}/kubelet", status, is_expected=is_expected)
        if status is None and not self._is_registered:
            self._is_registered = True
            self._offer()

    def _acquire_role(self) -> None:
        """Becomes the publisher unless another process is the publisher."""
        if self._is_publisher:
            return
        other = None if self._parts.role is None else self._parts.role.acquire()
        if other is not None:
            if not self._timers.is_set(ROLE):
                self._timers.set_after(ROLE, RETRY)
            return
        self._is_publisher = True
        log.info("publisher_role_acquired")
        self._parts.tracker.restore(self._parts.health_file.read(self._services.clock()))
        self._parts.publisher.recall()
        self._timers.set_after(CLEAN, 0.0)
        self._parts.poller.request()

    def _recall(self) -> None:
        """Adds the devices that an earlier process published: a GPU that was lost meanwhile stays a device."""
        previous = self._parts.publisher.previous
        if self._is_recalled or previous is None:
            return
        self._is_recalled, self._had_slices = True, bool(previous)
        self._devices = {**previous, **self._devices}
        if self._discovery is not None:
            self._record_devices(self._discovery)
            self._offer()

    def _record(self, result: DraDiscovery | NodeError) -> None:
        """A failed discovery leaves the devices: an error never removes what pods may use."""
        self._services.metrics.add(metrics.PASSES, agent=NAME)
        self._is_known = not isinstance(result, NodeError)
        if isinstance(result, NodeError):
            self._services.metrics.add(metrics.ERRORS, agent=NAME, check="gpus")
            self._services.readiness.report(f"{NAME}/gpus", str(result))
            self._record_failure(result)
            return
        self._services.readiness.report(f"{NAME}/gpus", None)
        if needs_refresh(None if self._discovery is None else self._discovery.node.inventory, result.node.inventory):
            self._parts.refresh()
        self._record_devices(result)
        if self._is_publisher:
            self._begin(REFRESH, self._parts.preparer.refresh)

    def _record_devices(self, result: DraDiscovery) -> None:
        node, self._discovery = result.node, result
        self._devices = retain_lost(self._devices, node.devices, node.inventory, node.mig_gpus, result.held)
        self._parts.tracker.record_inventory(with_lost(node.inventory, self._devices), result.began)
        due = self._parts.tracker.next_discovery_at()
        if due is not None:
            self._timers.set_at(DISCOVER, max(due, self._services.clock() + MIN_INTERVAL))

    def _record_failure(self, error: NodeError) -> None:
        """While NVML is released it sends no events. A driver that is unloaded clears the errors of its GPUs."""
        if is_released(error):
            self._parts.tracker.restart_hold_down()
        elif isinstance(error, NvmlError) and error.code == DRIVER_NOT_LOADED:
            self._parts.tracker.record_driver_unloaded()

    def _offer(self) -> None:
        """The slices of an earlier process are read first, so that no device of a lost GPU is removed."""
        if self._discovery is None or self._node is None or not self._is_publisher:
            return
        devices = () if find_plugin_resources(self._node.allocatable) else tuple(self._devices.values())
        healths = self._parts.tracker.healths
        taints = taints_of(devices, healths, self._discovery.node.mig_gpus, effect=self._effect)
        if self._is_recalled and (self._can_offer or not devices):
            self._parts.publisher.desire(Pool(devices=devices, taints=taints))
        states = device_healths(devices, taints, self._pool, is_known=self._is_known)
        self._parts.health.publish(states, self._services.wall())

    @property
    def _can_offer(self) -> bool:
        """Slices are first written after the registration: a kubelet without the driver retries the start of a pod after 60 to 90 s.

        Those of an earlier process are changed at once: a taint must not wait for the kubelet.
        """
        return self._is_registered or self._had_slices

    def _report_slices(self) -> None:
        unwritten = self._parts.publisher.problem if self._is_publisher else None
        waiting = NOT_OFFERED if self._is_publisher and not self._can_offer else None
        resources = () if self._node is None else find_plugin_resources(self._node.allocatable)
        problem = plugin_problem(resources) or waiting or unwritten
        self._services.readiness.report(f"{NAME}/slices", problem, is_expected=problem == NOT_OFFERED)
        if unwritten is not None and self._can_offer and not self._timers.is_set(REPORT):
            self._timers.set_after(REPORT, 1.0)

    def _begin(self, name: str, work: Callable[[], None]) -> None:
        """Begins work on the claims in the executor, unless the same work has not ended yet."""
        if name not in self._running:
            self._running.add(name)
            self._parts.executor.submit(self._work, name, work)

    def _work(self, name: str, work: Callable[[], None]) -> None:
        try:
            work()
        except NodeError as error:
            log.warning("claims_not_checked", work=name, why=str(error))
        except Exception:
            log.exception("claims_not_checked", work=name)
        finally:
            self._running.discard(name)
