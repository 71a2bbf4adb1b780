"""Readings in the background, and the lines that state what is wrong."""

import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from gpunode.output.terminal import Terminal
from gpunode.top.loop import UseLoop
from gpunode.top.use import DeviceUse
from node_core.errors import NodeError, NvmlError

USE = DeviceUse(node="", device="GPU 0", model="T4", utilization=50)


class Reader:
    """results: what each reading returns or raises."""

    def __init__(self, *results: Callable[[], tuple[DeviceUse, ...]]) -> None:
        self.notes: tuple[str, ...] = ()
        self._results = iter(results)

    def read(self) -> tuple[DeviceUse, ...]:
        return next(self._results)()


def lost() -> tuple[DeviceUse, ...]:
    raise NvmlError("nvmlInit_v2", "DRIVER_NOT_LOADED")


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    near, far = socket.socketpair()
    with near, far:
        near.setblocking(False)
        yield near, far


Pair = tuple[socket.socket, socket.socket]


def test_a_reading_wakes_the_screen_and_is_shown(pair: Pair) -> None:
    loop = UseLoop(Reader(lambda: (USE,)), 2, pair[0], clock=lambda: 0.0)
    assert loop.render(Terminal())[0] == "Reading the GPUs"
    loop.step()
    assert pair[1].recv(16) == b"u"
    lines = loop.render(Terminal())
    assert lines[0] == "1 GPU: mean utilization 50 %"
    assert lines[-1].startswith("GPU 0")


def test_the_last_use_remains_after_a_failure(pair: Pair) -> None:
    loop = UseLoop(Reader(lambda: (USE,), lost, lambda: (USE,)), 2, pair[0], clock=lambda: 0.0)
    loop.step()
    loop.step()
    lines = loop.render(Terminal())
    assert lines[1] == "Not current: nvmlInit_v2 returned DRIVER_NOT_LOADED"
    assert lines[-1].startswith("GPU 0")
    loop.step()
    assert not any(line.startswith("Not current") for line in loop.render(Terminal()))


def test_a_failure_of_the_first_reading_is_wrapped(pair: Pair) -> None:
    loop = UseLoop(Reader(lost), 2, pair[0], clock=lambda: 0.0)
    loop.step()
    lines = loop.render(Terminal(width=40))
    assert lines == ["The GPUs cannot be read: nvmlInit_v2", "returned DRIVER_NOT_LOADED", ""]


def test_a_driver_that_hangs_stops_neither_the_screen_nor_the_end(pair: Pair) -> None:
    is_reading, may_return = threading.Event(), threading.Event()
    now = [0.0]

    def hang() -> tuple[DeviceUse, ...]:
        is_reading.set()
        may_return.wait()
        raise NodeError("late")

    loop = UseLoop(Reader(hang), 2, pair[0], clock=lambda: now[0])
    loop.start()
    assert is_reading.wait(60)
    now[0] = 11.0
    assert "No response for 11 s" in loop.render(Terminal())[1]
    loop.stop()
    may_return.set()


def test_a_screen_that_has_ended_is_not_an_error(pair: Pair) -> None:
    loop = UseLoop(Reader(lambda: (USE,)), 2, pair[0])
    pair[0].close()
    loop.step()
