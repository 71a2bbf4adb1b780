"""Assessments of GPUs, and their effect on devices: an assessment applies to all replicas and MIG devices of its part of the GPU. PURE."""

from collections.abc import Iterable

from device_plugin.devices import Device, Plan
from device_plugin.plan.withhold import Cause
from gpu_core.domain.node_assessment import DeviceCounts, Reason
from gpu_core.domain.resources import ResourceName
from gpu_core.health.assessment import GpuAssessment


def health_cause(gpu_assessments: Iterable[GpuAssessment]) -> Cause:
    """Applies to the devices on a GPU, or on a GPU instance, that is not usable."""
    unusable = [assessment for assessment in gpu_assessments if not assessment.phase.is_usable and assessment.why]

    def why(_: ResourceName, device: Device) -> str | None:
        return (
            "; ".join(
                dict.fromkeys(str(each.why) for each in unusable if each.concerns(device.gpu, device.gpu_instance))
            )
            or None
        )

    return Cause(why=why)


def count_devices(plan: Plan, gpu_assessments: Iterable[GpuAssessment]) -> DeviceCounts:
    """Counts the devices of a plan in which unhealthy devices are already marked."""
    devices = [device for offer in plan.resources.values() for device in offer.devices]
    unhealthy = [
        (resource, each) for resource, offer in plan.resources.items() for each in offer.devices if not each.is_healthy
    ]
    unusable = [assessment for assessment in gpu_assessments if not assessment.phase.is_usable]
    of_node = dict.fromkeys(f"{resource}: {each.why_unhealthy}" for resource, each in unhealthy if each.unhealthy_by)
    return DeviceCounts(
        healthy=len(devices) - len(unhealthy),
        unhealthy=len(unhealthy),
        unit="GPUs" if all(device.replica is None and device.gpu_instance is None for device in devices) else "devices",
        excluded=len(plan.reserved),
        excluded_reasons=tuple(dict.fromkeys(each.why for each in plan.reserved)),
        excluded_by=_common(each.reason for each in plan.reserved),
        problems=(*of_node, *(f"{assessment.name}: {assessment.why}" for assessment in unusable)),
        unhealthy_by=_common(device.unhealthy_by for _, device in unhealthy),
        needs_action=not unusable or bool(of_node) or any(each.todo for each in unusable),
    )


def _common(reasons: Iterable[Reason | None]) -> Reason | None:
    """Returns the reason if all reasons are equal."""
    different = set(reasons)
    return different.pop() if len(different) == 1 else None
