"""Removes the agents' files from folders of the host. Retains sockets that a process still serves, and files with other names."""

import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from device_plugin.cdi.kinds import FILE_NAMES
from device_plugin.cdi.plan import CdiPlan
from device_plugin.cdi.write import SpecWriter
from gpu_core.host.release_requests import FOLDER as REQUESTS
from gpu_core.nvml.lock import lock_path
from node_core.errors import NodeError
from node_core.kubelet.sockets import is_served

RUN_PROGRAM = "gpunode"
"""The name of `gpunode run` in file names."""


def remove_specs(folder: Path, *, is_dry_run: bool = False) -> bool:
    """Removes the CDI specifications that have our file names. Raises NodeError."""
    present = any((folder / name).exists() for name in FILE_NAMES)
    if is_dry_run:
        return present
    if problems := SpecWriter(folder).write(CdiPlan()):
        raise NodeError(" ".join(problems))
    return present


def remove_sockets(folder: Path, *, is_dry_run: bool = False) -> bool:
    """Removes the sockets of a device plugin that was killed. Raises NodeError."""
    sockets = (path for path in _matching(folder, "nvidia-*.sock") if _is_dead_socket(path))
    return any(sockets) if is_dry_run else _unlink(sockets)


def remove_state(folder: Path, agents: Iterable[str], node: str, *, is_dry_run: bool = False) -> bool:
    """Removes the files of these agents, then the folders if they are empty. Raises NodeError."""
    paths = [path for agent in agents for path in _state_files(folder, f"{agent}.{node}")]
    locks = [lock_path(folder, program) for program in (*agents, RUN_PROGRAM)]
    files = [path for path in (*paths, *locks) if path.is_file()]
    if is_dry_run:
        return bool(files)
    is_removed = _unlink(files)
    for each in (folder / REQUESTS, folder):
        with suppress(OSError):  # the folder contains other files, or is a mount point
            each.rmdir()
    return is_removed


def _state_files(folder: Path, stem: str) -> tuple[Path, ...]:
    """Includes temporary files of a process that was killed while it wrote."""
    return folder / f"{stem}.lock", folder / f"{stem}.health.json", *_matching(folder, f".{stem}.health.json.*")


def _matching(folder: Path, pattern: str) -> Iterator[Path]:
    try:
        yield from sorted(folder.glob(pattern))
    except OSError as error:
        raise NodeError(f"cannot list {folder}: {error.strerror}") from error


def _is_dead_socket(path: Path) -> bool:
    try:
        return stat.S_ISSOCK(path.lstat().st_mode) and not is_served(path)
    except OSError:
        return False


def _unlink(paths: Iterable[Path]) -> bool:
    is_removed = False
    for path in paths:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise NodeError(f"cannot remove {path}: {error.strerror}") from error
        is_removed = True
    return is_removed
