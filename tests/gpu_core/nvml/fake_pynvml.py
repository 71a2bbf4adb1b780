"""PynvmlCalls on a copy of the pynvml module whose functions are replaced. Types and codes are the real ones."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pynvml

from gpu_core.nvml.real import PynvmlCalls


def calls(**functions: Callable[..., Any]) -> PynvmlCalls:
    return PynvmlCalls(SimpleNamespace(**{**vars(pynvml), **functions}))


def raising(code: int) -> Callable[..., Any]:
    def fail(*_: object) -> None:
        raise pynvml.NVMLError(code)

    return fail
