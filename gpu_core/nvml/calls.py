"""Calls functions of pynvml by name, and translates errors."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import structlog

from gpu_core.nvml.api import FUNCTION_NOT_FOUND, LIBRARY_NOT_FOUND
from gpu_core.nvml.library import LIBRARY
from node_core.errors import NvmlError

log = structlog.get_logger(__name__)

_HINTS = {
    LIBRARY_NOT_FOUND: f"{LIBRARY} is part of the NVIDIA driver: install the driver, or mount its folder for this process",
    "DRIVER_NOT_LOADED": "load the nvidia kernel module; the kernel log contains the reason if loading fails",
    "LIB_RM_VERSION_MISMATCH": "the library and the loaded kernel module have different versions: load the installed module",
    "NO_PERMISSION": "this process may not open /dev/nvidiactl or the GPU's device node",
}


class Calls:
    """Translates every pynvml.NVMLError to an NvmlError. A missing function raises FUNCTION_NOT_FOUND. pynvml: the module."""

    def __init__(self, pynvml: Any) -> None:
        self._pynvml = pynvml

    def call(self, function: str, *arguments: Any, reported_as: str | None = None) -> Any:
        """Calls a function. reported_as: the name in errors. Raises NvmlError."""
        name = reported_as or function
        wrapper = getattr(self._pynvml, function, None)
        if wrapper is None:
            raise NvmlError(name, FUNCTION_NOT_FOUND, hint="the installed nvidia-ml-py does not have this function")
        try:
            return wrapper(*arguments)
        except self._pynvml.NVMLError as error:
            raise self.error(name, error.value) from error

    def error(self, name: str, value: int) -> NvmlError:
        """The NvmlError for an nvmlReturn_t."""
        code = self._code(value)
        log.debug("nvml_call_failed", call=name, code=code)
        return NvmlError(name, code, hint=_HINTS.get(code))

    def _code(self, value: int) -> str:
        return self._codes.get(value, f"ERROR_{value}")

    @cached_property
    def _codes(self) -> Mapping[int, str]:
        """nvmlReturn_t -> its name without the prefix. If two names have the same number, the first counts."""
        prefix = "NVML_ERROR_"
        names = {name: number for name, number in vars(self._pynvml).items() if name.startswith(prefix)}
        return {number: name.removeprefix(prefix) for name, number in reversed(names.items())}
