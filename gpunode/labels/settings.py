"""The settings of `gpunode labels`: those settings of nfd-lite and gfd that decide about labels, with the same flags and names."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import click

from gfd.settings import GfdSettings, gfd_settings
from gpu_core.assembly import Dependencies, gpu_dependencies
from gpu_core.settings.nvidia_config import nvidia_config_option
from gpu_core.settings.nvidia_settings import GfdFlags, GpuSettings
from nfd_lite.config import decode_worker_config
from nfd_lite.settings import CONFIG_FILE, DriverFlags, HostFlags, NamespaceFlags, NfdSettings, nfd_settings
from node_core.errors import SettingsError
from node_core.runtime.command import PROBLEMS
from node_core.runtime.config_file import config_option, inline_config_option
from node_core.runtime.setting import make_option, settings_of
from node_core.values import replace

PROGRAM = "gpunode labels"
Command = Callable[..., Any] | click.Command
_UNUSED = {"no_publish": False, "enable_taints": False}
"""Settings of nfd-lite that decide about no label, and their values here."""
_SHOWN = (
    *("simulate", "host_root", "node_name", "lock_dir"),
    *("feature_sources", "label_sources", "label_white_list", "features_dir", "custom_dir", "node_feature_rules"),
    "driver_label",
    *("extra_label_ns", "deny_label_ns", "mig_strategy", "no_timestamp", "machine_type_file"),
    *("driver_root_ctr_path", "driver_library_dirs", "device_discovery_strategy"),
)
"""The flags, in the order of --help."""
_CLASSES = (GpuSettings, NfdSettings, DriverFlags, HostFlags, NamespaceFlags, GfdFlags)
_CHANGES: Mapping[str, Mapping[str, Any]] = {
    "simulate": {"help": "Use the GPUs of a scenario in place of the GPUs of this host."},
    "lock_dir": {
        "help": "Folder with the requests of `gpunode release`. While a request exists, the NVIDIA driver is not opened."
    },
    "node_feature_rules": {"help": "Evaluate the NodeFeatureRules of the cluster."},
    "node_name": {"help": "Name of the Node, for rules. The labels of the Node are read if the cluster is read."},
    "device_discovery_strategy": {"choices": ("auto", "nvml", "tegra", "vfio")},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSettings:
    """The settings of both agents, and the dependencies that both share."""

    nfd: NfdSettings
    gfd: GfdSettings
    dependencies: Dependencies


def agent_options(command: Command) -> Command:
    """Adds the flags of the agents to a verb. The verb passes their values to `read_settings`."""
    declared = {each.name: each for each in settings_of(*_CLASSES)}
    options: list[click.Parameter] = [
        *(make_option(replace(declared[name], **_CHANGES.get(name, {})), "NFD") for name in _SHOWN),
        config_option(
            "--config", name="nfd_config", env=["NFD_CONFIG"], load=decode_worker_config, default=CONFIG_FILE
        ),
        inline_config_option("--options", name="nfd_inline", load=decode_worker_config),
        nvidia_config_option("gfd"),
    ]
    params = (
        command.params if isinstance(command, click.Command) else command.__dict__.setdefault("__click_params__", [])
    )
    params.extend(reversed(options))
    return command


def read_settings(context: click.Context, values: Mapping[str, Any]) -> AgentSettings:
    """Builds the settings from the values of the command line. Raises SettingsError."""
    if problems := context.meta.get(PROBLEMS):
        raise SettingsError(problems)
    nothing: dict[str, Any] = {"config_files": {}, "notes": (), "changed": {}, "misspelt": ()}
    complete = {**_UNUSED, **values, **nothing, "oneshot": True}
    return AgentSettings(
        nfd=nfd_settings(complete), gfd=gfd_settings(complete), dependencies=gpu_dependencies(complete, PROGRAM)
    )
