"""The controller of the device plugin: collects the inputs of the plan, plans, and passes each part of the plan to its writer.

GPU discovery, informers, NVML events and the plugin sockets run in separate threads, which store their results and wake the control
loop. The controller never exits because of the state of the node.
"""

from collections.abc import Callable
from pathlib import Path

import structlog

from device_plugin.cdi_sync import CdiSpecSync
from device_plugin.desired import Desired, Inputs, plan_desired
from device_plugin.health.build import build_health, build_mig_gate, build_status_writer, discover_gpus
from device_plugin.health.kubelet_assessment import SETTLE_SECONDS, KubeletAssessor, assess_registration
from device_plugin.health.monitor import HealthMonitor
from device_plugin.health.node_status import plan_node_status
from device_plugin.health.status_writer import HealthStatusWriter
from device_plugin.inventory_poller import DiscoveryResult, discover
from device_plugin.label_retainer import LabelRetainer
from device_plugin.manager import Manager
from device_plugin.mig_gate import WAITING, MigGate
from device_plugin.plan.auto import LABEL as MIG_STRATEGY
from device_plugin.plan.auto import select_mig_strategy
from device_plugin.plan.options import MigStrategy
from device_plugin.report import Reporter
from device_plugin.response_options import NodeSoftware
from device_plugin.settings import PluginSettings, plan_options
from gpu_core.assembly import Dependencies, select_config
from gpu_core.cdi.write import SpecWriter
from gpu_core.domain.node_assessment import NodeAssessment
from gpu_core.mps.apply import MpsTools
from gpu_core.mps.manager import MpsManager
from gpu_core.mps.tools import DriverPrograms, mps_tools
from gpu_core.nvml.poller import InventoryPoller
from gpu_core.nvml.source import is_released
from node_core.domain.backoff import Backoff
from node_core.domain.conditions import GPU_READY
from node_core.domain.labels import Labels
from node_core.domain.node import NodeView
from node_core.errors import NodeError
from node_core.runtime import metrics
from node_core.runtime.config_selector import ConfigSelector, ReadSettings
from node_core.runtime.control_loop import HEARTBEAT, ControlLoop, Timers
from node_core.runtime.mailbox import Mailbox
from node_core.runtime.messages import AgentMessage, InputsChanged, NodeChanged, NodeUnavailable, Resync, Wake
from node_core.runtime.services import Services
from node_core.values import replace

log = structlog.get_logger(__name__)

NAME = "gpu-device-plugin"
RETRIES = Backoff(first=2.0, maximum=60.0)
"""Delays between attempts after a failed discovery."""
DISCOVER, CHECK, LABELS, SETTLE, MIG = "discover", "check", "labels", "settle", "mig"
"""Timers: the next discovery, the next check of the plugin sockets and registrations, the end of the time for which removed labels are
retained, the end of the time that the kubelet may take, and of the time that mig-manager may take."""


class PluginController:
    """Advertises devices while the gate is open; see `gate`. Calls of the kubelet are handled from the last plan."""

    name = NAME

    def __init__(  # noqa: PLR0913 - each part is an own class
        self,
        selector: ConfigSelector[PluginSettings],
        *,
        services: Services,
        timers: Timers,
        manager: Manager,
        health: HealthMonitor,
        status: HealthStatusWriter,
        mps: MpsManager,
        poller: InventoryPoller[DiscoveryResult],
        mig: MigGate,
    ) -> None:
        self._services, self._timers = services, timers
        self._manager, self._health, self._status, self._mps = manager, health, status, mps
        self._poller, self._selector, self._mig = poller, selector, mig
        self._mig_strategy: MigStrategy = "none"
        self._reporter = Reporter(NAME, services)
        services.readiness.add_liveness_check(manager.sockets_problem)
        services.readiness.add_liveness_check(health.liveness_problem)
        self._node: NodeView | None = None
        self._discovery: DiscoveryResult | None = None
        self._failures: tuple[str, ...] = ()
        self._labels = LabelRetainer()
        self._assessor = KubeletAssessor()
        self._is_open: bool | None = None
        self._is_waiting = False
        self._gate_problem: str | None = None
        self._unconfigured_at: float | None = None
        self._tools: MpsTools | None = None
        self._planned: tuple[Inputs | None, Desired] = None, Desired()

    def start(self) -> None:
        self._services.readiness.expect(f"{NAME}/node")
        self._health.start(self._selector.settings.ignored_checks)
        if self._node is not None:  # the loop starts over
            self._follow_labels()

    def handle(self, message: AgentMessage) -> None:
        match message:
            case NodeChanged(view):
                self._reporter.check("node", None)
                has_new_runtime = self._node is not None and view.container_runtime != self._node.container_runtime
                self._node = view
                self._status.observe(view)
                self._follow_labels()
                if has_new_runtime:
                    self._discover()  # the CDI specifications depend on the container runtime
            case NodeUnavailable(error):
                self._services.readiness.report(f"{NAME}/node", str(error))  # the plugin continues to advertise devices
                self._reporter.count_error("node")
            case InputsChanged():
                self._follow_labels()
            case Resync():
                self._follow_labels()
                if self._is_open:
                    self._discover()
                else:
                    self._health.read_facts()
            case _:
                pass

    def timer(self, name: str) -> None:
        if name == DISCOVER:
            self._discover()
        if name == LABELS:
            self._follow_labels()

    def reconcile(self) -> None:
        self._mig.refresh()
        if self._is_waiting:
            self._discover()
        self._process_discovery()
        desired = self._planned[1]
        if self._health.process_xids(self._selector.settings.health, desired.advertised):
            self._discover()
        self._reporter.check("gpu-events", self._health.problem)
        self._reconcile_mps(self._plan())
        self._apply(self._plan())  # plans again, because the MPS daemons may have changed
        self._schedule()

    def close(self, *, is_final: bool) -> None:
        self._manager.close()
        self._mps.close(is_final=is_final)
        self._health.close()

    def _follow_labels(self) -> None:
        """Selects the config and the MIG strategy, and opens or closes the gate, by the labels of the Node."""
        labels = self._retain_labels()
        before = self._selector.settings.responses
        settings = self._selector.select(lambda: labels)
        problem = None
        if self._selector.settings.mig_strategy == "auto":
            self._mig_strategy, problem = select_mig_strategy(labels or {}, self._mig_strategy)
        self._reporter.check("mig-strategy", problem)
        if labels is not None:
            self._follow_gate(labels, is_configured=settings is not None)
        if self._is_open and self._selector.settings.responses != before:
            self._discover()  # the CDI specifications depend on these settings

    def _retain_labels(self) -> Labels | None:
        """Returns the labels of the Node with those that were removed a short time ago; None while the Node is unknown."""
        if self._node is None:
            return None
        settings = self._selector.settings
        keys = (settings.gate.key, MIG_STRATEGY)
        labels = self._labels.retain(self._node.labels, keys, self._services.clock(), settings.gate_delay)
        self._set_timer(LABELS, self._labels.due)
        return labels

    def _follow_gate(self, labels: Labels, *, is_configured: bool) -> None:
        gate = self._selector.settings.gate
        problem = gate.problem(labels)
        if problem is not None and problem != self._gate_problem:
            log.info("gate_closed", why=problem)
        self._gate_problem = problem
        if is_configured:
            self._unconfigured_at = None
        elif self._unconfigured_at is None:
            self._unconfigured_at = self._services.clock()
        is_open = problem is None and is_configured
        if is_open and not self._is_open:
            log.info("gate_opened", label=gate.key)
            self._open_gate()
        elif not is_open and self._is_open is not False:
            self._close_gate()

    def _open_gate(self) -> None:
        self._health.gate_opened()
        self._is_open = True
        self._discover()

    def _close_gate(self) -> None:
        self._is_open = False
        self._discovery, self._failures = None, ()
        self._timers.cancel(DISCOVER)
        self._health.gate_closed()
        self._health.read_facts()
        self._reporter.clear("gpus", "mig-capabilities", "cdi")

    def _discover(self) -> None:
        if self._is_open and self._may_discover():
            self._timers.cancel(DISCOVER)
            self._services.metrics.add(metrics.PASSES, agent=NAME)
            self._health.discovery_requested()
            self._poller.request()

    def _may_discover(self) -> bool:
        """Returns False while mig-manager makes the MIG layout of this boot."""
        was_waiting = self._is_waiting
        self._is_waiting = self._node is not None and not self._mig.is_open(self._node.labels)
        if self._is_waiting or was_waiting:
            self._services.readiness.report(f"{NAME}/mig-layout", WAITING if self._is_waiting else None)
        self._set_timer(MIG, self._mig.due)
        return not self._is_waiting

    def _process_discovery(self) -> None:
        """Processes the newest result of the poller. A result that arrives after the gate is closed is dropped."""
        result = self._poller.pop_result()
        if result is None or not self._is_open:
            return
        if is_released(result):
            self._health.nvml_released()  # the devices do not change until the next discovery
        elif isinstance(result, NodeError):
            self._discovery_failed(result)
        else:
            self._discovery_succeeded(result)

    def _discovery_failed(self, error: NodeError) -> None:
        self._health.discovery_failed(error)
        self._failures = (*self._failures, str(error))
        self._timers.set_after(DISCOVER, RETRIES.delay(len(self._failures), self._services.chance()))
        self._services.readiness.report(f"{NAME}/gpus", str(error))
        self._reporter.count_error("gpus")

    def _discovery_succeeded(self, result: DiscoveryResult) -> None:
        self._failures, self._discovery = (), result
        self._tools = mps_tools(self._selector.settings.responses.mps_root, result.context.programs)
        self._timers.cancel(DISCOVER)
        self._health.discovery_succeeded(result.inventory, result.began)
        self._reporter.check("gpus", None)
        self._reporter.check("mig-capabilities", result.caps_problem)
        self._reporter.check("cdi", "; ".join((*result.context.problems, *result.context.imex_problems)) or None)
        self._reporter.report_cdi_notes(result.context.notes)

    def _plan(self) -> Desired:
        """Returns the desired state. Plans again only if the inputs have changed."""
        inputs, (previous_inputs, before) = self._inputs(), self._planned
        if inputs == previous_inputs:
            return before
        desired = plan_desired(inputs, before)
        self._reporter.report_plan(desired.plan)
        if desired.choice not in (None, before.choice):
            log.info("device_list_chosen", strategy=desired.choice.device_list, why=desired.choice.why)
        self._planned = inputs, desired
        return desired

    def _inputs(self) -> Inputs:
        node = self._node
        return Inputs(
            is_open=bool(self._is_open),
            gate_problem=self._gate_problem,
            config_problem=self._config_problem(),
            has_condition=node is not None and GPU_READY in node.conditions,
            discovery=self._discovery,
            failures=self._failures,
            facts=self._health.facts,
            options=plan_options(self._selector.settings, self._mig_strategy),
            responses=self._selector.settings.responses,
            software=NodeSoftware(kubelet=node.kubelet_version, runtime=node.container_runtime)
            if node
            else NodeSoftware(),
            gpu_assessments=self._health.gpu_assessments,
            mps=self._mps.desired,
            mps_problems=self._mps.problems(),
            leaving=self._mig.leaving,
        )

    def _config_problem(self) -> str | None:
        """Returns why there is no valid config. Configs that are not read yet are a problem only after SETTLE_SECONDS."""
        since = self._unconfigured_at
        if self._selector.problem is None and since is not None and self._services.clock() - since >= SETTLE_SECONDS:
            return "the configs cannot be read: see the log of gpu-device-plugin"
        return self._selector.problem

    def _reconcile_mps(self, desired: Desired) -> None:
        """Uses the MPS programs of the last discovery, or those in PATH before the first discovery."""
        if desired.mps is None:
            return
        if self._tools is None:
            self._tools = mps_tools(self._selector.settings.responses.mps_root, DriverPrograms())
        self._mps.reconcile(desired.mps, self._tools)

    def _apply(self, desired: Desired) -> None:
        """Passes each part of the desired state to its writer."""
        self._manager.reconcile(desired.resources)
        self._manager.check()
        self._reporter.report_manager(self._manager, desired.advertised)
        assessment = self._assess(desired)
        if assessment is not None:
            self._health.reporter.report_node(assessment)
        registered = self._manager.is_registered
        self._status.desire(
            plan_node_status(assessment, self._node, is_open=bool(self._is_open), is_registered=registered)
        )

    def _assess(self, desired: Desired) -> NodeAssessment | None:
        """Returns the assessment of the node: that of the GPUs, unless the kubelet does not have them."""
        node, problems, unwatched = self._node, self._manager.problems(), self._manager.unwatched
        allocatable = node.allocatable if node is not None else {}
        kubelet = assess_registration(desired.advertised, problems, unwatched, allocatable)
        return self._assessor.assess(desired.assessment, kubelet, node, self._services.clock())

    def _schedule(self) -> None:
        """Sets the timers for the next discovery that a GPU's health needs, and for the next check of the sockets."""
        if self._is_open and not self._failures:
            self._set_timer(DISCOVER, self._health.next_discovery_at())
        self._set_timer(SETTLE, self._assessor.due)
        self._timers.set_after(CHECK, self._manager.next_check(HEARTBEAT))

    def _set_timer(self, name: str, at: float | None) -> None:
        if at is None:
            self._timers.cancel(name)
        else:
            self._timers.set_at(name, at)


def build_agent(
    settings: PluginSettings,
    dependencies: Dependencies,
    services: Services,
    *,
    reread: ReadSettings[PluginSettings] | None = None,
) -> ControlLoop[PluginController]:
    """Builds the agent without starting it. reread: builds settings from a config that a Node label selects."""
    dependencies.uses_nvml = True
    mailbox: Mailbox[AgentMessage] = Mailbox()
    timers = Timers(services.clock)

    def wake() -> None:
        mailbox.post(Wake())

    selector = select_config(NAME, settings, dependencies, services, reread, lambda: mailbox.post(InputsChanged()))
    controller = PluginController(
        selector,
        services=services,
        timers=timers,
        manager=Manager(settings.kubelet_socket.parent, settings.kubelet_socket, wake, api=settings.kubelet_api),
        health=build_health(NAME, settings, dependencies, services, wake),
        status=build_status_writer(NAME, settings, dependencies, services),
        mps=MpsManager(wake, lambda: not dependencies.nvml_release.is_released),
        poller=InventoryPoller(_discovery(selector, settings.cdi_folder, dependencies, services), wake),
        mig=build_mig_gate(settings, dependencies, services, wake),
    )
    return ControlLoop(controller, services, mailbox=mailbox, timers=timers, lock=dependencies.lock(NAME))


def _discovery(
    selector: ConfigSelector[PluginSettings], cdi_folder: Path, dependencies: Dependencies, services: Services
) -> Callable[[], DiscoveryResult]:
    """Returns the function that the poller's thread calls. It reads the settings at each discovery. Raises NodeError."""
    specs = CdiSpecSync(dependencies.root, SpecWriter(cdi_folder))

    def run() -> DiscoveryResult:
        began, responses = services.clock(), selector.settings.responses
        result = discover(
            lambda: discover_gpus(dependencies, responses),
            dependencies.root,
            lambda inventory: specs.sync(inventory, responses, dependencies.node.container_runtime),
        )
        return replace(result, began=began)

    return run
