"""Marks devices as unhealthy, so that the kubelet does not allocate them although they remain advertised. PURE.

A device that is already unhealthy retains its reason; otherwise the first cause that applies to the device counts.
"""

from collections.abc import Callable, Collection, Iterable, Mapping

import msgspec

from device_plugin.devices import Device, Plan
from gpu_core.domain.node_assessment import Reason
from gpu_core.domain.resources import ResourceName
from node_core.values import replace

NO_SPECIFICATION = "no CDI specification contains the device: see the log of the plugin"

LEAVING = "mig-manager destroys the device as soon as no pod uses it"


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """why: returns why a device of a resource is unhealthy, as a sentence; None if the cause does not apply.

    reason: the reason of the Node condition if the cause applies to all devices; None if the cause concerns single GPUs.
    """

    why: Callable[[ResourceName, Device], str | None]
    reason: Reason | None = None


def withhold(plan: Plan, causes: Iterable[Cause]) -> Plan:
    """Returns the plan with each device marked as unhealthy to which a cause applies."""
    causes = tuple(causes)
    resources = {
        resource: replace(offer, devices=tuple(_withhold_device(resource, device, causes) for device in offer.devices))
        for resource, offer in plan.resources.items()
    }
    return replace(plan, resources=resources)


def global_cause(why: str, reason: Reason | None = None) -> Cause:
    """Applies to every device."""
    return Cause(why=lambda resource, device: why, reason=reason)  # noqa: ARG005


def mps_cause(problems: Mapping[ResourceName, str], reason: Reason) -> Cause:
    """Applies to the replicas of a resource whose MPS daemon is not ready. problems: resource -> sentence."""
    return Cause(why=lambda resource, device: None if device.replica is None else problems.get(resource), reason=reason)


def leaving_cause(uuids: Collection[str]) -> Cause:
    """Applies to devices that mig-manager is about to destroy. uuids: of GPUs and MIG devices."""
    return Cause(why=lambda resource, device: LEAVING if device.uuid in uuids else None, reason=Reason.MIG_CHANGING)  # noqa: ARG005


def cdi_cause(names: Collection[str], why: str = NO_SPECIFICATION) -> Cause:
    """Applies to devices without a CDI name. names: the NVML UUIDs of the devices that have a CDI name."""
    return Cause(why=lambda resource, device: None if device.uuid in names else why, reason=Reason.NO_CDI)  # noqa: ARG005


def _withhold_device(resource: ResourceName, device: Device, causes: tuple[Cause, ...]) -> Device:
    if not device.is_healthy:
        return device
    for cause in causes:
        if why := cause.why(resource, device):
            return replace(device, why_unhealthy=why, unhealthy_by=cause.reason)
    return device
