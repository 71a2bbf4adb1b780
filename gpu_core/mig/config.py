"""The config file of NVIDIA's mig-parted and MIG manager, version v1: named layouts for the GPUs of a node. PURE.

Source: mig-parted README, "Configuration"; the file has the same meaning here. Unknown keys are errors.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from gpu_core.mig.profile_text import parse_profile
from node_core.decode import Cursor, decode_struct
from node_core.errors import SettingsError

_FILTER = re.compile("0[xX][0-9a-fA-F]{8}(?::0[xX][0-9a-fA-F]{8})?")

_Filter = Annotated[str, Meta(description="PCI ids such as 0x20B010DE")]
_Index = Annotated[int, Meta(ge=0)]
_Count = Annotated[int, Meta(ge=0, le=1000)]


class ConfigEntry(msgspec.Struct, frozen=True, kw_only=True):
    """The layout of some GPUs of a node.

    device_filter: PCI ids as in `MigGpu.pci_id`, with `:` and the subsystem where it matters; empty: GPUs of all models.
    devices: indexes of GPUs; None: all. mig_devices: name of a profile, with `+` -> count.
    """

    device_filter: tuple[str, ...] = ()
    devices: tuple[int, ...] | None = None
    is_enabled: bool
    mig_devices: Mapping[str, int] = msgspec.field(default_factory=dict)


MigConfigs = Mapping[str, tuple[ConfigEntry, ...]]
"""Name of a config -> entries."""


class _Entry(msgspec.Struct, frozen=True, kw_only=True, rename="kebab"):
    device_filter: str | list[str] | None = None
    devices: Literal["all"] | list[_Index]
    mig_enabled: bool
    mig_devices: dict[str, _Count] | UnsetType = UNSET


class _File(msgspec.Struct, frozen=True, kw_only=True, rename="kebab"):
    version: Literal["v1"]
    mig_configs: dict[str, list[_Entry]]


def decode_mig_configs(data: Any, *, source: str) -> MigConfigs:
    """Decodes the content of a config file. source: the name of the file in problems. Raises SettingsError with all problems."""
    file = decode_struct(data, _File, source=source)
    root = Cursor(value=data).child("mig-configs", file.mig_configs)
    if not file.mig_configs:
        root.report("is empty. Write at least one config")
    configs = {name: _parse_config(root.child(name, entries), entries) for name, entries in file.mig_configs.items()}
    if root.problems:
        raise SettingsError([f"{source}: {problem}" for problem in root.problems])
    return configs


def render_mig_configs(configs: MigConfigs) -> dict[str, Any]:
    """Returns the content of a config file: `decode_mig_configs` returns the same configs."""
    return {
        "version": "v1",
        "mig-configs": {name: [_render_entry(entry) for entry in entries] for name, entries in configs.items()},
    }


def _render_entry(entry: ConfigEntry) -> dict[str, Any]:
    return {
        **({"device-filter": list(entry.device_filter)} if entry.device_filter else {}),
        "devices": "all" if entry.devices is None else list(entry.devices),
        "mig-enabled": entry.is_enabled,
        **({"mig-devices": dict(entry.mig_devices)} if entry.is_enabled else {}),
    }


def _parse_config(cursor: Cursor, entries: list[_Entry]) -> tuple[ConfigEntry, ...]:
    if not entries:
        cursor.report("is empty. Write at least one entry")
    return tuple(_parse_entry(cursor.child(f"[{index}]", entry), entry) for index, entry in enumerate(entries))


def _parse_entry(cursor: Cursor, entry: _Entry) -> ConfigEntry:
    devices = _parse_devices(cursor.child("mig-devices", entry.mig_devices), entry)
    return ConfigEntry(
        device_filter=tuple(_parse_filter(cursor.child("device-filter", entry.device_filter), entry.device_filter)),
        devices=None if entry.devices == "all" else tuple(dict.fromkeys(entry.devices)),
        is_enabled=entry.mig_enabled,
        mig_devices=devices,
    )


def _parse_filter(cursor: Cursor, value: str | list[str] | None) -> Iterator[str]:
    for text in [value] if isinstance(value, str) else value or ():
        if _FILTER.fullmatch(text):
            yield text.upper().replace("X", "x")
        else:
            cursor.report(f"{text!r:.40} is not a PCI id. Write device and vendor such as 0x20B010DE")


def _parse_devices(cursor: Cursor, entry: _Entry) -> dict[str, int]:
    if entry.mig_devices is UNSET:
        if entry.mig_enabled:
            cursor.report("is missing. Write the number of MIG devices of each profile, or {} for none")
        return {}
    if not entry.mig_enabled and entry.mig_devices:
        cursor.report("must be empty if mig-enabled is false")
    found: dict[str, int] = {}
    for text, count in entry.mig_devices.items():
        place = cursor.child(text, count)
        try:
            name = parse_profile(text)
        except ValueError as error:
            place.report(str(error))
            continue
        if name in found:
            place.report(f"is in the list twice: {name} is the same profile")
        found[name] = count
    if found and not any(found.values()):
        cursor.report("all counts are 0. Write {} for MIG mode without MIG devices")
    return found
