"""Finds the runtimes of this node, the one that the kubelet uses, and their CDI settings."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from gpu_core.pods.cgroups import parse_cgroup
from gpu_core.pods.processes import PROC
from gpu_toolkit.edits import CRI_O_FOLDER, CRI_O_TABLE
from gpu_toolkit.host import Host
from gpu_toolkit.model import Cdi, Kind, Process, Runtime
from gpu_toolkit.process import flag_value, parse_command_line, read_process
from gpu_toolkit.toml_edit import parse_toml, read_table
from node_core.decode import Document, parse_yaml
from node_core.errors import NodeError, RuntimeConfigError
from node_core.kubelet.cri import SOCKETS, CriClient, RuntimeStatus

CONFIGS = {
    Kind.CONTAINERD: "/etc/containerd/config.toml",
    Kind.CRI_O: "/etc/crio/crio.conf",
    Kind.DOCKER: "/etc/docker/daemon.json",
}
CDI_FOLDERS = ("/etc/cdi", "/var/run/cdi")
"""The folders that runtimes read without a setting. Source: CDI specification."""
KUBELETS = {"kubelet": None, "kubelite": SOCKETS[2], "k3s": SOCKETS[1]}
"""Name of a program that is, or contains, a kubelet -> the socket that it uses without a flag; None if the socket is always configured."""
ENDPOINT = "containerRuntimeEndpoint"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What the user chose instead of what is discovered. socket, config: paths on the host."""

    socket: str | None = None
    config: str | None = None


def find_sockets(host: Host, choices: Choices, proc: Path = PROC) -> tuple[tuple[str, ...], str | None]:
    """Returns the sockets of all runtimes, and the one that the kubelet uses; None if that is not known and there is not exactly one.

    Raises RuntimeConfigError if a folder cannot be searched.
    """
    existing = tuple(filter(host.exists, SOCKETS))
    used = choices.socket or read_endpoint(host, proc)
    if used is None and len(existing) == 1:
        (used,) = existing
    return tuple(dict.fromkeys((*([used] if used else []), *existing))), used


def read_endpoint(host: Host, proc: Path = PROC) -> str | None:
    """Returns the socket in the flags or the config file of the kubelet; None if no kubelet is visible, or neither names a socket."""
    for name, command in _kubelets(proc):
        flag = flag_value(command, "--container-runtime-endpoint")
        endpoint = flag or _configured(host, flag_value(command, "--config")) or KUBELETS[name]
        if endpoint:
            return _canonical(endpoint.removeprefix("unix://"))
    return None


def _kubelets(proc: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yields the names and command lines. k3s joins its words by spaces, and has other commands than `server` and `agent`.

    Processes in pods are left out. A pod can name its process `kubelet`, and some virtual clusters run k3s in pods. The socket decides
    which program this process runs as root, so no pod may choose the socket.
    """
    for folder in proc.glob("[0-9]*"):
        try:
            command = parse_command_line((folder / "cmdline").read_bytes())
            if parse_cgroup((folder / "cgroup").read_text(errors="replace")):
                continue
        except OSError:
            continue
        first, *words = command[0].split() or [""]
        name = PurePosixPath(first).name
        if name in KUBELETS and (name != "k3s" or (*words, *command[1:])[:1] in (("server",), ("agent",))):
            yield name, command


def _canonical(path: str) -> str:
    """/var/run is a link to /run."""
    return path.removeprefix("/var") if path.startswith("/var/run/") else path


def _configured(host: Host, path: str | None) -> str | None:
    try:
        content = host.read(path) if path else None
        parsed = {} if content is None else parse_yaml(Document(source=str(path), content=content))
    except NodeError:
        return None
    endpoint = parsed.get(ENDPOINT) if isinstance(parsed, Mapping) else None
    return endpoint if isinstance(endpoint, str) else None


def read_runtime(
    host: Host,
    socket: str,
    choices: Choices,
    *,
    open_client: Callable[[Path], CriClient] = CriClient,
    proc: Path = PROC,
) -> Runtime:
    """Asks the runtime at a socket. Raises RuntimeConfigError if it does not answer, or a config file cannot be read."""
    path = host.path(socket)
    status = open_client(path).status()
    process = read_process(path, proc)
    config = choices.config or _config_path(status.name, process)
    return Runtime(
        name=status.name,
        version=status.version.removeprefix("v"),
        socket=socket,
        config=config,
        cdi=_read_cdi(host, status, config),
        process=process,
        handlers=_read_handlers(host, status, config),
        has_systemd_cgroups=parse_systemd_cgroups(status.info.get("config")),
        problem=status.problem,
    )


def _config_path(name: str, process: Process | None) -> str:
    command = () if process is None else process.command
    default = CONFIGS[Kind(name)] if name in set(Kind) else ""
    return default if name == Kind.DOCKER else flag_value(command, "--config", "-c") or default


def _read_cdi(host: Host, status: RuntimeStatus, config: str) -> Cdi | None:
    match status.name:
        case Kind.CONTAINERD:
            return parse_running_config(status.info.get("config"))
        case Kind.CRI_O:
            return Cdi(is_enabled=True, folders=merge_crio(_crio_files(host, config)))
        case Kind.DOCKER:
            return Cdi(is_enabled=parse_docker_switch(host.read(config)), folders=CDI_FOLDERS)
    return None


def _read_handlers(host: Host, status: RuntimeStatus, config: str) -> frozenset[str]:
    if status.name == Kind.CRI_O:
        tables = (
            read_table(parse_toml(content or b"", path), CRI_O_TABLE) for path, content in _crio_files(host, config)
        )
        return frozenset(name for table in tables for name in read_table(table, ("runtimes",)))
    return parse_handlers(status.info.get("config"))


def _crio_files(host: Host, config: str) -> Iterator[tuple[str, bytes | None]]:
    for path in (config, *(f"{CRI_O_FOLDER}/{name}" for name in host.names(CRI_O_FOLDER))):
        yield path, host.read(path)


def parse_running_config(text: str | None) -> Cdi | None:
    """Parses the config in the verbose Status of containerd. None if it is missing or damaged. PURE."""
    config = _parse_object(text)
    if config is None:
        return None
    folders, enabled = config.get("cdiSpecDirs"), config.get("enableCDI")
    return Cdi(
        is_enabled=enabled if isinstance(enabled, bool) else None,
        folders=tuple(map(str, folders)) if isinstance(folders, list) else (),
    )


def parse_handlers(text: str | None) -> frozenset[str]:
    """Parses the names of the handlers in the same config. PURE."""
    return frozenset(map(str, read_table(_parse_object(text) or {}, ("containerd", "runtimes"))))


def parse_systemd_cgroups(text: str | None) -> bool | None:
    """Parses whether runc uses the control groups of systemd; None if that is not known. PURE."""
    switch = read_table(_parse_object(text) or {}, ("containerd", "runtimes", "runc", "options")).get("SystemdCgroup")
    return switch if isinstance(switch, bool) else None


def _parse_object(text: str | None) -> Mapping[str, Any] | None:
    try:
        parsed: Any = json.loads(text or "")
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, Mapping) else None


def merge_crio(files: Iterable[tuple[str, bytes | None]]) -> tuple[str, ...]:
    """Returns the CDI folders of CRI-O: those of the last file that has the setting. Raises RuntimeConfigError. PURE."""
    folders: tuple[str, ...] = CDI_FOLDERS
    for path, content in files:
        set_ = read_table(parse_toml(content or b"", path), CRI_O_TABLE).get("cdi_spec_dirs")
        folders = tuple(map(str, set_)) if isinstance(set_, list) else folders
    return folders


def parse_docker_switch(content: bytes | None) -> bool | None:
    """Parses `features.cdi` of daemon.json; None if it is not set. Raises RuntimeConfigError. PURE."""
    try:
        config: Any = json.loads(content or b"{}")
    except (ValueError, RecursionError) as error:
        raise RuntimeConfigError(f"{CONFIGS[Kind.DOCKER]} is not JSON: {error}") from error
    features = config.get("features") if isinstance(config, Mapping) else None
    switch = features.get("cdi") if isinstance(features, Mapping) else None
    return switch if isinstance(switch, bool) else None
