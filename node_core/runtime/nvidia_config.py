"""NVIDIA's config file, version v1, shared by gfd and gpu-device-plugin (k8s-device-plugin README, "Configuration").

Keys that are not written here are errors: a setting that would silently do nothing is worse than a refusal.
"""

from pathlib import Path
from typing import Any, Literal

import msgspec

from node_core.decode import decode_struct, read_yaml


class GfdFlags(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """flags.gfd. sleepInterval: a duration string, or seconds."""

    oneshot: bool | None = None
    no_timestamp: bool | None = None
    sleep_interval: str | int | float | None = None
    output_file: str | None = None
    machine_type_file: str | None = None


class PluginFlags(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """flags.plugin."""

    device_list_strategy: str | list[str] | None = None
    device_id_strategy: str | None = msgspec.field(default=None, name="deviceIDStrategy")


class Flags(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """flags. failOnInitError is taken and has no effect: these agents never exit because of what is on the node."""

    mig_strategy: str | None = None
    fail_on_init_error: bool | None = None
    plugin: PluginFlags = PluginFlags()
    gfd: GfdFlags = GfdFlags()


class NvidiaConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The whole file."""

    version: Literal["v1"] = "v1"
    flags: Flags = Flags()


def load_nvidia_config(path: Path, section: Literal["gfd", "plugin"]) -> tuple[NvidiaConfig, dict[str, Any]]:
    """The file and what it says for one agent's options, by parameter name. Raises SettingsError with every problem."""
    config = decode_struct(read_yaml(path), NvidiaConfig, source=str(path))
    own: GfdFlags | PluginFlags = getattr(config.flags, section)
    said = {"mig_strategy": config.flags.mig_strategy, **msgspec.structs.asdict(own)}
    return config, {name: value for name, value in said.items() if value is not None}
