"""Counting the NVML sessions of a process."""

import threading
from contextlib import suppress

from gpu_core.nvml.sessions import SessionCounter
from node_core.errors import NvmlError


def test_without_a_session_the_wait_ends_at_once() -> None:
    assert SessionCounter().wait_until_none(0)


def test_a_session_counts_until_it_ends_or_fails() -> None:
    sessions = SessionCounter()
    with suppress(NvmlError), sessions.count(), sessions.count():
        assert not sessions.wait_until_none(0)
        raise NvmlError("nvmlInit_v2", "UNKNOWN")
    assert sessions.wait_until_none(0)


def test_the_wait_ends_when_the_last_session_closes() -> None:
    sessions, wait_alone = SessionCounter(), threading.Event()

    def wait() -> None:
        assert sessions.wait_until_none(20)
        wait_alone.set()

    with sessions.count():
        with sessions.count():
            thread = threading.Thread(target=wait)
            thread.start()
        assert not wait_alone.is_set()
    assert wait_alone.wait(60)
    thread.join()
