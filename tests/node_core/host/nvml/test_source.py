"""The inventory with its deadline, and what a missing driver means."""

import threading
from collections.abc import Callable

import pytest

from node_core.domain.inventory import Inventory
from node_core.errors import NvmlError
from node_core.host.nvml.source import InventorySource

EMPTY = Inventory(driver=None)


def failing(code: str) -> Callable[[], Inventory]:
    def read() -> Inventory:
        raise NvmlError("nvmlInit_v2", code)

    return read


def test_no_driver_and_no_gpu_is_an_empty_inventory_that_says_so() -> None:
    source = InventorySource(failing("LIBRARY_NOT_FOUND"), gpus_on_pci=lambda: False)
    assert source.look().why_empty == "no NVIDIA driver, and no NVIDIA GPU on the PCI bus"


@pytest.mark.parametrize(("code", "on_pci"), [("DRIVER_NOT_LOADED", True), ("UNKNOWN", False)])
def test_a_gpu_without_driver_and_any_other_failure_are_errors(code: str, on_pci: bool) -> None:
    with pytest.raises(NvmlError, match=code):
        InventorySource(failing(code), gpus_on_pci=lambda: on_pci).look()


def test_agents_that_ask_at_once_share_a_look_until_it_is_old_or_forgotten() -> None:
    looks, now = [], [100.0]

    def read() -> Inventory:
        looks.append(1)
        return EMPTY

    source = InventorySource(read, gpus_on_pci=lambda: True, clock=lambda: now[0])
    source.look()
    source.look()
    assert len(looks) == 1
    source.forget()
    source.look()
    assert len(looks) == 2
    now[0] += 1.0
    source.look()
    assert len(looks) == 3


def test_a_change_during_a_look_gets_a_look_of_its_own() -> None:
    looks = []

    def read() -> Inventory:
        looks.append(1)
        if len(looks) == 1:
            source.forget()
        return EMPTY

    source = InventorySource(read, gpus_on_pci=lambda: True, clock=lambda: 100.0)
    source.look()
    source.look()
    assert len(looks) == 2


def test_a_failed_look_serves_nobody_else() -> None:
    answers = iter([NvmlError("nvmlInit_v2", "UNKNOWN"), None])

    def read() -> Inventory:
        if error := next(answers):
            raise error
        return EMPTY

    source = InventorySource(read, gpus_on_pci=lambda: True)
    with pytest.raises(NvmlError):
        source.look()
    assert source.look() == EMPTY


def test_a_hung_driver_costs_one_deadline_and_one_thread_until_it_answers() -> None:
    release = threading.Event()
    looks = []

    def read() -> Inventory:
        looks.append(1)
        release.wait(10)
        return EMPTY

    source = InventorySource(read, gpus_on_pci=lambda: True, deadline=0.01)
    for _ in range(5):
        with pytest.raises(NvmlError, match="TIMEOUT"):
            source.look()
    assert len(looks) == 1
    release.set()
    assert source._hung is not None
    source._hung.result(10)
    assert source.look() == EMPTY
    assert len(looks) == 2, "the answer that came too late is not taken for the present"


def test_while_it_is_released_nvml_is_not_asked_and_the_reason_says_so() -> None:
    looks = []

    def read() -> Inventory:
        looks.append(1)
        return EMPTY

    source = InventorySource(read, gpus_on_pci=lambda: False, clock=lambda: 100.0)
    source.look()
    assert source.release()
    with pytest.raises(NvmlError, match="RELEASED"):
        source.look()
    assert len(looks) == 1
    source.take()
    assert source.look() == EMPTY


def test_a_look_that_hangs_cannot_be_released() -> None:
    go = threading.Event()

    def read() -> Inventory:
        go.wait(10)
        return EMPTY

    source = InventorySource(read, gpus_on_pci=lambda: True, deadline=0.01)
    with pytest.raises(NvmlError, match="TIMEOUT"):
        source.look()
    assert not source.release()
    go.set()
    assert source._hung is not None
    source._hung.result(10)
    assert source.release()
