"""The taints of devices on GPUs that are not healthy. A taint exists while its reason does. PURE.

Source: KEP-5055, device taints and tolerations.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from dra_driver.devices.model import Device
from dra_driver.names import DRIVER
from gpu_core.domain.evidence import GpuState, RecoveryAction
from gpu_core.domain.health import Health
from gpu_core.domain.inventory import GpuUuid
from gpu_core.health.assessment import GpuPart
from gpu_core.mig.model import MigGpu

MAX_TAINTS = 4
"""Taints of one device that Kubernetes 1.33 and 1.34 accept; newer versions accept 16. All have the same effect, so one is enough."""


class TaintEffect(StrEnum):
    """NO_SCHEDULE: new pods do not get the device. NO_EXECUTE: pods that use the device are also evicted."""

    NO_SCHEDULE = "NoSchedule"
    NO_EXECUTE = "NoExecute"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class DeviceTaint:
    """key: with domain. value: a label value; empty if the key states everything."""

    key: str
    value: str = ""
    effect: TaintEffect = TaintEffect.NO_SCHEDULE


def taints_of(
    devices: Collection[Device],
    healths: Mapping[GpuPart, Health],
    mig_gpus: Collection[MigGpu] = (),
    *,
    effect: TaintEffect = TaintEffect.NO_SCHEDULE,
) -> Mapping[str, tuple[DeviceTaint, ...]]:
    """Returns the taints of each device that must not be used, sorted, at most MAX_TAINTS. Devices without taints are absent.

    A problem of a GPU instance concerns the devices that occupy the memory slices of the instance.
    """
    reasons = {part: tuple(_reasons(health)) for part, health in healths.items() if not health.phase.is_usable}
    found = {
        device.name: tuple(
            sorted(
                {
                    DeviceTaint(key=f"{DRIVER}/{key}", value=value, effect=effect)
                    for part, pairs in reasons.items()
                    if _concerns(part, device, mig_gpus)
                    for key, value in pairs
                }
            )[:MAX_TAINTS]
        )
        for device in devices
    }
    return {name: taints for name, taints in found.items() if taints}


def _reasons(health: Health) -> Iterator[tuple[str, str]]:
    """Yields key and value of each reason. A GPU whose reasons are cleared has the taint `recovering` until its hold-down ends."""
    state = health.state
    found = [*_state_reasons(state)] if state else []
    if health.incidents:
        found.append(("xid", str(health.incidents[0].xid)))
    yield from found or [("recovering", "")]


def _state_reasons(state: GpuState) -> Iterator[tuple[str, str]]:
    if state.lost:
        yield "gpu-lost", ""
    if state.recovery_action not in (None, RecoveryAction.NONE):
        yield "recovery-action", str(state.recovery_action)
    if state.remap_failed:
        yield "row-remap-failed", ""
    if state.missing_nodes:
        yield "device-nodes-missing", ""


def _concerns(part: GpuPart, device: Device, mig_gpus: Collection[MigGpu]) -> bool:
    gpu, gpu_instance = part
    if device.gpu.uuid != gpu:
        return False
    if gpu_instance is None or (device.mig is None and device.placement is None):
        return True
    if device.mig is not None:
        return device.mig.gpu_instance == gpu_instance
    return device.placement is not None and not device.placement.slices.isdisjoint(
        _slices_of(gpu, gpu_instance, tuple(mig_gpus))
    )


def _slices_of(gpu: GpuUuid, gpu_instance: int, mig_gpus: Sequence[MigGpu]) -> frozenset[int]:
    instances = (each for mig in mig_gpus if mig.uuid == gpu for each in mig.instances)
    return next((each.placement.slices for each in instances if each.id == gpu_instance), frozenset())
