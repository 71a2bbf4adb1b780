"""The part of the CUDA driver API that discovers GPUs, for an SoC whose driver has no NVML. Source: CUDA Driver API reference.

Errors are NvmlErrors, with the names of CUresult without the prefix as codes. The library stays loaded until the process ends. Without a
context the library uses no GPU memory.
"""

import ctypes
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from gpu_core.host.driver_root import find_loadable
from gpu_core.nvml.api import FUNCTION_NOT_FOUND, LIBRARY_NOT_FOUND
from node_core.errors import NvmlError

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


def open_cuda(driver_root: Path, library_dirs: Sequence[str] = ()) -> Cuda:
    """Loads and initialises the library, from the driver root or by the dynamic linker. Raises NvmlError."""
    cuda = LibCuda(_load(driver_root, library_dirs))
    cuda.call("cuInit", ctypes.c_uint(0))
    return cuda


class LibCuda:
    """`Cuda`, implemented by libcuda."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library

    def call(self, function: str, *arguments: object) -> None:
        """Calls a function of the library. Raises NvmlError."""
        pointer = getattr(self._library, function, None)
        if pointer is None:
            raise NvmlError(function, FUNCTION_NOT_FOUND, hint=f"this {LIBRARY} is too old")
        if result := pointer(*arguments):
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
        get_name = getattr(self._library, "cuGetErrorName", None)
        if get_name is None or get_name(ctypes.c_int(result), ctypes.byref(name)) or name.value is None:
            return f"ERROR_{result}"
        return name.value.decode(errors="replace").removeprefix("CUDA_ERROR_")


def _load(driver_root: Path, library_dirs: Sequence[str]) -> ctypes.CDLL:
    errors = []
    for name in (*find_loadable(driver_root, LIBRARY, library_dirs), LIBRARY):
        try:
            return ctypes.CDLL(name)
        except OSError as error:
            errors.append(str(error))
    hint = (
        f"{LIBRARY} is part of the NVIDIA driver: mount its folder for this process; searched below {driver_root}: "
        f"{'; '.join(errors)}"
    )
    raise NvmlError("cuInit", LIBRARY_NOT_FOUND, hint=hint)
