"""Monitors the health of the GPUs: combines Xids and discoveries into assessments. The agent's thread owns the monitor."""

from collections.abc import Callable, Sequence

import structlog

from device_plugin.devices import Plan
from device_plugin.health.gpu_events import GpuEvent
from device_plugin.health.reporter import HealthReporter
from gpu_core.domain.health import HealthPolicy
from gpu_core.domain.inventory import Inventory, Platform
from gpu_core.domain.node_assessment import NodeFacts
from gpu_core.health.assessment import GpuAssessment
from gpu_core.health.state_file import StateFile
from gpu_core.health.tracker import HealthTracker
from gpu_core.health.watch import StartWatch, Watch, needs_refresh
from gpu_core.health.xid_queue import XidQueue
from gpu_core.nvml.api import DRIVER_NOT_LOADED
from gpu_core.nvml.source import CACHE_SECONDS
from node_core.errors import NodeError, NvmlError
from node_core.runtime.services import Services

log = structlog.get_logger(__name__)

MIN_INTERVAL = 1.0
"""The minimum seconds between two discoveries that the monitor schedules."""

NO_FILE = StateFile(None, "")


class HealthMonitor:
    """queue: filled by watch threads. wake: wakes the agent from any thread. facts: reads NodeFacts, given the error of a discovery.

    record: records a Kubernetes Event. watch: creates the watch of NVML events and the kernel log; None without a watch.
    """

    def __init__(
        self,
        agent: str,
        services: Services,
        wake: Callable[[], None],
        *,
        file: StateFile = NO_FILE,
        record: Callable[[GpuEvent], None] = lambda _: None,
        facts: Callable[[NodeError | None], NodeFacts] = lambda _: NodeFacts(),
        watch: StartWatch | None = None,
    ) -> None:
        self.queue = XidQueue(wake)
        self._services, self._file, self._read_facts = services, file, facts
        self._start_watch = watch
        self._watch: Watch | None = None
        self._is_restored = False
        self._tracker = HealthTracker(HealthPolicy())
        self.reporter = HealthReporter(agent, services, record)
        self.gpu_assessments: tuple[GpuAssessment, ...] = ()
        self._inventory: Inventory | None = None
        self.facts = NodeFacts()
        self._is_discovering, self._discovered_at = False, services.clock()

    def start(self, ignored: Sequence[str] = ()) -> None:
        """Restores the state of the last process of this boot. ignored: invalid words of the health check flags."""
        if ignored:
            log.warning("health_checks_ignored", words=list(ignored), why="use Xid numbers, `xids` or `all`")
        if not self._is_restored:  # if the agent restarts within the process, memory is newer than the file
            self._tracker.healths = self._file.read(self._services.clock())
            self._is_restored = True
        self._assess()

    def liveness_problem(self) -> str | None:
        """See Watch.liveness_problem; None without a watch. Callable from any thread."""
        watch = self._watch
        return watch.liveness_problem() if watch is not None else None

    def discovery_requested(self) -> None:
        """Must be called when a discovery is requested."""
        self._is_discovering = True

    def discovery_succeeded(self, inventory: Inventory, began: float) -> None:
        """Processes an inventory. The inventory may be up to CACHE_SECONDS older than the start of the discovery, see InventorySource."""
        if self._watch is not None and needs_refresh(self._inventory, inventory):
            self._watch.refresh()
        self._inventory, self.facts = inventory, self._read_facts(None)
        self._discovery_ended()
        if inventory.driver is None:
            self._tracker.record_driver_unloaded()
        else:
            self._tracker.record_inventory(inventory, began - CACHE_SECONDS)
        self._assess()

    def nvml_released(self) -> None:
        """Must be called when a discovery is refused because of a release request: NVML sends no events at this time."""
        self._tracker.restart_hold_down()

    def discovery_failed(self, error: NodeError) -> None:
        """Processes the error of a discovery."""
        self.facts = self._read_facts(error)
        self._discovery_ended()
        if isinstance(error, NvmlError) and error.code == DRIVER_NOT_LOADED:
            self._tracker.record_driver_unloaded()
            self._assess()

    def process_xids(self, policy: HealthPolicy, plan: Plan) -> bool:
        """Processes the events since the last call. Returns whether they need a discovery. plan: the advertised devices."""
        drained = self.queue.drain()
        self._tracker.policy = policy
        attributed = self._tracker.record_xids(drained.xids)
        self.reporter.report_xids(attributed, plan)
        if attributed:
            self._assess()
        self.reporter.report_gpus(self.gpu_assessments, plan)
        return drained.needs_discovery or bool(attributed)

    def next_discovery_at(self) -> float | None:
        """Returns when a discovery can change the health of a GPU, in monotonic seconds; None if not, or if a discovery is running."""
        due = None if self._is_discovering else self._tracker.next_discovery_at()
        return None if due is None else max(due + CACHE_SECONDS, self._discovered_at + MIN_INTERVAL)

    @property
    def problem(self) -> str | None:
        """Why NVML events are not available, on a node that supports them; else None."""
        inventory = self._inventory
        if inventory is None or inventory.platform is not Platform.NVML or not inventory.gpus:
            return None
        return self.queue.problem

    def read_facts(self) -> None:
        """Reads the facts of the host without a discovery."""
        self.facts = self._read_facts(None)

    def gate_opened(self) -> None:
        """Starts the watch."""
        self.close()
        if self._start_watch is not None:
            self._watch = self._start_watch(self.queue, self._tracker.uuid_of)
            self._watch.start()

    def close(self) -> None:
        if self._watch is not None:
            self._watch.stop()
            self._watch = None

    def gate_closed(self) -> None:
        """Stops the watch and drops the inventory."""
        self.close()
        self._inventory = None
        self._discovery_ended()

    def _discovery_ended(self) -> None:
        self._is_discovering, self._discovered_at = False, self._services.clock()

    def _assess(self) -> None:
        self.gpu_assessments = self._tracker.assess_gpus()
        self._file.write(self._tracker.healths)
