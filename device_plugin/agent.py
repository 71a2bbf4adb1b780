"""The life of the device plugin: the gate, looks at the GPUs, and what the kubelet is told.

One thread owns all of it. It never ends because of what it finds: it says so, serves what is sound, and looks again.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import structlog

from device_plugin import gate
from device_plugin.devices import Plan, fail_devices, plan_devices
from device_plugin.manager import Manager
from node_core.assembly import Edges
from node_core.domain.backoff import Backoff
from node_core.domain.labels import GPU_PRESENT
from node_core.domain.resources import ResourceName
from node_core.errors import NvmlError
from node_core.host.nvml.source import InventorySource
from node_core.kubelet.sockets import KUBELET_SOCKET
from node_core.runtime import metrics
from node_core.runtime.instance import InstanceLock, wait_alone
from node_core.runtime.labelling import HEARTBEAT
from node_core.runtime.mailbox import Mailbox
from node_core.runtime.messages import AgentMessage, KubeletChanged, NodeLost, NodeSeen, Pass, Stop
from node_core.runtime.services import Services

log = structlog.get_logger(__name__)

NAME = "gpu-device-plugin"
RETRIES = Backoff(first=2.0, most=60.0)
"""When a look at the GPUs that failed is tried again."""
BELIEVED = 2
"""So many failed looks in a row make the GPUs unusable: one alone is no reason to keep pods away from them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginSettings:
    """What gpu-device-plugin takes beside the common settings."""

    mig_strategy: Literal["none", "single", "mixed"] = "none"
    id_strategy: Literal["uuid", "index"] = "uuid"
    kubelet_socket: Path = KUBELET_SOCKET


class PluginAgent:
    """Serves while the Node's labels ask for it; see `gate`. What the kubelet asks is answered elsewhere, from the last plan."""

    def __init__(
        self,
        settings: PluginSettings,
        *,
        inventory: InventorySource,
        manager: Callable[[Callable[[], None]], Manager],
        services: Services,
        lock: InstanceLock | None = None,
    ) -> None:
        self.name = NAME
        self.mailbox: Mailbox[AgentMessage] = Mailbox()
        self._mig_strategy = settings.mig_strategy
        self._inventory = inventory
        self._services = services
        self._manager = manager(lambda: self.mailbox.post(KubeletChanged()))
        self._lock = lock
        self._open = False
        self._plan = Plan()
        self._notes: tuple[str, ...] = ()
        self._failures = 0
        self._look_at: float | None = None
        self._counted: Counter[tuple[str, str]] = Counter()

    def run(self) -> None:
        """Serves until Stop. The kubelet keeps the Node's capacity for the next process."""
        self._services.readiness.expect(f"{NAME}/node")
        if not wait_alone(self._lock, NAME, self.mailbox, self._services.readiness):
            return
        while not isinstance(message := self._next(), Stop):
            self._handle(message)
            self._report()

    def close(self) -> None:
        self._manager.close()
        if self._lock is not None:
            self._lock.release()

    def _next(self) -> AgentMessage | None:
        self._services.readiness.beat(NAME)
        wait = self._manager.next_check(HEARTBEAT)
        if self._look_at is not None:
            wait = min(wait, max(0.0, self._look_at - self._services.clock()))
        return self.mailbox.take(wait)

    def _handle(self, message: AgentMessage | None) -> None:
        match message:
            case NodeSeen(view):
                self._services.readiness.report(f"{NAME}/node", None)
                self._turn(gate.is_open(view.labels))
            case NodeLost(error):
                self._services.readiness.report(f"{NAME}/node", str(error))  # and go on serving as before
                self._services.metrics.add(metrics.ERRORS, agent=NAME, check="node")
            case Pass() if self._open:
                self._look()
            case None if self._look_at is not None and self._services.clock() >= self._look_at:
                self._look()
            case _:
                pass
        self._manager.check()

    def _turn(self, is_open: bool) -> None:
        if is_open == self._open:
            return
        self._open = is_open
        log.info("gate_opened" if is_open else "gate_closed", label=GPU_PRESENT)
        if is_open:
            self._look()
        else:
            self._look_at = None
            self._serve(Plan())

    def _look(self) -> None:
        self._services.metrics.add(metrics.PASSES, agent=NAME)
        try:
            inventory = self._inventory.look()
        except NvmlError as error:
            self._look_failed(error)
            return
        self._failures = 0
        self._look_at = None
        self._services.readiness.report(f"{NAME}/gpus", None)
        self._serve(plan_devices(inventory, mig_strategy=self._mig_strategy, known=self._plan))

    def _look_failed(self, error: NvmlError) -> None:
        self._failures += 1
        self._look_at = self._services.clock() + RETRIES.delay(self._failures, self._services.chance())
        self._services.readiness.report(f"{NAME}/gpus", str(error))
        self._services.metrics.add(metrics.ERRORS, agent=NAME, check="gpus")
        if self._failures >= BELIEVED:
            self._serve(fail_devices(self._plan, str(error)))

    def _serve(self, plan: Plan) -> None:
        for note in plan.notes:
            if note not in self._notes:
                log.warning("not_allocatable", why=note)
        self._notes = plan.notes
        self._plan = plan
        self._manager.reconcile(plan)

    def _report(self) -> None:
        """What the manager has to say, after each message."""
        self._services.readiness.report(f"{NAME}/kubelet", "; ".join(self._manager.problems()) or None)
        for metric, counts in (
            (metrics.REGISTRATIONS, self._manager.registrations),
            (metrics.REGISTRATION_FAILURES, self._manager.registration_failures),
            (metrics.ALLOCATIONS, self._manager.allocations),
        ):
            self._count(metric, counts)
        health: Counter[tuple[str, ...]] = Counter(
            (NAME, resource, "healthy" if device.healthy else "unhealthy")
            for resource, devices in self._plan.resources.items()
            for device in devices
        )
        self._services.metrics.replace(metrics.DEVICES, NAME, health)

    def _count(self, metric: metrics.Metric, counts: Mapping[ResourceName, int]) -> None:
        """Brings a counter to what the manager has counted since the process began."""
        for resource, total in list(counts.items()):
            new = total - self._counted[metric.name, resource]
            self._services.metrics.add(metric, new, agent=NAME, resource=resource)
            self._counted[metric.name, resource] = total


def build_agent(settings: PluginSettings, edges: Edges, services: Services) -> PluginAgent:
    """An agent that is not started yet."""
    return PluginAgent(
        settings,
        inventory=edges.inventory,
        manager=lambda notify: Manager(
            settings.kubelet_socket.parent, settings.kubelet_socket, notify, id_strategy=settings.id_strategy
        ),
        services=services,
        lock=edges.lock(NAME),
    )
