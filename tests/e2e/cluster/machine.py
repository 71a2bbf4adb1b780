"""Changes that a cluster makes outside its own folder, and their reversal."""

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
"""This file marks a folder that was created for a test cluster, and contains the run dir of the cluster. The folder is removed with it."""

SHARED_FOLDERS = tuple(
    Path(folder)
    for folder in (
        *("/etc/cdi", "/run/cdi", "/run/containerd", "/run/gpunode"),
        *("/run/mount", "/var/lib/cni", "/var/log/containers"),
    )
)
"""Folders to which programs of a cluster always write. Folders that existed before are retained."""

SYSCTLS = tuple(
    Path("/proc/sys", name)
    for name in (
        *("kernel/panic", "kernel/panic_on_oops", "kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes"),
        *("net/ipv4/ip_forward", "vm/overcommit_memory", "vm/panic_on_oom"),
    )
)
"""The sysctls that a kubelet and CNI plugins set."""

CGROUPS = Path("/sys/fs/cgroup")


def is_ours(folder: Path, run_dir: Path) -> bool:
    """Whether the folder was created for the cluster of this run dir."""
    try:
        return (folder / MARKER).read_text() == str(run_dir)
    except (FileNotFoundError, NotADirectoryError):
        return False


def claim_folders(run_dir: Path, new: Iterable[Path], shared: Iterable[Path]) -> None:
    """Creates and marks folders. new: must not exist. shared: may exist, and are then not marked."""
    for folder in new:
        if folder.exists():
            raise ClusterError(
                f"{folder} exists, but does not belong to a test cluster. This machine may be a real node.",
                hint="use another machine",
            )
    for folder in (*new, *shared):
        if not folder.exists():
            folder.mkdir(parents=True)
            (folder / MARKER).write_text(str(run_dir))


def release_folders(run_dir: Path, folders: Iterable[Path]) -> None:
    """Removes the folders that were created for the cluster."""
    for folder in folders:
        if is_ours(folder, run_dir):
            shutil.rmtree(folder)


def save_sysctls(file: Path, paths: Iterable[Path] = SYSCTLS) -> None:
    file.write_text(json.dumps({str(path): path.read_text().strip() for path in paths if path.exists()}))


def restore_sysctls(file: Path) -> None:
    """Writes only values that changed."""
    if file.exists():
        for path, value in json.loads(file.read_text()).items():
            if Path(path).read_text().strip() != value:
                Path(path).write_text(value)


def remove_cgroups(top: Path = CGROUPS) -> None:
    """Removes the cgroups of pods in every hierarchy. Retries, because the kernel releases cgroups some time after their processes end."""
    wait_until("the removal of the pods' cgroups", lambda: _remove_pod_cgroups(top), 10)


def _remove_pod_cgroups(top: Path) -> bool:
    """Removes cgroups from the leaves up. Returns True if none remains."""
    roots = (*top.glob("kubepods"), *top.glob("*/kubepods"))
    for root in roots:
        for folder, _, _ in os.walk(root, topdown=False):
            with contextlib.suppress(OSError):
                Path(folder).rmdir()
    return not any(root.exists() for root in roots)
