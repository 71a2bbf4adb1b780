"""Reports the state of the plugin: readiness checks, metrics, and a log line for each setting that cannot be applied as configured."""

from collections import Counter
from collections.abc import Iterable, Mapping

import structlog

from device_plugin.devices import Device, Plan
from device_plugin.manager import Manager
from gpu_core.domain.inventory import gpu_name
from gpu_core.domain.resources import ResourceName
from node_core.runtime import metrics
from node_core.runtime.services import Services

log = structlog.get_logger(__name__)


class Reporter:
    """agent: the name under which checks and metrics are reported."""

    def __init__(self, agent: str, services: Services) -> None:
        self._agent = agent
        self._services = services
        self._counted: Counter[tuple[str, str]] = Counter()
        self._problems: dict[str, str | None] = {}
        self._notes: tuple[str, ...] = ()
        self._spec_notes: tuple[str, ...] = ()
        self._reserved: dict[str, list[str]] = {}

    def check(self, name: str, problem: str | None) -> None:
        """Reports a readiness check. A new problem increments the error counter."""
        self._services.readiness.report(f"{self._agent}/{name}", problem)
        if problem is not None and problem != self._problems.get(name):
            self.count_error(name)
        self._problems[name] = problem

    def clear(self, *names: str) -> None:
        """Clears the problems of checks that no longer run."""
        for name in names:
            if self._services.readiness.problems().get(f"{self._agent}/{name}") is not None:
                self.check(name, None)

    def count_error(self, name: str) -> None:
        self._services.metrics.add(metrics.ERRORS, agent=self._agent, check=name)

    def report_cdi_notes(self, notes: tuple[str, ...]) -> None:
        """Logs each new note about content that is missing in the CDI specifications."""
        for note in notes:
            if note not in self._spec_notes:
                log.warning("cdi_spec_incomplete", why=note)
        self._spec_notes = notes

    def report_plan(self, plan: Plan) -> None:
        """Logs what is new in the plan."""
        by_reason: dict[str, list[Device]] = {}
        for each in plan.reserved:
            by_reason.setdefault(each.why, []).append(each.device)
        reserved = {why: _names(devices) for why, devices in by_reason.items()}
        for note in plan.notes:
            if note not in self._notes:
                log.warning("device_plan_warning", why=note)
        for why, devices in reserved.items():
            if devices != self._reserved.get(why):
                log.info("devices_reserved", devices=devices, why=why)
        self._notes, self._reserved = plan.notes, reserved

    def report_manager(self, manager: Manager, plan: Plan) -> None:
        """Reports registrations, allocations and the health of the advertised devices."""
        self._services.readiness.report(f"{self._agent}/kubelet", "; ".join(manager.problems()) or None)
        for metric, counts in (
            (metrics.REGISTRATIONS, manager.registrations),
            (metrics.REGISTRATION_FAILURES, manager.registration_failures),
            (metrics.ALLOCATIONS, manager.allocations),
        ):
            self._count(metric, counts)
        health: Counter[tuple[str, ...]] = Counter(
            (self._agent, resource, "healthy" if device.is_healthy else "unhealthy")
            for resource, offer in plan.resources.items()
            for device in offer.devices
        )
        self._services.metrics.replace(metrics.DEVICES, self._agent, health)

    def _count(self, metric: metrics.Metric, counts: Mapping[ResourceName, int]) -> None:
        """Adds to a counter what the manager has counted since the last call."""
        for resource, total in list(counts.items()):
            new = total - self._counted[metric.name, resource]
            self._services.metrics.add(metric, new, agent=self._agent, resource=resource)
            self._counted[metric.name, resource] = total


def _names(devices: Iterable[Device]) -> list[str]:
    """Returns the names of GPUs, each with its MIG devices: `GPU 0 (GPU-9ad2…)`, `GPU 1 (GPU-0c42…), MIG devices 1:0 1:1`."""
    names: dict[str, list[str]] = {}
    for device in devices:
        index, is_mig, _ = device.index.partition(":")
        mig = names.setdefault(gpu_name(device.gpu, int(index)) if index.isdecimal() else device.name, [])
        mig += [device.index] if is_mig else []
    return [f"{name}, MIG devices {' '.join(mig)}" if mig else name for name, mig in names.items()]
