"""Node Feature Discovery's worker config file (`core` and `sources`), as far as this agent acts on it. Other keys are errors."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from nfd_lite.sources import SourceSettings
from node_core.decode import decode_struct, read_yaml


class Cpuid(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """sources.cpu.cpuid. A whitelist replaces the blacklist; both act on labels, not on features."""

    attribute_blacklist: tuple[str, ...] | None = None
    attribute_whitelist: tuple[str, ...] | None = None


class Cpu(msgspec.Struct, frozen=True, kw_only=True):
    """sources.cpu."""

    cpuid: Cpuid = Cpuid()


class Kernel(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """sources.kernel."""

    kconfig_file: str | None = None
    config_opts: tuple[str, ...] | None = None


class Devices(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """sources.pci and sources.usb."""

    device_class_whitelist: tuple[str, ...] | None = None
    device_label_fields: tuple[str, ...] | None = None


class Sources(msgspec.Struct, frozen=True, kw_only=True):
    """sources."""

    cpu: Cpu = Cpu()
    kernel: Kernel = Kernel()
    pci: Devices = Devices()
    usb: Devices = Devices()


class Core(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """core. labelSources: names, `all`, or `-name` to take one away. sleepInterval: a duration string, or seconds."""

    sleep_interval: str | int | float | None = None
    label_sources: tuple[str, ...] | None = None
    label_white_list: str | None = None


class WorkerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The whole file."""

    core: Core = Core()
    sources: Sources = Sources()


def load_worker_config(path: Path) -> tuple[WorkerConfig, Mapping[str, Any]]:
    """The file and what it says for our options, by parameter name. Raises SettingsError with every problem."""
    config = decode_struct(read_yaml(path), WorkerConfig, source=str(path))
    core = config.core
    said = {
        "sleep_interval": core.sleep_interval,
        "label_sources": None if core.label_sources is None else ",".join(core.label_sources),
        "label_white_list": core.label_white_list,
    }
    return config, {name: value for name, value in said.items() if value is not None}


def source_settings(config: WorkerConfig | None) -> SourceSettings:
    """The settings of all sources: the file's, where it says something, else NFD's defaults."""
    if config is None:
        return SourceSettings()
    sources = config.sources
    said: dict[str, Any] = {
        "cpuid_attribute_blacklist": sources.cpu.cpuid.attribute_blacklist,
        "cpuid_attribute_whitelist": sources.cpu.cpuid.attribute_whitelist,
        "kernel_kconfig_file": sources.kernel.kconfig_file,
        "kernel_config_opts": sources.kernel.config_opts,
        "pci_device_class_whitelist": sources.pci.device_class_whitelist,
        "pci_device_label_fields": sources.pci.device_label_fields,
        "usb_device_class_whitelist": sources.usb.device_class_whitelist,
        "usb_device_label_fields": sources.usb.device_label_fields,
    }
    return SourceSettings(**{name: value for name, value in said.items() if value is not None})
