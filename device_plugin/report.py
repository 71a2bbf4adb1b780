"""What the device plugin says of itself: readiness, metrics, and a line in the log for each thing that is not as it was asked for."""

from collections import Counter
from collections.abc import Mapping

import structlog

from device_plugin.devices import Plan
from device_plugin.manager import Manager
from node_core.domain.resources import ResourceName
from node_core.runtime import metrics
from node_core.runtime.services import Services

log = structlog.get_logger(__name__)


class Reporter:
    """agent: whose checks and metrics these are."""

    def __init__(self, agent: str, services: Services) -> None:
        self._agent = agent
        self._services = services
        self._counted: Counter[tuple[str, str]] = Counter()
        self._problems: dict[str, str | None] = {}
        self._notes: tuple[str, ...] = ()
        self._spec_notes: tuple[str, ...] = ()
        self._kept: dict[str, list[str]] = {}

    def check(self, name: str, problem: str | None) -> None:
        """To readiness. A problem that is new counts as an error."""
        self._services.readiness.report(f"{self._agent}/{name}", problem)
        if problem is not None and problem != self._problems.get(name):
            self.failed(name)
        self._problems[name] = problem

    def failed(self, name: str) -> None:
        self._services.metrics.add(metrics.ERRORS, agent=self._agent, check=name)

    def specs(self, notes: tuple[str, ...]) -> None:
        """What CDI specifications leave out, as far as that is new."""
        for note in notes:
            if note not in self._spec_notes:
                log.warning("cdi_left_out", why=note)
        self._spec_notes = notes

    def plan(self, plan: Plan) -> None:
        """What is new in it."""
        kept: dict[str, list[str]] = {}
        for each in plan.reserved:
            kept.setdefault(each.why, []).append(each.device.index)
        for note in plan.notes:
            if note not in self._notes:
                log.warning("not_allocatable", why=note)
        for why, devices in kept.items():
            if devices != self._kept.get(why):
                log.info("devices_reserved", devices=devices, why=why)
        self._notes, self._kept = plan.notes, kept

    def manager(self, manager: Manager, plan: Plan) -> None:
        """What became of a plan."""
        self._services.readiness.report(f"{self._agent}/kubelet", "; ".join(manager.problems()) or None)
        for metric, counts in (
            (metrics.REGISTRATIONS, manager.registrations),
            (metrics.REGISTRATION_FAILURES, manager.registration_failures),
            (metrics.ALLOCATIONS, manager.allocations),
        ):
            self._count(metric, counts)
        health: Counter[tuple[str, ...]] = Counter(
            (self._agent, resource, "healthy" if device.healthy else "unhealthy")
            for resource, offer in plan.resources.items()
            for device in offer.devices
        )
        self._services.metrics.replace(metrics.DEVICES, self._agent, health)

    def _count(self, metric: metrics.Metric, counts: Mapping[ResourceName, int]) -> None:
        """Brings a counter to what the manager has counted since the process began."""
        for resource, total in list(counts.items()):
            new = total - self._counted[metric.name, resource]
            self._services.metrics.add(metric, new, agent=self._agent, resource=resource)
            self._counted[metric.name, resource] = total
