"""The controller of gpu-exporter: discovers the GPUs, and lets the sampler follow them.

Threads read the GPUs, the events of NVML and the pods, and store the results. A scrape renders the stored results.
"""

import math
from collections.abc import Callable
from functools import partial

import structlog

from gpu_core.assembly import Dependencies
from gpu_core.domain.inventory import GpuUuid, Inventory, Platform
from gpu_core.nvml.bounded_call import DRIVER_HANGS
from gpu_core.nvml.events import EventWatch
from gpu_core.nvml.real import SESSIONS
from gpu_core.nvml.source import is_released
from gpu_exporter.build import build_exporter, build_pods, build_port, read_bound
from gpu_exporter.each_gpu import EachGpu
from gpu_exporter.gpu_thread import GpuThread
from gpu_exporter.metrics_port import MetricsPort
from gpu_exporter.pods.monitor import PodsSnapshot
from gpu_exporter.reader import ReadingPlan
from gpu_exporter.sampler import Sampler
from gpu_exporter.settings import ExporterSettings
from gpu_exporter.view import Known
from gpu_exporter.xids import XidLog
from node_core.domain.backoff import Backoff
from node_core.domain.pci import PciAddress
from node_core.errors import HostReadError, NodeError, NvmlError
from node_core.runtime import metrics
from node_core.runtime.control_loop import ControlLoop, Timers
from node_core.runtime.mailbox import Mailbox
from node_core.runtime.messages import AgentMessage, Resync
from node_core.runtime.services import Services
from node_core.values import replace

log = structlog.get_logger(__name__)

NAME = "gpu-exporter"
DISCOVER = "discover"
RETRIES = Backoff(first=2.0, maximum=60.0)
"""Delays between attempts after a failed discovery."""


class XidWatch(EventWatch):
    """A call that hangs is no problem of liveness: a restart does not help a GPU that hangs, and costs the metrics of the others."""

    stuck = math.inf


class ExporterController:
    """discover: may raise NodeError. bound: returns the PCI addresses of the functions that the driver uses.

    A Tegra whose GPU was found through CUDA has no metrics: it has no NVML.
    """

    name = NAME

    def __init__(
        self,
        services: Services,
        timers: Timers,
        *,
        discover: Callable[[], Inventory],
        bound: Callable[[], frozenset[PciAddress]],
        sampler: Sampler,
        watch: EventWatch,
        xids: XidLog,
        pods: Callable[[], PodsSnapshot],
    ) -> None:
        self._services, self._timers = services, timers
        self._discover_gpus, self._read_bound = discover, bound
        self._sampler, self._watch, self._xids, self._pods = sampler, watch, xids, pods
        self._inventory = Inventory(driver=None)
        self._failures = 0
        self._missing: frozenset[PciAddress] = frozenset()
        self._faults: dict[GpuUuid, str] = {}
        self.port: MetricsPort | None = None

    def known(self) -> Known:
        """Returns what is known at present. Callable from any thread."""
        inventory = self._inventory
        return Known(
            sample=self._sampler.sample(),
            pods=self._pods(),
            xids=self._xids.snapshot(),
            watched=self._watch.watched,
            driver=inventory.driver.version if inventory.driver else "",
            is_simulated=inventory.simulated,
        )

    def start(self) -> None:
        self._services.readiness.expect(f"{NAME}/gpus")
        self._timers.set_after(DISCOVER, 0.0)

    def handle(self, message: AgentMessage) -> None:
        if isinstance(message, Resync):
            self._discover()

    def timer(self, name: str) -> None:
        if name == DISCOVER:
            self._discover()

    def reconcile(self) -> None:
        self._report_gpus()
        if self.port is not None:
            self.port.start()
            why = self.port.problem
            self._services.readiness.report(
                f"{NAME}/port", None if why is None else f"the port is not available: {why}"
            )

    def close(self, *, is_final: bool) -> None:
        """The threads are services of the process, which stops them."""

    def _discover(self) -> None:
        self._timers.cancel(DISCOVER)
        began = self._services.clock()
        try:
            inventory = self._discover_gpus()
        except (NvmlError, HostReadError) as error:
            self._discovery_failed(error)
            return
        self._failures = 0
        self._services.metrics.add(metrics.PASSES, agent=NAME)
        self._services.readiness.report(f"{NAME}/gpus", None)
        if inventory.platform is Platform.TEGRA:
            inventory = replace(inventory, gpus=(), faults=(), states=())
        before, self._inventory = self._inventory, inventory
        self._sampler.follow(inventory)
        self._xids.observe(inventory, began)
        if self._needs_bus_scan(before):
            self._watch.refresh()

    def _discovery_failed(self, error: NodeError) -> None:
        """After a release, the process requests a discovery."""
        if is_released(error):
            self._services.readiness.report(f"{NAME}/gpus", None)
            return
        self._failures += 1
        self._timers.set_after(DISCOVER, RETRIES.delay(self._failures, self._services.chance()))
        self._services.readiness.report(f"{NAME}/gpus", str(error))
        self._services.metrics.add(metrics.ERRORS, agent=NAME, check="gpus")

    def _needs_bus_scan(self, before: Inventory) -> bool:
        """Whether NVML may know other GPUs in a new session, see `sessions`. A GPU that NVML never lists causes one scan.

        A GPU that hangs causes none: its session stays open.
        """
        now = self._inventory
        missing, self._missing = self._missing, self._find_missing(now)
        is_lost = any(fault.reason != DRIVER_HANGS for fault in now.faults) or any(state.lost for state in now.states)
        has_changed = before.driver is not None and {gpu.uuid for gpu in before.gpus} != {gpu.uuid for gpu in now.gpus}
        return is_lost or has_changed or bool(self._missing - missing)

    def _find_missing(self, inventory: Inventory) -> frozenset[PciAddress]:
        """The functions that the driver uses, but that NVML does not list."""
        return self._read_bound() - {gpu.address for gpu in inventory.gpus}

    def _report_gpus(self) -> None:
        """Logs a fault of a GPU when it begins and when it ends."""
        faults = {}
        for state in self._sampler.sample().gpus:
            if state.fault is not None:
                faults[state.gpu.uuid] = state.fault
                if state.gpu.uuid not in self._faults:
                    log.warning("gpu_not_readable", gpu=state.gpu.name, why=state.fault, effect="it has no metrics")
            elif state.gpu.uuid in self._faults:
                log.info("gpu_readable_again", gpu=state.gpu.name)
        self._faults = faults


def build_agent(
    settings: ExporterSettings, dependencies: Dependencies, services: Services
) -> ControlLoop[ExporterController]:
    """Builds the agent without starting it. Adds its threads to the services of the process."""
    dependencies.uses_nvml = True
    mailbox: Mailbox[AgentMessage] = Mailbox()
    timers = Timers(services.clock)

    def discover_again(*_: object) -> None:
        dependencies.inventory.invalidate()
        mailbox.post(Resync())

    def render_ahead() -> None:
        exporter.render_ahead()

    reads_pods = settings.kubernetes if settings.kubernetes is not None else bool(dependencies.common.node_name)
    plan = ReadingPlan(fields=settings.selection.fields, with_processes=reads_pods)
    create_thread = partial(
        GpuThread,
        plan=plan,
        open_nvml=dependencies.nvml,
        interval=settings.interval / 1000,
        on_outdated=discover_again,
    )
    xids = XidLog(settings.window / 1000, services.clock)
    sampler = Sampler(create_thread, on_sample=render_ahead)
    watch = XidWatch(dependencies.nvml, xids.add, discover_again, lambda _: None, wait_alone=SESSIONS.wait_until_none)
    each_gpu = EachGpu(dependencies.inventory.discover, dependencies.nvml, simulated=dependencies.simulated is not None)
    for holder in (sampler, watch):
        SESSIONS.add_holder(holder)
    for user in (sampler, watch, each_gpu):
        dependencies.nvml_release.add(user)
    controller = ExporterController(
        services,
        timers,
        discover=each_gpu.discover,
        bound=lambda: read_bound(dependencies),
        sampler=sampler,
        watch=watch,
        xids=xids,
        pods=build_pods(NAME, settings, dependencies, services) if reads_pods else PodsSnapshot,
    )
    exporter = build_exporter(settings, dependencies.common.node_name, controller.known)
    controller.port = build_port(NAME, settings, dependencies, services, exporter)
    dependencies.background_services += (sampler, watch, controller.port)
    for problem in settings.selection.problems:
        log.warning("counters_file_problem", agent=NAME, why=problem)
    return ControlLoop(controller, services, mailbox=mailbox, timers=timers, lock=dependencies.lock(NAME))
