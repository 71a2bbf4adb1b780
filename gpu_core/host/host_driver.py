"""Finds the driver that the host itself has, from a distribution, an image or an installer, in contrast to a driver of a driver container.

The files decide, and not the loaded kernel module: a driver container also loads modules, and a host can have its driver before the
module is loaded. Source: README of the driver, "Installed Components"; depmod(8) for modules.dep.
"""

from pathlib import PurePosixPath

from gpu_core.host.driver_root import LIBRARY_FOLDERS, PROGRAM_FOLDERS, DriverRoot, find_libraries, is_in_container
from node_core.host.root import HostRoot

LIBRARY = "libnvidia-ml.so.1"
PROGRAM = "nvidia-smi"
OS_RELEASE = "/proc/sys/kernel/osrelease"
MODULES = ("/lib/modules", "/usr/lib/modules")
MODULES_DEP_BYTES = 8 << 20


def find_host_driver(root: HostRoot) -> str | None:
    """Returns the path of the library of the host's own driver, or None.

    A driver consists of the library, and of nvidia-smi or a kernel module for the running kernel. Files below /run/nvidia/driver belong
    to a driver container. Raises HostReadError if a usual folder cannot be examined.
    """
    for found, path in find_libraries(root.base, LIBRARY):
        if not is_in_container(path) and (_has_program(found, path) or _has_module(root)):
            return path
    for folder in LIBRARY_FOLDERS:
        root.check_exists(f"/{folder}/{LIBRARY}")  # otherwise a folder that cannot be examined would count as empty
    return None


def _has_program(root: DriverRoot, library: str) -> bool:
    """Whether nvidia-smi is in the usual folders, or near the library. A link counts also if its target is not mounted."""
    base, near = DriverRoot(root.base), PurePosixPath(library).parent
    places = [(each, f"{folder}/{PROGRAM}") for each in root.search for folder in PROGRAM_FOLDERS]
    places += [(base, f"{folder}/{PROGRAM}") for folder in (near, near.parent / "bin", near.parent.parent / "bin")]
    targets = (each.resolve(place) or each.read_link(place) for each, place in places)
    return any(target is not None and not is_in_container(target) for target in targets)


def _has_module(root: HostRoot) -> bool:
    """Whether the host has nvidia.ko for the running kernel. Raises HostReadError."""
    release = root.text(OS_RELEASE)
    if not release:
        return False
    lists = (root.read(f"{folder}/{release}/modules.dep", limit=MODULES_DEP_BYTES) for folder in MODULES)
    return any(b"/nvidia.ko" in (content or b"") for content in lists)
