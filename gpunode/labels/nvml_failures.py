"""The NVML calls that fail on this host, so that labels have no value."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

from gpu_core.assembly import Dependencies
from gpu_core.nvml.api import Handle, Nvml
from gpu_core.nvml.inventory import read_inventory
from gpu_core.nvml.source import InventorySource
from node_core.errors import NvmlError

Failures = Mapping[str, Mapping[str, tuple[int, ...]]]
"""NVML function -> code -> indices of the GPUs, in order; no indices for a call that is not about one GPU."""


class RecordingNvml:
    """An NVML session that records the errors of all calls."""

    def __init__(self, nvml: Nvml, failures: dict[str, dict[str, dict[int, None]]]) -> None:
        self._nvml = nvml
        self._failures = failures
        self._indices: list[tuple[Handle, int]] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        call = getattr(self._nvml, name)

        def record(*arguments: Any) -> Any:
            try:
                result = call(*arguments)
            except NvmlError as error:
                gpus = self._failures.setdefault(error.call, {}).setdefault(error.code, {})
                gpus.update(dict.fromkeys(index for handle, index in self._indices if handle in arguments[:1]))
                raise
            if name == "device_get_handle_by_index":
                self._indices.append((result, arguments[0]))
            return result

        return record


def read_failures(dependencies: Dependencies) -> Failures:
    """Reads all GPUs once, and returns the calls that failed. Returns nothing if NVML cannot be used."""
    failures: dict[str, dict[str, dict[int, None]]] = {}

    @contextmanager
    def open_recording() -> Iterator[Nvml]:
        with dependencies.nvml() as nvml:
            yield cast("Nvml", RecordingNvml(nvml, failures))

    source = InventorySource(lambda: read_inventory(open_recording, lambda _: None), has_gpus=lambda: True)
    dependencies.nvml_release.add(source)
    try:
        source.discover()
    except NvmlError:
        return {}
    return {call: {code: tuple(gpus) for code, gpus in codes.items()} for call, codes in failures.items()}


def describe_failures(failures: Failures, source: str) -> list[str]:
    """Returns a sentence for each failed call that the source of a label names."""
    return [
        f"{call} returned {code}{_name_gpus(gpus)}"
        for call, codes in failures.items()
        if call in source
        for code, gpus in codes.items()
    ]


def _name_gpus(gpus: tuple[int, ...]) -> str:
    shown = ", ".join(map(str, gpus))
    return f" for GPU {shown}" if len(gpus) == 1 else f" for GPUs {shown}" if gpus else ""
