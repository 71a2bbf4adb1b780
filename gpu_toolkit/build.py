"""Connects the changer with the host, the runtime and systemd."""

import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from gpu_core.cdi.roots import discover_roots
from gpu_core.nvml.driver_version import find_module_version
from gpu_core.pods.processes import PROC
from gpu_toolkit.changer import Changer
from gpu_toolkit.discover import CONFIGS, Choices, find_sockets, read_runtime
from gpu_toolkit.host import Host
from gpu_toolkit.journal import Journal
from gpu_toolkit.model import Kind, Runtime
from gpu_toolkit.nvidia_runtime import install, uninstall, write_driver_root
from gpu_toolkit.restart import Restart
from gpu_toolkit.settings import ToolkitSettings
from gpu_toolkit.toml_edit import parse_toml
from gpu_toolkit.tools import Tools
from node_core.errors import HostCommandError, RuntimeConfigError
from node_core.host.host_command import run_on_host
from node_core.host.root import HostRoot
from node_core.kubelet.cri import CriClient

RunOnHost = Callable[..., str]
RESTART_SECONDS = 240.0
"""The server of RKE2 starts its containerd after etcd and the API server, which takes minutes. Less than readiness.STUCK_AFTER."""


class NoRuntimeError(RuntimeConfigError):
    """The node has no runtime that can be used."""


def build_changer(
    settings: ToolkitSettings,
    host_root: Path,
    run: RunOnHost = run_on_host,
    beat: Callable[[], None] = lambda: None,
) -> Changer:
    """host_root: `/` of the host, as this process sees it. beat: called while a change waits, so that the agent does not count as stuck."""
    host, run_here = Host(host_root), partial(run, root=host_root)
    choices = Choices(socket=settings.socket, config=settings.config)

    def read() -> Runtime:
        return read_runtime(host, used_socket(host, choices), choices)

    def client() -> CriClient:
        return CriClient(host.path(used_socket(host, choices)))

    def sleep(seconds: float) -> None:
        beat()
        time.sleep(seconds)

    restart = Restart(
        command=_restart_command(settings, run_here, beat),
        read=read,
        running=lambda: client().running(),
        is_done=lambda container: client().is_done(container),
        sleep=sleep,
    )
    return Changer(
        Tools(
            host=host,
            read=read,
            dump=partial(dump_config, run_here),
            restart=restart,
            journal=Journal(settings.state_dir),
            folder=settings.cdi_folder,
            drop_in=settings.drop_in,
            settings=repr(settings),
            nvidia=None if settings.toolkit_source is None else f"{settings.install_dir}/toolkit",
            install=lambda target: install(
                host, settings.toolkit_source or Path(), target, find_driver_root(host, settings)
            ),
            follow=lambda target: write_driver_root(host, target, find_driver_root(host, settings)),
            uninstall=partial(uninstall, host),
        )
    )


def find_driver_root(host: Host, settings: ToolkitSettings) -> str:
    """Returns the folder of the driver on the host: the root of a driver container below the driver root, or the driver root."""
    loaded = find_module_version(HostRoot(host.root))
    return discover_roots(settings.driver_root, None, host.path(settings.driver_root), loaded=loaded).own


def used_socket(host: Host, choices: Choices, proc: Path = PROC) -> str:
    """Returns the socket of the runtime that the kubelet uses. Raises NoRuntimeError."""
    sockets, used = find_sockets(host, choices, proc)
    if used is None and not sockets:
        raise NoRuntimeError("no container runtime was found on this node", hint="set --runtime-socket")
    if used is None:
        why = f"this node has several runtimes ({', '.join(sockets)}), and the kubelet's is not known"
        raise NoRuntimeError(why, hint="set --runtime-socket")
    return used


def dump_config(run: RunOnHost, runtime: Runtime) -> Mapping[str, Any]:
    """Returns the config that containerd would start with, from its own program. Raises RuntimeConfigError."""
    if runtime.process is None:
        why = f"the process of {runtime.title} is not visible"
        raise RuntimeConfigError(
            why, hint="run the agent in the PID namespace of the host (hostPID), or the command as root"
        )
    try:
        output = run((runtime.process.program, *_config_flag(runtime), "config", "dump"))
    except HostCommandError as error:
        raise RuntimeConfigError(error.message) from error
    return parse_toml(output.encode(), f"the output of {runtime.process.program} config dump")


def _config_flag(runtime: Runtime) -> tuple[str, ...]:
    """containerd accepts a missing config file only at the default path, without the flag."""
    return () if runtime.config == CONFIGS[Kind.CONTAINERD] else ("--config", runtime.config)


def _restart_command(
    settings: ToolkitSettings, run: RunOnHost, beat: Callable[[], None]
) -> Callable[[Runtime | None], None] | None:
    if settings.restart_mode == "none":
        return None
    unit: str | None = None

    def restart(runtime: Runtime | None) -> None:
        nonlocal unit
        beat()
        if settings.restart_command is not None:
            run(settings.restart_command, seconds=RESTART_SECONDS)
            return
        if runtime is not None and runtime.process is not None:
            unit = runtime.process.unit or unit
        if unit is None:
            why = "the runtime is not a systemd unit, so it cannot be restarted"
            raise HostCommandError(why, hint="set --runtime-restart-mode and --runtime-restart-command")
        run(("systemctl", "restart", unit), seconds=RESTART_SECONDS)

    return restart
