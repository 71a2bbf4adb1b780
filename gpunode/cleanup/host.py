"""Removes the agents' files from folders of the host. Retains sockets that a process still serves, and files with other names."""

import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from gpu_core.cdi.kinds import FILE_NAMES
from gpu_core.cdi.plan import CdiPlan
from gpu_core.cdi.write import SpecWriter
from gpu_core.host.mig_status import mig_status_path
from gpu_core.host.release_requests import FOLDER as REQUESTS
from gpu_core.nvml.lock import lock_path
from gpu_validator.container import CONTAINER_LOCK
from gpu_validator.files import STAGES
from mig_manager.clients import SERVICES_FILE, open_services
from mig_manager.journal import journal_path
from mig_manager.reboot import FILE as REBOOT_FILE
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


def remove_validations(folder: Path, lock: Path, *, is_dry_run: bool = False) -> bool:
    """Removes the files of a gpu-validator that was killed. Raises NodeError.

    lock: of the agent on this node. Without a lock the files belong to NVIDIA's validator, whose files have the same names.
    """
    files = [path for name in STAGES if lock.exists() and (path := folder / name).exists()]
    return bool(files) if is_dry_run else _unlink(files)


def remove_state(folder: Path, agents: Iterable[str], node: str, *, is_dry_run: bool = False) -> bool:
    """Removes the files of these agents, then the folders if they are empty. Raises NodeError."""
    paths = [path for agent in agents for path in _state_files(folder, f"{agent}.{node}")]
    locks = [lock_path(folder, program) for program in (*agents, RUN_PROGRAM)]
    files = [path for path in (*paths, *locks, folder / CONTAINER_LOCK) if path.is_file()]
    if is_dry_run:
        return bool(files)
    is_removed = _unlink(files)
    for each in (folder / REQUESTS, folder):
        with suppress(OSError):  # the folder contains other files, or is a mount point
            each.rmdir()
    return is_removed


def remove_mig_records(records: Path, state: Path | None, node: str, *, is_dry_run: bool = False) -> bool:
    """Removes the records of changes and reboots, and what mig-manager published for gpu-device-plugin. Raises NodeError.

    records: --state-dir of mig-manager. The record of services that are still stopped remains.
    """
    journals = [journal_path(records, is_simulated=each) for each in (False, True)]
    locks = [path.with_suffix(".lock") for path in journals if path is not None]
    published = [] if state is None else [mig_status_path(state, node)]
    paths = [path for path in (*journals, *locks, records / REBOOT_FILE, *published) if path is not None]
    files = [path for path in paths if path.is_file()]
    if is_dry_run:
        return bool(files)
    is_removed = _unlink(files)
    for folder in (*(path.parent for path in published), records):
        with suppress(OSError):  # the folder contains other files, or is a mount point
            folder.rmdir()
    return is_removed


def start_services(records: Path, *, is_dry_run: bool = False) -> bool:
    """Starts the services of the host that a mig-manager that was killed has stopped. Raises NodeError."""
    has_stopped = (records / SERVICES_FILE).is_file()
    if has_stopped and not is_dry_run:
        open_services(records).start()
    return has_stopped


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
