"""Runs scenarios of GPU faults with a simulated clock, and records each input and each report as a line.

The controller, the health monitor and the event recorder are real; the manager, the API server and the GPUs are fake.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from structlog.testing import capture_logs

from device_plugin.agent import NAME, PluginController
from device_plugin.devices import ResourceOffer
from device_plugin.health.gpu_events import GpuEventRecorder
from device_plugin.health.monitor import NO_FILE, HealthMonitor
from device_plugin.health.status_writer import HealthStatusWriter
from device_plugin.inventory_poller import DiscoveryResult
from device_plugin.manager import Manager
from device_plugin.mig_gate import MigGate
from device_plugin.response_options import ServedResource
from device_plugin.settings import PluginSettings
from gpu_core.domain.evidence import GpuState, RecoveryAction, XidEvent
from gpu_core.domain.inventory import Driver, Fault, Gpu, GpuUuid, Inventory
from gpu_core.domain.node_assessment import NodeFacts
from gpu_core.domain.resources import ResourceName
from gpu_core.health.state_file import StateFile
from gpu_core.host.mig_status import MigStatus
from gpu_core.mps.manager import MpsManager
from gpu_core.nvml.poller import InventoryPoller
from node_core.domain.conditions import parse_conditions
from node_core.domain.node import NodeView
from node_core.domain.taints import TaintPlan
from node_core.errors import KubeError, NodeError, NvmlError
from node_core.runtime.config_selector import ConfigSelector
from node_core.runtime.control_loop import ControlLoop, Timers
from node_core.runtime.event_recorder import EventRecorder
from node_core.runtime.mailbox import Mailbox
from node_core.runtime.messages import AgentMessage, NodeChanged, Resync, Wake
from node_core.runtime.readiness import Readiness
from node_core.runtime.services import Services
from node_core.values import replace

OPEN = NodeView(name="n1", uid="u", resource_version="1", labels={"nvidia.com/gpu.present": "true"})
START = 1000.0
UNTOLD = {"condition_written", "device_list_chosen", "gate_opened", "not_ready", "ready"}


class World:
    """gpus, states, failure: the result of the next discovery. pods: name of a pod in the namespace default -> its device.

    lines: inputs and reports in order, with seconds since the start. wall_jump: the change of the wall clock.
    """

    def __init__(
        self, gpus: tuple[Gpu, ...], settings: PluginSettings | None = None, *, file: Path | None = None
    ) -> None:
        self.now, self.wall_jump = START, 0.0
        self.gpus = gpus
        self.states: dict[GpuUuid, GpuState] = {}
        self.faults: tuple[Fault, ...] = ()
        self.failure: str | None = None
        self.pods: dict[str, str] = {}
        self.node = OPEN
        self.outage = False
        self.lines: list[str] = []
        self.file = NO_FILE if file is None else StateFile(file, "boot-1")
        self._settings = settings or PluginSettings()
        self._advertised: Mapping[str, str] = {}
        self.start()

    def start(self) -> None:
        """Starts a new process."""
        self.services = Services(
            readiness=Readiness(lambda: self.now),
            clock=lambda: self.now,
            wall=lambda: self.now + self.wall_jump,
            chance=lambda: 0.0,
        )
        self.recorder = EventRecorder(lambda: self, self.services)
        events = GpuEventRecorder(self.recorder, lambda: self, self._pods_of_devices, agent=NAME, node_name="n1")
        self.status = HealthStatusWriter(self, self.services, agent=NAME)
        mailbox: Mailbox[AgentMessage] = Mailbox()
        timers = Timers(self.services.clock)

        def wake() -> None:
            mailbox.post(Wake())

        self.health = HealthMonitor(NAME, self.services, wake, file=self.file, record=events.record, facts=self._facts)
        self.controller = PluginController(
            ConfigSelector(self._settings, None, agent=NAME, services=self.services),
            services=self.services,
            timers=timers,
            manager=cast("Manager", self),
            health=self.health,
            status=self.status,
            mps=MpsManager(wake),
            poller=InventoryPoller(self._discover, wake, start=lambda begin: begin()),
            mig=MigGate(MigStatus, self.services.clock, is_required=False),
        )
        self.loop = ControlLoop(self.controller, self.services, mailbox=mailbox, timers=timers)
        self.controller.start()
        self._handle(NodeChanged(self.node))

    def set_state(self, uuid: GpuUuid, **fields: Any) -> None:
        """Sets the state of a GPU. The driver supports recovery actions."""
        sound = GpuState(gpu=uuid, recovery_action=RecoveryAction.NONE, remap_pending=False, remap_failed=False)
        self.states[uuid] = replace(sound, **fields)

    def xid(self, xid: int, gpu: Gpu, *, count: int = 1, instance: int | None = None) -> None:
        self.note(f"Xid {xid} of GPU {gpu.index}" + (f", {count} times" if count > 1 else ""))
        self.health.queue.add(
            XidEvent(xid=xid, gpu=gpu.uuid, gpu_instance=instance, compute_instance=instance and 0, at=self.now, count=count)
        )  # fmt: skip
        self._handle(None)

    def sync(self) -> None:
        """Runs a periodic pass."""
        self._handle(Resync())

    def wait(self, seconds: float) -> None:
        """Advances the time, and lets the agent do what is due."""
        end = self.now + seconds
        self._handle(None)
        while (due := self.loop.timers.next_due()) is not None and due <= end:
            self.now = max(self.now, due)
            self._handle(None)
        self.now = end

    def note(self, what: str) -> None:
        self._line("", what)

    @property
    def text(self) -> str:
        return "\n".join(self.lines) + "\n"

    @property
    def unhealthy(self) -> set[str]:
        served = self.controller._planned[1].resources.values()
        return {device.id for each in served for device in each.offer.devices if not device.is_healthy}

    def _handle(self, message: NodeChanged | Resync | None) -> None:
        with capture_logs() as logs:
            self.loop._wake(message)
            while (waiting := self.loop.mailbox.get(0)) is not None:
                self.loop._wake(waiting)
            self.status.step()
            self.recorder.step()
        for entry in logs:
            if entry["event"] not in UNTOLD:
                self._line("log", render_log(entry))

    def _line(self, who: str, what: str) -> None:
        self.lines.append(f"{self.now - START:7.1f}  {who:9}  {what}".rstrip())

    def _discover(self) -> DiscoveryResult:
        began = self.now
        return DiscoveryResult(inventory=self._look(), began=began)

    def _look(self) -> Inventory:
        if self.failure is not None:
            raise NvmlError("nvmlInit_v2", self.failure)
        return Inventory(
            driver=Driver(version="550.54.15", cuda=None),
            gpus=self.gpus,
            faults=self.faults,
            states=tuple(self.states.values()),
        )

    def _facts(self, error: NodeError | None) -> NodeFacts:
        code = error.code if isinstance(error, NvmlError) else None
        return NodeFacts(has_gpus=True, module=False, code=code, error=None if error is None else str(error))

    def _pods_of_devices(self, devices: frozenset[str]) -> Iterator[tuple[str, str]]:
        return (("default", pod) for pod, device in self.pods.items() if device in devices)

    # The methods of Manager that the controller calls.
    problems: Callable[[], tuple[str, ...]] = staticmethod(tuple)
    allocations: Mapping[str, int] = {}
    registrations: Mapping[str, int] = {}
    registration_failures: Mapping[str, int] = {}

    def reconcile(self, resources: Mapping[ResourceName, ServedResource]) -> None:
        advertised = {str(resource): render_offer(served.offer) for resource, served in resources.items()}
        for resource, text in advertised.items():
            if self._advertised.get(resource) != text:
                self._line("kubelet", f"{resource}: {text}")
        self._advertised = advertised
        allocatable = {
            str(resource): str(sum(device.is_healthy for device in served.offer.devices))
            for resource, served in resources.items()
        }
        if allocatable != self.node.allocatable:
            self.node = replace(self.node, allocatable=allocatable)
            self.loop.mailbox.post(NodeChanged(self.node))

    def check(self) -> None: ...

    def next_check(self, most: float) -> float:
        return most

    def sockets_problem(self) -> str | None:
        return None

    def close(self) -> None: ...

    # The methods of the API clients that the writers call.
    is_registered = True
    unwatched: tuple[ResourceName, ...] = ()

    def get(self) -> NodeView:
        return self.node

    def set_taints(self, manager: str, plan: TaintPlan, observed: NodeView, *, taints_annotation: str) -> NodeView:
        raise AssertionError

    def patch_status(self, manager: str, patch: Mapping[str, Any]) -> NodeView:
        if self.outage:
            raise KubeError("the API server does not respond")
        (condition,) = patch["status"]["conditions"]
        self.node = replace(self.node, conditions=parse_conditions(patch["status"]))
        self._line(
            "condition", f"{condition['type']}={condition['status']} {condition['reason']}: {condition['message']}"
        )
        return self.node

    def create(self, event: Mapping[str, Any]) -> None:
        if self.outage:
            raise KubeError("the API server does not respond")
        about = event["involvedObject"]
        times = f" ({event['count']} times)" if event["count"] > 1 else ""
        self._line(
            "event", f"{about['kind']} {about['name']} {event['type']} {event['reason']}{times}: {event['message']}"
        )

    def pod_uid(self, namespace: str, name: str) -> str | None:
        return f"uid-{name}"


def render_log(entry: Mapping[str, Any]) -> str:
    rest = {name: value for name, value in entry.items() if name not in ("event", "log_level")}
    return " ".join([entry["event"], *(f"{name}={value}" for name, value in rest.items() if value is not None)])


def render_offer(offer: ResourceOffer) -> str:
    bad = [device.id for device in offer.devices if not device.is_healthy]
    return f"{len(offer.devices) - len(bad)} healthy" + (f", unhealthy: {' '.join(bad)}" if bad else "")
