"""Discoveries in a separate thread."""

import threading
from collections.abc import Callable
from pathlib import Path

from device_plugin.cdi_sync import HostContext
from device_plugin.inventory_poller import DiscoveryResult, discover
from gpu_core.domain.inventory import Inventory
from gpu_core.nvml.poller import InventoryPoller
from node_core.errors import HostReadError, NodeError, NvmlError
from node_core.host.root import HostRoot
from tests.device_plugin.conftest import make_gpu

NOTHING = DiscoveryResult(inventory=Inventory(driver=None))


def test_requests_during_a_discovery_cause_one_more_after_it() -> None:
    runs: list[int] = []
    poller: InventoryPoller[DiscoveryResult]

    def read() -> DiscoveryResult:
        runs.append(len(runs))
        if len(runs) == 1:
            poller.request()
            poller.request()
        return NOTHING

    poller = InventoryPoller(read, lambda: None, start=lambda run: run())
    poller.request()
    assert len(runs) == 2
    poller.request()
    assert len(runs) == 3


def test_a_result_wakes_the_agent_and_is_returned_once() -> None:
    woken = threading.Event()
    poller = InventoryPoller(lambda: NOTHING, woken.set)
    assert poller.pop_result() is None
    poller.request()
    assert woken.wait(60)
    assert poller.pop_result() == NOTHING
    assert poller.pop_result() is None


def test_a_failure_is_a_result() -> None:
    def fail() -> DiscoveryResult:
        raise NvmlError("nvmlInit_v2", "TIMEOUT")

    poller = InventoryPoller(fail, lambda: None, start=lambda run: run())
    poller.request()
    assert isinstance(error := poller.pop_result(), NvmlError)
    assert error.code == "TIMEOUT"


def test_a_thread_that_cannot_start_is_a_result_and_later_discoveries_run() -> None:
    faults = [RuntimeError("can't start new thread")]
    wakes: list[None] = []

    def start(run: Callable[[], None]) -> None:
        if faults:
            raise faults.pop()
        run()

    poller = InventoryPoller(lambda: NOTHING, lambda: wakes.append(None), start=start)
    poller.request()
    assert isinstance(error := poller.pop_result(), NodeError)
    assert str(error) == "cannot start the discovery of GPUs: can't start new thread"
    poller.request()
    assert poller.pop_result() == NOTHING
    assert len(wakes) == 2


class Unreadable(HostRoot):
    def text(self, *_: object, **__: object) -> str | None:
        raise HostReadError("/proc/driver/nvidia-caps/mig-minors: denied")


def test_mig_capabilities_are_read_only_with_mig_and_their_error_is_not_a_failed_discovery() -> None:
    root = Unreadable(Path("/"))
    whole, cut = Inventory(driver=None, gpus=(make_gpu(0),)), Inventory(driver=None, gpus=(make_gpu(0, ["1g.10gb"]),))
    assert discover(lambda: whole, root, lambda _: HostContext()) == DiscoveryResult(inventory=whole)
    found = discover(lambda: cut, root, lambda _: HostContext())
    assert found.inventory == cut
    assert "denied" in (found.caps_problem or "")
