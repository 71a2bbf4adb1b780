"""The opaque configs of claims and DeviceClasses: GpuConfig and MigDeviceConfig of resource.nvidia.com/v1beta1. PURE.

Source: documentation of NVIDIA's DRA driver, GPU sharing. Unknown fields are errors, as there.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import msgspec

from dra_driver.devices.model import DeviceKind
from node_core.decode import decode_struct
from node_core.errors import ClaimError, SettingsError

API_VERSION = "resource.nvidia.com/v1beta1"
Interval = Literal["Default", "Short", "Medium", "Long"]


class TimeSlicingConfig(msgspec.Struct, frozen=True, kw_only=True):
    interval: Interval = "Default"


class MpsConfig(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    default_active_thread_percentage: int | None = None
    default_pinned_device_memory_limit: str | None = None
    default_per_device_pinned_memory_limit: dict[str, str] | None = None
    multi_user: bool | None = None


class GpuSharing(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    strategy: Literal["TimeSlicing", "MPS"]
    time_slicing_config: TimeSlicingConfig | None = None
    mps_config: MpsConfig | None = None


class MigSharing(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    strategy: Literal["TimeSlicing", "MPS"]
    mps_config: MpsConfig | None = None


class GpuConfig(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    api_version: str
    kind: str
    sharing: GpuSharing | None = None


class MigDeviceConfig(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    api_version: str
    kind: str
    sharing: MigSharing | None = None


DeviceConfig = GpuConfig | MigDeviceConfig
_KINDS: Mapping[str, tuple[type[GpuConfig] | type[MigDeviceConfig], DeviceKind]] = {
    "GpuConfig": (GpuConfig, DeviceKind.GPU),
    "MigDeviceConfig": (MigDeviceConfig, DeviceKind.MIG),
}


def decode_config(parameters: Any) -> DeviceConfig:
    """Decodes the parameters of one opaque config. Raises ClaimError with all problems."""
    if not isinstance(parameters, Mapping):
        raise ClaimError(f"the config is not a mapping. Write an object of {API_VERSION}")
    version, kind = parameters.get("apiVersion"), parameters.get("kind")
    if version != API_VERSION or not isinstance(kind, str) or kind not in _KINDS:
        raise ClaimError(
            f"the config has apiVersion {version!r} and kind {kind!r}",
            hint=f"use {API_VERSION} with the kind {' or '.join(_KINDS)}",
        )
    try:
        return decode_struct(parameters, _KINDS[kind][0], source=f"config {kind}")
    except SettingsError as error:
        raise ClaimError("; ".join(error.problems)) from error


def select_config(configs: Iterable[tuple[DeviceConfig, bool]], kind: DeviceKind) -> DeviceConfig | None:
    """Returns the config of a device: the last one that applies, or None.

    configs: with whether the config names the request, in increasing precedence. A config for all requests of a claim applies to the
    devices of its type, so that a claim of GPUs and MIG devices can have one for each.
    """
    found = [config for config, is_named in configs if is_named or _KINDS[config.kind][1] is kind]
    return found[-1] if found else None


def check_kind(config: DeviceConfig, kind: DeviceKind, device: str) -> None:
    """Raises ClaimError if the config is for other devices."""
    if kind is not _KINDS[config.kind][1]:
        raise ClaimError(f"the config {config.kind} does not apply to {device}, which has the type {kind}")
