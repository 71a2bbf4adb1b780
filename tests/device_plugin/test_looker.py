"""Looks at the GPUs beside the agent's thread."""

import threading
from pathlib import Path

from device_plugin.looker import Looked, Looker, read_look
from device_plugin.specs import Surroundings
from node_core.domain.inventory import Inventory
from node_core.errors import HostReadError, NvmlError
from node_core.host.root import HostRoot
from tests.device_plugin.conftest import make_gpu

NOTHING = Looked(inventory=Inventory(driver=None))


def test_who_asks_during_a_look_gets_one_more_after_it() -> None:
    runs: list[int] = []
    looker: Looker

    def look() -> Looked:
        runs.append(len(runs))
        if len(runs) == 1:
            looker.ask()
            looker.ask()
        return NOTHING

    looker = Looker(look, lambda: None, start=lambda run: run())
    looker.ask()
    assert len(runs) == 2
    looker.ask()
    assert len(runs) == 3


def test_a_result_is_there_once_and_its_taker_is_woken() -> None:
    woken = threading.Event()
    looker = Looker(lambda: NOTHING, woken.set)
    assert looker.take() is None
    looker.ask()
    assert woken.wait(10)
    assert looker.take() == NOTHING
    assert looker.take() is None


def test_a_failure_is_a_result() -> None:
    def fail() -> Looked:
        raise NvmlError("nvmlInit_v2", "TIMEOUT")

    looker = Looker(fail, lambda: None, start=lambda run: run())
    looker.ask()
    assert isinstance(error := looker.take(), NvmlError)
    assert error.code == "TIMEOUT"


class Unreadable(HostRoot):
    def text(self, *_: object, **__: object) -> str | None:
        raise HostReadError("/proc/driver/nvidia-caps/mig-minors: denied")


def test_mig_capabilities_are_read_where_there_is_mig_and_their_failure_is_no_failed_look() -> None:
    root = Unreadable(Path("/"))
    whole, cut = Inventory(driver=None, gpus=(make_gpu(0),)), Inventory(driver=None, gpus=(make_gpu(0, ["1g.10gb"]),))
    assert read_look(lambda: whole, root, lambda _: Surroundings()) == Looked(inventory=whole)
    looked = read_look(lambda: cut, root, lambda _: Surroundings())
    assert looked.inventory == cut
    assert "denied" in (looked.caps_problem or "")
