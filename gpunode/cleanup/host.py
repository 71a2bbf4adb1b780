"""What is ours in folders of the host. A socket that somebody serves, and a file by another name, is not."""

import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from device_plugin.cdi.kinds import FILE_NAMES
from device_plugin.cdi.plan import CdiPlan
from device_plugin.cdi.write import SpecWriter
from node_core.errors import NodeError
from node_core.host.nvml.lock import lock_path
from node_core.host.release_requests import FOLDER as REQUESTS
from node_core.kubelet.sockets import is_served

TOGETHER = "gpunode"
"""What `gpunode run` is called."""


def take_specs(folder: Path) -> bool:
    """CDI specs by our names, in the folder that container runtimes read. Raises NodeError."""
    present = any((folder / name).exists() for name in FILE_NAMES)
    if problems := SpecWriter(folder).write(CdiPlan()):
        raise NodeError(" ".join(problems))
    return present


def take_sockets(folder: Path) -> bool:
    """Those that a plugin left behind which was killed. Raises NodeError."""
    return _unlink(path for path in _matching(folder, "nvidia-*.sock") if _is_dead_socket(path))


def take_state(folder: Path, agents: Iterable[str], node: str) -> bool:
    """The files of these agents of the node, and folders that are empty then. Raises NodeError."""
    paths = [folder / name for agent in agents for name in _state_files(f"{agent}.{node}")]
    locks = [lock_path(folder, program) for program in (*agents, TOGETHER)]
    took = _unlink(path for path in (*paths, *locks) if path.is_file())
    for each in (folder / REQUESTS, folder):
        with suppress(OSError):  # somebody else's files are in there, or it is a mount
            each.rmdir()
    return took


def _state_files(stem: str) -> tuple[str, ...]:
    return f"{stem}.lock", f"{stem}.health.json", f".{stem}.health.json.new"


def _matching(folder: Path, pattern: str) -> Iterator[Path]:
    try:
        yield from sorted(folder.glob(pattern))
    except OSError as error:
        raise NodeError(f"cannot look into {folder}: {error.strerror}") from error


def _is_dead_socket(path: Path) -> bool:
    try:
        return stat.S_ISSOCK(path.lstat().st_mode) and not is_served(path)
    except OSError:
        return False


def _unlink(paths: Iterable[Path]) -> bool:
    took = False
    for path in paths:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise NodeError(f"cannot remove {path}: {error.strerror}") from error
        took = True
    return took
