"""The CUDA driver API, as much of it as tells what GPUs there are, for an SoC whose driver has no NVML. Source: CUDA Driver API reference.

Its errors are NvmlErrors: to whoever looks at GPUs they mean the same. Codes are CUresult's names without their prefix. The library stays
loaded for the life of the process; without a context it holds no memory of a GPU.
"""

import ctypes
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from node_core.errors import NvmlError
from node_core.host.driver_root import find_libraries
from node_core.host.elf import elf_machine
from node_core.host.nvml.api import FUNCTION_NOT_FOUND, LIBRARY_NOT_FOUND

LIBRARY = "libcuda.so.1"
_MAX_NAME = 256
_COMPUTE_MAJOR, _COMPUTE_MINOR = 75, 76
"""CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR."""
_HINTS = {"NO_DEVICE": "the kernel has no driver for the GPU, or this process may not open its device nodes"}


class Cuda(Protocol):
    """The initialised driver API. Every call may raise NvmlError. index: of the device, from 0."""

    def driver_get_version(self) -> int:
        """1000 * major + 10 * minor."""
        ...

    def device_get_count(self) -> int: ...

    def device_get_name(self, index: int) -> str: ...

    def device_compute_capability(self, index: int) -> tuple[int, int]: ...

    def device_total_mem(self, index: int) -> int:
        """Bytes."""
        ...


def open_cuda(driver_root: Path) -> Cuda:
    """Loads the library, below the driver's root or where the dynamic linker finds it, and initialises it. Raises NvmlError."""
    cuda = LibCuda(_load(driver_root))
    cuda.call("cuInit", ctypes.c_uint(0))
    return cuda


class LibCuda:
    """`Cuda` on the library."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library

    def call(self, function: str, *arguments: object) -> None:
        """Raises NvmlError when it does not succeed."""
        ask = getattr(self._library, function, None)
        if ask is None:
            raise NvmlError(function, FUNCTION_NOT_FOUND, hint=f"this {LIBRARY} is too old")
        if result := ask(*arguments):
            code = self._code(result)
            raise NvmlError(function, code, hint=_HINTS.get(code))

    def driver_get_version(self) -> int:
        return self._number("cuDriverGetVersion")

    def device_get_count(self) -> int:
        return self._number("cuDeviceGetCount")

    def device_get_name(self, index: int) -> str:
        name = ctypes.create_string_buffer(_MAX_NAME)
        self.call("cuDeviceGetName", name, ctypes.c_int(_MAX_NAME), self._device(index))
        return name.value.decode(errors="replace")

    def device_compute_capability(self, index: int) -> tuple[int, int]:
        device = self._device(index)
        return self._attribute(_COMPUTE_MAJOR, device), self._attribute(_COMPUTE_MINOR, device)

    def device_total_mem(self, index: int) -> int:
        size = ctypes.c_size_t()
        self.call("cuDeviceTotalMem_v2", ctypes.byref(size), self._device(index))
        return size.value

    def _device(self, index: int) -> ctypes.c_int:
        return ctypes.c_int(self._number("cuDeviceGet", ctypes.c_int(index)))

    def _attribute(self, attribute: int, device: ctypes.c_int) -> int:
        return self._number("cuDeviceGetAttribute", ctypes.c_int(attribute), device)

    def _number(self, function: str, *arguments: object) -> int:
        number = ctypes.c_int()
        self.call(function, ctypes.byref(number), *arguments)
        return number.value

    def _code(self, result: int) -> str:
        name = ctypes.c_char_p()
        ask = getattr(self._library, "cuGetErrorName", None)
        if ask is None or ask(ctypes.c_int(result), ctypes.byref(name)) or name.value is None:
            return f"ERROR_{result}"
        return name.value.decode(errors="replace").removeprefix("CUDA_ERROR_")


def _load(driver_root: Path) -> ctypes.CDLL:
    said = []
    for name in (*_libraries(driver_root), LIBRARY):
        try:
            return ctypes.CDLL(name)
        except OSError as error:
            said.append(str(error))
    hint = (
        f"it comes with the NVIDIA driver: make its folder visible here; looked below {driver_root}: {'; '.join(said)}"
    )
    raise NvmlError("cuInit", LIBRARY_NOT_FOUND, hint=f"{LIBRARY}: {hint}")


def _libraries(root: Path) -> Iterator[str]:
    """Those for this machine, the best first."""
    for found, path in find_libraries(root, LIBRARY):
        library = found.base / path.lstrip("/")
        if elf_machine(library) == platform.machine():
            yield str(library)
