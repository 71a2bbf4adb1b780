"""How a claim shares its devices: what its configs request, and what the driver records. PURE.

Source: documentation of NVIDIA's DRA driver, GPU sharing; NVIDIA MPS documentation; MIG user guide, MPS with MIG.
"""

from collections.abc import Mapping, Sequence

import msgspec

from dra_driver.claims.config import DeviceConfig, GpuConfig, GpuSharing, Interval, MpsConfig
from dra_driver.devices.model import Device, DeviceKind
from gpu_core.domain.resources import ResourceName
from node_core.domain.quantity import parse_quantity
from node_core.errors import ClaimError

MIB = 1 << 20


class MpsShare(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of each client of a device. threads: percentage. memory_mib, threads: None for no limit.

    index: of the GPU in NVML's order. visible: UUID of the GPU or MIG device; empty until the device is made.
    """

    index: int
    threads: int | None = None
    memory_mib: int | None = None
    visible: str = ""


def claim_resource(uid: str) -> ResourceName:
    """The name of the MPS daemon of a claim: its folder below the MPS root of the driver."""
    return ResourceName(f"claims/{uid}")


def time_slice_of(config: DeviceConfig | None) -> Interval | None:
    """Returns the interval that a config sets; None for the hardware's own, which needs no change."""
    if not isinstance(config, GpuConfig) or config.sharing is None or config.sharing.time_slicing_config is None:
        return None
    interval = config.sharing.time_slicing_config.interval
    return None if interval == "Default" else interval


def mps_of(config: DeviceConfig | None) -> MpsConfig | None:
    """Returns the settings of MPS; None without MPS."""
    sharing = None if config is None else config.sharing
    return None if sharing is None or sharing.strategy != "MPS" else sharing.mps_config or MpsConfig()


def check_sharing(config: DeviceConfig, device: str) -> None:
    """Raises ClaimError for sharing with settings of another strategy, or with values out of their range."""
    where, sharing = f"the config {config.kind} of {device}", config.sharing
    if sharing is None:
        return
    if sharing.strategy != "MPS" and sharing.mps_config is not None:
        raise ClaimError(f"{where} has mpsConfig without the strategy MPS")
    if sharing.strategy == "MPS" and isinstance(sharing, GpuSharing) and sharing.time_slicing_config is not None:
        raise ClaimError(f"{where} has timeSlicingConfig without the strategy TimeSlicing")
    mps = sharing.mps_config or MpsConfig()
    if mps.multi_user:
        raise ClaimError(f"{where} asks for multiUser, which this driver does not start", hint="remove `multiUser`")
    if mps.default_active_thread_percentage is not None and not 1 <= mps.default_active_thread_percentage <= 100:
        raise ClaimError(
            f"{where}: defaultActiveThreadPercentage must be from 1 to 100, found {mps.default_active_thread_percentage}"
        )
    if mps.default_pinned_device_memory_limit is not None:
        _memory_mib(mps.default_pinned_device_memory_limit, f"{where}: defaultPinnedDeviceMemoryLimit")
    for key, value in (mps.default_per_device_pinned_memory_limit or {}).items():
        _memory_mib(value, f"{where}: defaultPerDevicePinnedMemoryLimit[{key}]")


def plan_shares(devices: Sequence[tuple[Device, MpsConfig]]) -> Mapping[str, MpsShare]:
    """Returns name -> share of the devices of a claim that are shared by MPS. Raises ClaimError if one daemon cannot serve all of them.

    A process connects to one daemon, so a claim has one. A daemon serves full GPUs, or one MIG device.
    """
    if not devices:
        return {}
    ordered = sorted(devices, key=lambda each: each[0].gpu.index)
    names = ", ".join(device.name for device, _ in ordered)
    config = ordered[0][1]
    if any(other != config for _, other in ordered):
        raise ClaimError(f"the configs of {names} have different settings of MPS", hint="use a claim for each")
    if len(ordered) > 1 and any(device.kind is DeviceKind.MIG for device, _ in ordered):
        raise ClaimError(f"an MPS daemon cannot serve {names} together", hint="use a claim for each MIG device")
    limits = dict(config.default_per_device_pinned_memory_limit or {})
    shares = {}
    for number, (device, _) in enumerate(ordered):
        uuid = device.mig.uuid if device.mig is not None else device.gpu.uuid
        limit = limits.pop(str(number), None) or config.default_pinned_device_memory_limit
        limit = limits.pop(uuid, limit)
        shares[device.name] = MpsShare(
            index=device.gpu.index,
            threads=config.default_active_thread_percentage,
            memory_mib=None if limit is None else _memory_mib(limit, "defaultPerDevicePinnedMemoryLimit"),
        )
    if limits:
        raise ClaimError(
            f"defaultPerDevicePinnedMemoryLimit has the keys {', '.join(sorted(limits))}, but the claim shares {names}",
            hint="use the UUID of a device of the claim, or its number from 0",
        )
    return shares


def _memory_mib(text: str, where: str) -> int:
    """Returns whole MiB, as MPS sets them. Raises ClaimError."""
    try:
        mib = int(parse_quantity(text) // MIB)
    except ValueError as error:
        raise ClaimError(f"{where}: {error}") from error
    if not 1 <= mib < 1 << 31:
        raise ClaimError(f"{where}: must be at least 1Mi and less than 2Pi, found {text}")
    return mib
