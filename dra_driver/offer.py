"""What the node offers: its devices with the taints of those that are not healthy, or nothing while another agent offers the GPUs. PURE."""

from collections.abc import Mapping, Sequence
from typing import Any

from dra_driver.devices.model import Device
from dra_driver.kubelet.health import DeviceHealth
from dra_driver.slices.plan import Taints

_PREFIXES = ("nvidia.com/gpu", "nvidia.com/mig-")


def find_plugin_resources(allocatable: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns the GPU resources that gpu-device-plugin offers on the node. A plugin that has ended leaves an amount of 0.

    allocatable: of the Node.
    """
    return tuple(sorted(name for name, amount in allocatable.items() if name.startswith(_PREFIXES) and amount != "0"))


def plugin_problem(resources: Sequence[str]) -> str | None:
    """Returns why the driver offers nothing, or None."""
    if not resources:
        return None
    return (
        f"gpu-device-plugin offers the GPUs of this node as {', '.join(resources)}. Remove it from this node"
        " (chart value devicePlugin.enabled: false), because a GPU that both offer would be used twice"
    )


def device_healths(devices: Sequence[Device], taints: Taints, pool: str, *, is_known: bool) -> list[DeviceHealth]:
    """Returns the health of each device for the kubelet. is_known: False if the last discovery failed."""
    return [
        DeviceHealth(
            pool=pool,
            device=each.name,
            is_healthy=each.name not in taints if is_known else None,
            message=", ".join(f"{taint.key}={taint.value}".rstrip("=") for taint in taints.get(each.name, ())),
        )
        for each in devices
    ]
