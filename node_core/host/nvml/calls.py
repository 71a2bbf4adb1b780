"""How a function of pynvml is called: by its name, with its errors translated."""

from typing import Any

from node_core.errors import NvmlError
from node_core.host.nvml.api import FUNCTION_NOT_FOUND, LIBRARY_NOT_FOUND
from node_core.host.nvml.library import LIBRARY

_HINTS = {
    LIBRARY_NOT_FOUND: f"{LIBRARY} comes with the NVIDIA driver: install it, or make its folder visible here",
    "DRIVER_NOT_LOADED": "load the nvidia kernel module and look at the kernel log for why it is not loaded",
    "LIB_RM_VERSION_MISMATCH": "the library and the loaded kernel module differ: load the module that was installed",
    "NO_PERMISSION": "this process may not open /dev/nvidiactl or the GPU's device node",
}


class Calls:
    """Every pynvml.NVMLError becomes an NvmlError, a function that is missing FUNCTION_NOT_FOUND. pynvml: the module."""

    def __init__(self, pynvml: Any) -> None:
        self._pynvml = pynvml

    def call(self, function: str, *arguments: Any, reported_as: str | None = None) -> Any:
        """What the function of that name gives. Raises NvmlError."""
        name = reported_as or function
        ask = getattr(self._pynvml, function, None)
        if ask is None:
            raise NvmlError(name, FUNCTION_NOT_FOUND, hint="the installed nvidia-ml-py does not know it")
        try:
            return ask(*arguments)
        except self._pynvml.NVMLError as error:
            raise self.error(name, error.value) from error

    def error(self, name: str, value: int) -> NvmlError:
        """Of a call that answered with this nvmlReturn_t."""
        code = self._code(value)
        return NvmlError(name, code, hint=_HINTS.get(code))

    def _code(self, value: int) -> str:
        prefix = "NVML_ERROR_"
        names = (name for name in vars(self._pynvml) if name.startswith(prefix))
        found = (name.removeprefix(prefix) for name in names if getattr(self._pynvml, name) == value)
        return next(found, f"ERROR_{value}")
