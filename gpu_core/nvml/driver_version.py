"""Compares the versions of the loaded kernel module and the installed library of the driver.

A package upgrade replaces the library immediately, but the loaded module remains until the next load. Until then NVML returns
LIB_RM_VERSION_MISMATCH. Sources: /sys/module/<name>/version, /proc/driver/nvidia/version; NVIDIA driver README.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import msgspec

from gpu_core.host.driver_root import find_libraries
from gpu_core.nvml.library import LIBRARY
from node_core.errors import HostReadError
from node_core.host.root import HostRoot

MODULE = "/sys/module/nvidia/version"
PROC = "/proc/driver/nvidia/version"
_VERSION = r"[0-9]{2,4}(?:\.[0-9]{1,4}){1,3}"
_SUFFIX = r"(?:[-+_][\w.+-]*)?"
_IN_SYSFS = re.compile(rf"({_VERSION}){_SUFFIX}")
_IN_PROC = re.compile(rf"^NVRM version:.*?\s({_VERSION}){_SUFFIX}\s", re.MULTILINE)
_IN_NAME = re.compile(rf"\.so\.({_VERSION})$")


class DriverVersions(msgspec.Struct, frozen=True, kw_only=True):
    """module: of the loaded kernel module. library: of libnvidia-ml.so. None: missing, or the version is unknown."""

    module: str | None
    library: str | None

    @property
    def mismatch(self) -> str | None:
        """A sentence with the problem and its solution; None if the versions are equal or one of them is unknown."""
        if self.module is None or self.library is None or self.module == self.library:
            return None
        return (
            f"the loaded NVIDIA kernel module has version {self.module}, the installed library has version {self.library}: "
            "reboot, or unload the module (rmmod) and load the new one"
        )


def read_driver_versions(host: HostRoot, driver_root: Path, library_dirs: Sequence[str] = ()) -> DriverVersions:
    """Reads both versions. driver_root: where the driver root is mounted. library_dirs: see find_libraries.

    Of several libraries, the one with the module's version counts. Raises HostReadError if the module's version cannot be read.
    """
    module = read_module_version(host)
    return DriverVersions(module=module, library=find_library_version(driver_root, module, library_dirs))


def read_module_version(host: HostRoot) -> str | None:
    """The version of the loaded module, without a suffix such as `-open`; None if no module is loaded. Raises HostReadError."""
    found = _IN_SYSFS.fullmatch(host.text(MODULE) or "")
    return found[1] if found else parse_proc_version(host.text(PROC) or "")


def find_module_version(host: HostRoot) -> str | None:
    """The version of the loaded module; None also if the version cannot be read."""
    try:
        return read_module_version(host)
    except HostReadError:
        return None


def parse_proc_version(text: str) -> str | None:
    """The version in `NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 …`, also for the open module."""
    found = _IN_PROC.search(f"{text}\n")
    return None if found is None else found[1]


def find_library_version(driver_root: Path, module: str | None, library_dirs: Sequence[str] = ()) -> str | None:
    """The version in the name of the file that libnvidia-ml.so.1 links to; None if unknown. Prefers the version of the module."""
    names = [LIBRARY, *([LIBRARY.removesuffix("1") + module] if module else [])]
    paths = (path for name in names for _, path in find_libraries(driver_root, name, library_dirs))
    versions = [named[1] for path in paths if (named := _IN_NAME.search(path)) is not None]
    return module if module in versions else next(iter(versions), None)
