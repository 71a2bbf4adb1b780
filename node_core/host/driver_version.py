"""Whether the driver's two halves fit: the kernel module that is loaded, and the library that is installed.

A package upgrade replaces the library at once, and the module only when it is loaded anew: until then NVML answers
LIB_RM_VERSION_MISMATCH. Sources: /sys/module/<name>/version, /proc/driver/nvidia/version; NVIDIA driver README.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from node_core.host.driver_root import find_libraries
from node_core.host.nvml.library import LIBRARY
from node_core.host.root import HostRoot

MODULE = "/sys/module/nvidia/version"
PROC = "/proc/driver/nvidia/version"
_VERSION = r"[0-9]{2,4}(?:\.[0-9]{1,4}){1,3}"
_IN_PROC = re.compile(rf"^NVRM version:.*?\s({_VERSION})\s", re.MULTILINE)
_IN_NAME = re.compile(rf"\.so\.({_VERSION})$")


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverVersions:
    """module: of the kernel module that is loaded. library: of libnvidia-ml.so. None: not loaded, not found, or it does not say."""

    module: str | None
    library: str | None

    @property
    def mismatch(self) -> str | None:
        """A sentence on what is wrong and what to do; None while they fit, or one of them is not known."""
        if self.module is None or self.library is None or self.module == self.library:
            return None
        return (
            f"the loaded NVIDIA kernel module is version {self.module}, the installed library {self.library}: "
            "reboot, or unload the module (rmmod) and load the new one"
        )


def read_driver_versions(host: HostRoot, driver_root: Path) -> DriverVersions:
    """driver_root: as we see it. Raises HostReadError where the module's version is there and cannot be read."""
    return DriverVersions(module=read_module_version(host), library=find_library_version(driver_root))


def read_module_version(host: HostRoot) -> str | None:
    """None while no module is loaded."""
    said = host.text(MODULE)
    if said is not None and re.fullmatch(_VERSION, said):
        return said
    return parse_proc_version(host.text(PROC) or "")


def parse_proc_version(text: str) -> str | None:
    """Of `NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 …`, and of the open module's like."""
    found = _IN_PROC.search(f"{text}\n")
    return None if found is None else found[1]


def find_library_version(driver_root: Path) -> str | None:
    """By the name of the file that libnvidia-ml.so.1 leads to."""
    for found, path in find_libraries(driver_root, LIBRARY):
        if (named := _IN_NAME.search(str(found.base / path.lstrip("/")))) is not None:
            return named[1]
    return None
