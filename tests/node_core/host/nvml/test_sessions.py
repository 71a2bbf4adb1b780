"""Counting a process's NVML sessions, so that one can begin when there is no other."""

import threading
from contextlib import suppress

from node_core.errors import NvmlError
from node_core.host.nvml.sessions import Sessions


def test_without_a_session_nobody_waits() -> None:
    assert Sessions().wait_until_none(0)


def test_a_session_counts_until_it_is_closed_also_by_an_error() -> None:
    sessions = Sessions()
    with suppress(NvmlError), sessions.one(), sessions.one():
        assert not sessions.wait_until_none(0)
        raise NvmlError("nvmlInit_v2", "UNKNOWN")
    assert sessions.wait_until_none(0)


def test_who_waits_goes_on_when_the_last_session_closes() -> None:
    sessions, alone = Sessions(), threading.Event()

    def wait() -> None:
        assert sessions.wait_until_none(20)
        alone.set()

    with sessions.one():
        with sessions.one():
            thread = threading.Thread(target=wait)
            thread.start()
        assert not alone.is_set()
    assert alone.wait(20)
    thread.join()
