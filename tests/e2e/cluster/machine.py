"""What a cluster must change of the machine outside its own folder, and how all of it is given back."""

import contextlib
import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from tests.e2e.cluster.errors import ClusterError
from tests.e2e.cluster.processes import wait_until

KUBELET = Path("/var/lib/kubelet")
MARKER = ".gpunode-e2e"
"""A folder that holds this file was made for the test cluster whose run dir it names, and goes with it."""

SHARED_FOLDERS = tuple(
    Path(folder)
    for folder in (
        *("/etc/cdi", "/run/cdi", "/run/containerd", "/run/gpunode"),
        *("/run/mount", "/var/lib/cni", "/var/log/containers"),
    )
)
"""Where programs of a cluster write whatever they are told. Those that were there before stay."""

SYSCTLS = tuple(
    Path("/proc/sys", name)
    for name in (
        *("kernel/panic", "kernel/panic_on_oops", "kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes"),
        *("net/ipv4/ip_forward", "vm/overcommit_memory", "vm/panic_on_oom"),
    )
)
"""What a kubelet and CNI plugins set."""

CGROUPS = Path("/sys/fs/cgroup")


def is_ours(folder: Path, run_dir: Path) -> bool:
    """Made for the cluster of this run dir."""
    try:
        return (folder / MARKER).read_text() == str(run_dir)
    except (FileNotFoundError, NotADirectoryError):
        return False


def claim_folders(run_dir: Path, new: Iterable[Path], shared: Iterable[Path]) -> None:
    """Makes folders and marks them as ours. new: those that must not be there yet; the others may be, and stay unmarked then."""
    for folder in new:
        if folder.exists():
            raise ClusterError(
                f"{folder} is there, and not of a test cluster: is this a real node?", hint="use another machine"
            )
    for folder in (*new, *shared):
        if not folder.exists():
            folder.mkdir(parents=True)
            (folder / MARKER).write_text(str(run_dir))


def release_folders(run_dir: Path, folders: Iterable[Path]) -> None:
    """Removes those that are ours."""
    for folder in folders:
        if is_ours(folder, run_dir):
            shutil.rmtree(folder)


def save_sysctls(file: Path, paths: Iterable[Path] = SYSCTLS) -> None:
    file.write_text(json.dumps({str(path): path.read_text().strip() for path in paths if path.exists()}))


def restore_sysctls(file: Path) -> None:
    """Writes only what has changed since."""
    if file.exists():
        for path, value in json.loads(file.read_text()).items():
            if Path(path).read_text().strip() != value:
                Path(path).write_text(value)


def remove_cgroups(top: Path = CGROUPS) -> None:
    """Those of pods, in every hierarchy. Their processes are dead by now; the kernel may need a moment to see it."""
    wait_until("cgroups of pods removed", lambda: _no_cgroups_left(top), 10)


def _no_cgroups_left(top: Path) -> bool:
    """Removes from the leaves up what can be removed."""
    roots = (*top.glob("kubepods"), *top.glob("*/kubepods"))
    for root in roots:
        for folder, _, _ in os.walk(root, topdown=False):
            with contextlib.suppress(OSError):
                Path(folder).rmdir()
    return not any(root.exists() for root in roots)
