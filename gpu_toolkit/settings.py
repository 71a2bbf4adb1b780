"""The settings of gpu-toolkit, in addition to those of every agent. Source: documentation of NVIDIA's container toolkit container."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from gpu_toolkit.discover import CDI_FOLDERS
from node_core.errors import SettingsError
from node_core.runtime.command import ignored_option
from node_core.runtime.setting import build, optional_path, setting

STATE_DIR = Path("/var/lib/gpunode")
CDI_FOLDER = CDI_FOLDERS[-1]
INSTALL_DIR = "/usr/local/nvidia"


def _host_path(text: str) -> str | None:
    if text and not text.startswith("/"):
        raise ValueError("is not an absolute path")
    return text.rstrip("/") or None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolkitSettings:
    """Paths are those of the host."""

    HEADING: ClassVar = "Container runtime"

    mode: Literal["apply", "report", "revert"] = setting(
        "--toolkit-mode TOOLKIT_MODE",
        "apply",
        "apply: switch CDI on if it is off. report: change nothing."
        " revert: restore the files that were changed, before the agent is uninstalled.",
    )
    socket: str | None = setting(
        "--runtime-socket RUNTIME_SOCKET CONTAINERD_SOCKET",
        None,
        "Socket of the runtime. Default: the one in the flags or the config file of the kubelet, or the only one on the node.",
        parse=lambda text: _host_path(text.removeprefix("unix://")),
        metavar="FILE",
    )
    config: str | None = setting(
        "--runtime-config RUNTIME_CONFIG CONTAINERD_CONFIG",
        None,
        "Main config file of the runtime. Default: the one in its command line, or the default of the runtime.",
        parse=_host_path,
        metavar="FILE",
    )
    drop_in: str | None = setting(
        "--runtime-drop-in-config RUNTIME_DROP_IN_CONFIG",
        None,
        "Drop-in file to write. Default: 99-gpunode in a folder that the main config file imports.",
        parse=_host_path,
        metavar="FILE",
    )
    restart_mode: Literal["systemd", "command", "none"] = setting(
        "--runtime-restart-mode RUNTIME_RESTART_MODE",
        "systemd",
        "How the runtime is restarted after a change. systemd: the unit of its process, by systemctl of the host. command:"
        " --runtime-restart-command. none: not at all; CDI is on after the next restart.",
    )
    restart_command: tuple[str, ...] | None = setting(
        "--runtime-restart-command RUNTIME_RESTART_COMMAND",
        None,
        "Command of the host that restarts the runtime, with its arguments in one text.",
        parse=lambda text: tuple(shlex.split(text)) or None,
        metavar="COMMAND",
    )
    cdi_folder: str = setting(
        "--cdi-dir CDI_DIR",
        CDI_FOLDER,
        "Folder on the host in which gpu-device-plugin writes CDI specifications.",
        parse=lambda text: _host_path(text) or CDI_FOLDER,
        metavar="FOLDER",
    )
    toolkit_source: Path | None = setting(
        "--toolkit-source TOOLKIT_SOURCE",
        None,
        "Folder, as this process sees it, with the programs and libraries of NVIDIA's container toolkit, for runtimes that cannot inject"
        " CDI devices. It is not used if the runtime can.",
        parse=optional_path,
        metavar="FOLDER",
    )
    install_dir: str = setting(
        "--toolkit-install-dir TOOLKIT_INSTALL_DIR ROOT",
        INSTALL_DIR,
        "Folder on the host in which NVIDIA's runtime is installed, below `toolkit`.",
        parse=lambda text: _host_path(text) or INSTALL_DIR,
        metavar="FOLDER",
    )
    driver_root: str = setting(
        "--nvidia-driver-root NVIDIA_DRIVER_ROOT",
        "/",
        "Root folder of the driver on the host, for NVIDIA's runtime.",
        parse=lambda text: _host_path(text) or "/",
        metavar="FOLDER",
    )
    state_dir: Path = setting(
        "--state-dir TOOLKIT_STATE_DIR",
        STATE_DIR,
        "Folder on a disk of the node, as this process sees it, in which a change is recorded so that it can be undone.",
        parse=Path,
    )


_DECIDED = "the agent asks the runtime"
TOOLKIT = (
    ToolkitSettings,
    ignored_option("--runtime", "RUNTIME", "the runtime is discovered on each node"),
    ignored_option("--runtime-config-source", "RUNTIME_CONFIG_SOURCE", _DECIDED),
    ignored_option("--cdi-enabled", "CDI_ENABLED", "CDI is always used where the runtime supports it"),
    ignored_option("--set-as-default", "NVIDIA_RUNTIME_SET_AS_DEFAULT", "pods need no other default runtime with CDI"),
)
"""The settings classes and options of gpu-toolkit."""


def toolkit_settings(values: Mapping[str, Any]) -> ToolkitSettings:
    """Builds the settings from the values of a command line. Raises SettingsError."""
    made = build(ToolkitSettings, values)
    if (made.restart_mode == "command") != (made.restart_command is not None):
        raise SettingsError(
            ["--runtime-restart-command: is needed with, and only with, --runtime-restart-mode command"]
        )
    return made
