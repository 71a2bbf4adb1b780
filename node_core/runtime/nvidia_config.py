"""NVIDIA's config file, version v1, shared by gfd and gpu-device-plugin (k8s-device-plugin README, "Configuration").

Keys that are not written here are errors: a setting that would silently do nothing is worse than a refusal.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import click
import msgspec

from node_core.decode import decode_struct, read_yaml
from node_core.runtime.settings import Options, PathType, config_option, options


class GfdFlags(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """flags.gfd. sleepInterval: a duration string, or seconds."""

    oneshot: bool | None = None
    no_timestamp: bool | None = None
    sleep_interval: str | int | float | None = None
    output_file: str | None = None
    machine_type_file: str | None = None


class PluginFlags(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """flags.plugin."""

    container_driver_root: str | None = None
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


Section = Literal["gfd", "plugin"]


def load_nvidia_config(path: Path, sections: Sequence[Section]) -> tuple[NvidiaConfig, dict[str, Any]]:
    """The file and what it says for the options of these agents, by parameter name. Raises SettingsError with every problem."""
    config = decode_struct(read_yaml(path), NvidiaConfig, source=str(path))
    said: dict[str, Any] = {"mig_strategy": config.flags.mig_strategy}
    for section in sections:
        said |= msgspec.structs.asdict(getattr(config.flags, section))
    said["driver_root"] = said.pop("container_driver_root", None)
    if isinstance(strategies := said.get("device_list_strategy"), list):
        said["device_list_strategy"] = ",".join(strategies)
    return config, {name: value for name, value in said.items() if value is not None}


def nvidia_options(*sections: Section) -> Options:
    """The flags that gfd and the device plugin share, with the environment names of each."""
    prefixed = "GFD_" if "gfd" in sections else ""
    names = {
        key: list(dict.fromkeys((f"{prefixed}{key}", key)))
        for key in ("CONFIG_FILE", "MIG_STRATEGY", "FAIL_ON_INIT_ERROR")
    }
    return options(
        config_option(
            "--config-file",
            name="nvidia_config",
            envvar=names["CONFIG_FILE"],
            load=lambda path: load_nvidia_config(path, sections),
        ),
        click.option(
            "--mig-strategy",
            envvar=names["MIG_STRATEGY"],
            default="none",
            type=click.Choice(["none", "single", "mixed"]),
            show_default=True,
            help="How MIG devices appear.",
        ),
        click.option(
            "--driver-root-ctr-path",
            "--container-driver-root",
            "driver_root",
            envvar=["DRIVER_ROOT_CTR_PATH", "CONTAINER_DRIVER_ROOT"],
            default="/driver-root",
            type=PathType(),
            show_default=True,
            help="Where the driver's root is for us; libnvidia-ml is looked for below it first.",
        ),
        click.option(
            "--fail-on-init-error",
            envvar=names["FAIL_ON_INIT_ERROR"],
            default=True,
            type=bool,
            help="Taken for compatibility; these agents never exit because of what is on the node.",
        ),
    )
