"""The kernel modules of the driver: which are loaded, what uses them, and how they are unloaded.

Sources: kernel Documentation/ABI/testing/sysfs-module; delete_module(2); README of the driver, "Installed Components".
"""

import ctypes
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from node_core.errors import DriverError
from node_core.host.root import HostRoot

NVIDIA = "nvidia"
ORDER = (
    *("nvidia_drm", "nvidia_modeset", "nvidia_uvm", "nvidia_peermem", "nvidia_fs", "nvidia_vgpu_vfio", "gdrdrv"),
    NVIDIA,
)
"""Each module only uses modules that follow it."""
NOUVEAU = "nouveau"
"""The driver of the kernel for NVIDIA GPUs. While it is loaded, NVIDIA's driver cannot use the GPUs."""
FOLDER = "/sys/module"
ATTEMPTS, PAUSE_SECONDS = 10, 1.0
"""A process that has just ended may still have a reference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """A loaded module that can be unloaded. references: the number of its users, including the modules in holders."""

    name: str
    references: int = 0
    holders: tuple[str, ...] = ()


def read_module(root: HostRoot, name: str) -> Module | None:
    """Returns None if the module is not loaded, or is part of the kernel. Raises HostReadError."""
    text = root.text(f"{FOLDER}/{name}/refcnt")
    if text is None:
        return None
    holders = root.entries(f"{FOLDER}/{name}/holders")
    return Module(name=name, references=int(text) if text.isdecimal() else 0, holders=holders)


def read_modules(root: HostRoot, names: Iterable[str] = ORDER) -> tuple[Module, ...]:
    """Returns the loaded modules in the order of names. Raises HostReadError."""
    return tuple(module for name in names if (module := read_module(root, name)) is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleUnloader:
    """delete: delete_module, raises OSError. list_users: describes the processes that use the driver. sleep: waits for seconds."""

    root: HostRoot
    delete: Callable[[str], None]
    list_users: Callable[[], tuple[str, ...]]
    sleep: Callable[[float], None]

    def unload(self, names: Iterable[str]) -> tuple[str, ...]:
        """Unloads the loaded ones of these modules in order, and returns their names. Raises DriverError, which names the users."""
        loaded = [each.name for each in read_modules(self.root, names)]
        for name in loaded:
            self._unload(name)
        return tuple(loaded)

    def _unload(self, name: str) -> None:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self.delete(name)
            except OSError as error:
                module = read_module(self.root, name)
                if module is None:  # another process has unloaded the module
                    return
                if not isinstance(error, BlockingIOError) or attempt == ATTEMPTS:
                    raise describe_failure(module, error, self.list_users()) from error
                self.sleep(PAUSE_SECONDS)
            else:
                return


def describe_failure(module: Module, error: OSError, users: tuple[str, ...]) -> DriverError:
    """Returns the error that names what uses the module. PURE."""
    if not isinstance(error, BlockingIOError):
        hint = "run the container privileged, on a kernel that allows modules to be unloaded"
        return DriverError(f"the kernel module {module.name} cannot be unloaded: {error.strerror}", hint=hint)
    modules = tuple(f"the module {each}" for each in module.holders)
    named = ", ".join(modules + users) or f"{module.references} references that no process of the node explains"
    hint = "end these users, or set ENABLE_AUTO_DRAIN=true. The kubelet starts the next attempt by itself"
    return DriverError(
        f"the kernel module {module.name} cannot be unloaded, because it is in use by {named}", hint=hint
    )


def delete_module(name: str) -> None:
    """Unloads a module by the system call. Raises OSError; BlockingIOError if the module is in use."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.delete_module(name.encode(), os.O_NONBLOCK) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), name)
