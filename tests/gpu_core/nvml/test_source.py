"""Discovery with a deadline and a cache, and the effect of a missing driver."""

import threading
from collections.abc import Callable

import pytest

from gpu_core.domain.inventory import Inventory
from gpu_core.nvml.source import InventorySource
from node_core.errors import NvmlError
from tests.waiting import until

EMPTY = Inventory(driver=None)


def failing(code: str) -> Callable[[], Inventory]:
    def read() -> Inventory:
        raise NvmlError("nvmlInit_v2", code)

    return read


def test_without_driver_and_gpu_the_inventory_is_empty_with_a_reason() -> None:
    source = InventorySource(failing("LIBRARY_NOT_FOUND"), has_gpus=lambda: False)
    assert source.discover().why_empty == "the node has no NVIDIA driver and no NVIDIA GPU on the PCI bus"


@pytest.mark.parametrize(("code", "on_pci"), [("DRIVER_NOT_LOADED", True), ("UNKNOWN", False)])
def test_a_gpu_without_driver_is_an_error(code: str, on_pci: bool) -> None:
    with pytest.raises(NvmlError, match=code):
        InventorySource(failing(code), has_gpus=lambda: on_pci).discover()


def test_a_discovery_is_cached_until_it_is_old_or_invalidated() -> None:
    reads, now = [], [100.0]

    def read() -> Inventory:
        reads.append(1)
        return EMPTY

    source = InventorySource(read, has_gpus=lambda: True, clock=lambda: now[0])
    source.discover()
    source.discover()
    assert len(reads) == 1
    source.invalidate()
    source.discover()
    assert len(reads) == 2
    now[0] += 1.0
    source.discover()
    assert len(reads) == 3


def test_a_discovery_that_was_invalidated_while_running_is_not_cached() -> None:
    reads = []

    def read() -> Inventory:
        reads.append(1)
        if len(reads) == 1:
            source.invalidate()
        return EMPTY

    source = InventorySource(read, has_gpus=lambda: True, clock=lambda: 100.0)
    source.discover()
    source.discover()
    assert len(reads) == 2


def test_a_failed_discovery_is_not_cached() -> None:
    results = iter([NvmlError("nvmlInit_v2", "UNKNOWN"), None])

    def read() -> Inventory:
        if error := next(results):
            raise error
        return EMPTY

    source = InventorySource(read, has_gpus=lambda: True)
    with pytest.raises(NvmlError):
        source.discover()
    assert source.discover() == EMPTY


def test_a_hanging_driver_uses_one_deadline_and_one_thread() -> None:
    release = threading.Event()
    reads = []

    def read() -> Inventory:
        reads.append(1)
        release.wait(60)
        return EMPTY

    source = InventorySource(read, has_gpus=lambda: True, deadline=0.01)
    for _ in range(5):
        with pytest.raises(NvmlError, match="TIMEOUT"):
            source.discover()
    assert len(reads) == 1
    release.set()
    until(source.release)
    source.acquire()
    assert source.discover() == EMPTY
    assert len(reads) == 2, "the late result is not cached"


def test_a_released_source_does_not_open_nvml() -> None:
    reads = []

    def read() -> Inventory:
        reads.append(1)
        return EMPTY

    source = InventorySource(read, has_gpus=lambda: False, clock=lambda: 100.0)
    source.discover()
    assert source.release()
    with pytest.raises(NvmlError, match="RELEASED"):
        source.discover()
    assert len(reads) == 1
    source.acquire()
    assert source.discover() == EMPTY


def test_a_hanging_discovery_cannot_be_released() -> None:
    go = threading.Event()

    def read() -> Inventory:
        go.wait(60)
        return EMPTY

    source = InventorySource(read, has_gpus=lambda: True, deadline=0.01)
    with pytest.raises(NvmlError, match="TIMEOUT"):
        source.discover()
    assert not source.release()
    go.set()
    until(source.release)
