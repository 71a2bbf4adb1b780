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


class Holder:
    """A holder of a session. before_close: called before the session closes."""

    def __init__(self, sessions: SessionCounter) -> None:
        self.sessions = sessions
        self.requested, self.opened = threading.Event(), threading.Event()
        self.sessions.add_holder(self)
        self.thread = threading.Thread(target=self.run)

    def yield_session(self) -> None:
        self.requested.set()

    def run(self) -> None:
        with self.sessions.count():
            self.opened.set()
            assert self.requested.wait(60)
        with self.sessions.count():
            pass


def test_a_holder_closes_its_session_for_one_that_waits_and_opens_another_one_afterwards() -> None:
    sessions = SessionCounter()
    holder = Holder(sessions)
    holder.thread.start()
    assert holder.opened.wait(60)
    assert sessions.wait_until_none(60)
    holder.thread.join(60)
    assert not holder.thread.is_alive()


def test_without_an_open_session_no_holder_is_called() -> None:
    sessions = SessionCounter()
    holder = Holder(sessions)
    assert sessions.wait_until_none(0)
    assert not holder.requested.is_set()


def test_no_session_opens_while_one_waits() -> None:
    sessions, order = SessionCounter(), list[str]()
    waiting, closing = threading.Event(), threading.Event()

    class Last:
        def yield_session(self) -> None:
            waiting.set()

    def hold() -> None:
        with sessions.count():
            assert closing.wait(60)
            order.append("closed")

    def open_late() -> None:
        assert waiting.wait(60)
        with sessions.count():
            order.append("opened")

    last = Last()
    sessions.add_holder(last)
    threads = [threading.Thread(target=target) for target in (hold, open_late)]
    for thread in threads:
        thread.start()
    while not sessions.is_only_session:
        threading.Event().wait(0.001)

    def wait() -> None:
        assert sessions.wait_until_none(60)

    waiter = threading.Thread(target=wait)
    waiter.start()
    assert waiting.wait(60)
    closing.set()
    for thread in (*threads, waiter):
        thread.join(60)
    assert order == ["closed", "opened"]
