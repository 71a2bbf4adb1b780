"""Verdicts on GPUs become the health of devices: of every replica and every MIG device that shares the evidence, and of no other. PURE."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from device_plugin.devices import Device, Plan
from node_core.domain.health import Phase
from node_core.domain.inventory import GpuUuid
from node_core.domain.verdict import Offered


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """On a GPU, or with gpu_instance on that part of it alone. why: a sentence; None while it is healthy. todo: what a person does."""

    gpu: GpuUuid
    gpu_instance: int | None = None
    phase: Phase
    why: str | None = None
    todo: str | None = None

    @property
    def name(self) -> str:
        return self.gpu if self.gpu_instance is None else f"{self.gpu}, GPU instance {self.gpu_instance}"

    def concerns(self, device: Device) -> bool:
        return self.gpu == device.gpu and self.gpu_instance in (None, device.gpu_instance)


def mark_plan(plan: Plan, verdicts: Iterable[Verdict]) -> Plan:
    bad = [verdict for verdict in verdicts if not verdict.phase.is_usable]
    if not bad:
        return plan
    marked = {
        resource: replace(offer, devices=tuple(_mark(device, bad) for device in offer.devices))
        for resource, offer in plan.resources.items()
    }
    return replace(plan, resources=marked)


def _mark(device: Device, bad: Iterable[Verdict]) -> Device:
    """What the look itself said of the device comes first."""
    said = [verdict.why for verdict in bad if verdict.why and verdict.concerns(device)]
    if not device.healthy or not said:
        return device
    return replace(device, why_unhealthy="; ".join(dict.fromkeys(said)))


def count_offered(plan: Plan, verdicts: Iterable[Verdict]) -> Offered:
    """What a plan, after all marks, has to offer."""
    devices = [device for offer in plan.resources.values() for device in offer.devices]
    healthy = sum(device.healthy for device in devices)
    return Offered(
        healthy=healthy,
        unhealthy=len(devices) - healthy,
        excluded=len(plan.reserved),
        troubles=tuple(f"{verdict.name}: {verdict.why}" for verdict in verdicts if not verdict.phase.is_usable),
    )
