"""A device plugin whose node goes through something, by a clock of its own: what happens, and what everybody is told, line by line.

The agent, its health and its teller are the real ones; the manager, the API server and the GPUs are values.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from structlog.testing import capture_logs

from device_plugin.agent import NAME, PluginAgent
from device_plugin.devices import Plan
from device_plugin.health.keeper import NO_FILE, HealthKeeper
from device_plugin.health.state_file import StateFile
from device_plugin.health.teller import Teller
from device_plugin.looker import Looked
from device_plugin.manager import Answers, Manager
from device_plugin.settings import PluginSettings
from node_core.domain.evidence import GpuState, RecoveryAction, XidEvent
from node_core.domain.inventory import Driver, Fault, Gpu, GpuUuid, Inventory
from node_core.domain.node import NodeView
from node_core.domain.verdict import NodeFacts
from node_core.errors import KubeError, NodeError, NvmlError
from node_core.runtime.messages import NodeSeen, Pass
from node_core.runtime.readiness import Readiness
from node_core.runtime.services import Services

OPEN = NodeView(name="n1", uid="u", resource_version="1", labels={"nvidia.com/gpu.present": "true"})
START = 1000.0
UNTOLD = {"device_list_chosen", "gate_opened", "not_ready", "ready"}


class World:
    """gpus, states, failure: what the next look finds. pods: name of a pod in the namespace default -> the device that it holds.

    lines: what was told, in order, with seconds since the start. wall_jump: by how much somebody has set the machine's clock.
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
        self.node: dict[str, Any] = {"status": {"conditions": []}}
        self.outage = False
        self.lines: list[str] = []
        self.file = NO_FILE if file is None else StateFile(file, "boot-1")
        self._settings = settings or PluginSettings()
        self._advertised: Mapping[str, str] = {}
        self.start()

    def start(self) -> None:
        """A new process."""
        self.services = Services(
            readiness=Readiness(lambda: self.now),
            clock=lambda: self.now,
            wall=lambda: self.now + self.wall_jump,
            chance=lambda: 0.0,
        )
        self.teller = Teller(self, self._holders, self.services, agent=NAME, node_name="n1")
        self.agent = PluginAgent(
            self._settings,
            look=lambda _: Looked(inventory=self._look()),
            manager=lambda _: cast("Manager", self),
            services=self.services,
            health=lambda wake: HealthKeeper(
                NAME, self.services, wake, file=self.file, sink=self.teller, facts=self._facts
            ),
            start=lambda run: run(),
        )
        self.agent._health.start()
        self._handle(NodeSeen(OPEN))

    def say(self, uuid: GpuUuid, **said: Any) -> None:
        """What a GPU says of itself from now on, with a driver that knows recovery actions."""
        sound = GpuState(gpu=uuid, recovery_action=RecoveryAction.NONE, remap_pending=False, remap_failed=False)
        self.states[uuid] = replace(sound, **said)

    def xid(self, xid: int, gpu: Gpu, *, count: int = 1, instance: int | None = None) -> None:
        self.note(f"Xid {xid} of GPU {gpu.index}" + (f", {count} times" if count > 1 else ""))
        self.agent._health.box.seen(
            XidEvent(xid=xid, gpu=gpu.uuid, gpu_instance=instance, compute_instance=instance and 0, at=self.now, count=count)
        )  # fmt: skip
        self._handle(None)

    def look(self) -> None:
        """A periodic pass."""
        self._handle(Pass())

    def wait(self, seconds: float) -> None:
        """Lets the agent do what is due meanwhile."""
        end = self.now + seconds
        self._handle(None)
        while (due := self.agent._due()) is not None and due <= end:
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
        offers = self.agent._advertised.resources.values()
        return {device.id for offer in offers for device in offer.devices if not device.healthy}

    def _handle(self, message: NodeSeen | Pass | None) -> None:
        with capture_logs() as logs:
            self.agent._handle(message)
            while (waiting := self.agent.mailbox.take(0)) is not None:
                self.agent._handle(waiting)
            self.teller.step()
        for entry in logs:
            if entry["event"] not in UNTOLD:
                self._line("log", render_log(entry))

    def _line(self, who: str, what: str) -> None:
        self.lines.append(f"{self.now - START:7.1f}  {who:9}  {what}".rstrip())

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
        return NodeFacts(gpus_on_pci=True, module=False, code=code, error=None if error is None else str(error))

    def _holders(self, devices: frozenset[str]) -> Iterator[tuple[str, str]]:
        return (("default", pod) for pod, device in self.pods.items() if device in devices)

    # What the agent needs of a manager.
    problems: Callable[[], tuple[str, ...]] = staticmethod(tuple)
    allocations: Mapping[str, int] = {}
    registrations: Mapping[str, int] = {}
    registration_failures: Mapping[str, int] = {}

    def reconcile(self, plan: Plan, answers: Answers) -> None:
        advertised = {str(resource): render_offer(plan, resource) for resource in plan.resources}
        for resource, text in advertised.items():
            if self._advertised.get(resource) != text:
                self._line("kubelet", f"{resource}: {text}")
        self._advertised = advertised

    def check(self) -> None: ...

    def next_check(self, most: float) -> float:
        return most

    def close(self) -> None: ...

    # What the teller needs of a cluster.
    def read_node(self) -> Mapping[str, Any]:
        if self.outage:
            raise KubeError("the API server does not answer")
        return self.node

    def patch_status(self, patch: Mapping[str, Any]) -> None:
        (condition,) = patch["status"]["conditions"]
        self.node = dict(patch)
        self._line(
            "condition", f"{condition['type']}={condition['status']} {condition['reason']}: {condition['message']}"
        )

    def create_event(self, event: Mapping[str, Any]) -> None:
        if self.outage:
            raise KubeError("the API server does not answer")
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


def render_offer(plan: Plan, resource: str) -> str:
    devices = next(offer.devices for name, offer in plan.resources.items() if name == resource)
    bad = [device.id for device in devices if not device.healthy]
    return f"{len(devices) - len(bad)} healthy" + (f", unhealthy: {' '.join(bad)}" if bad else "")
