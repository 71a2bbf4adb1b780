"""Attempts in a thread."""

import threading

from mig_manager.attempts import Attempts
from mig_manager.outcome import Applied, Failed, Outcome, Request
from tests.waiting import until

REQUEST = Request(config="a")


def test_the_result_is_returned_once() -> None:
    woken = threading.Event()
    attempts = Attempts(lambda _: Applied(), woken.set)
    attempts.begin(REQUEST)
    until(woken.is_set)
    assert attempts.pop_result() == (REQUEST, Applied())
    assert attempts.pop_result() is None
    assert attempts.current is None


def test_a_thread_that_cannot_start_is_a_failure() -> None:
    def refuse(_: object) -> None:
        raise RuntimeError("can't start new thread")

    attempts = Attempts(lambda _: Applied(), lambda: None, start=refuse)
    attempts.begin(REQUEST)
    result = attempts.pop_result()
    assert result is not None
    assert isinstance(result[1], Failed)


def test_attempts_of_two_agents_of_a_process_exclude_each_other() -> None:
    began, may_end, order = threading.Event(), threading.Event(), []

    def first(_: Request) -> Outcome:
        began.set()
        may_end.wait(60)
        order.append("first")
        return Applied()

    def second(_: Request) -> Outcome:
        order.append("second")
        return Applied()

    before, after = Attempts(first, lambda: None), Attempts(second, lambda: None)
    before.begin(REQUEST)
    began.wait(60)
    after.begin(REQUEST)
    may_end.set()
    until(lambda: after.pop_result() is not None)
    assert order == ["first", "second"]


def test_close_waits_for_the_running_attempt() -> None:
    ended = []

    def run(_: Request) -> Outcome:
        ended.append(True)
        return Applied()

    attempts = Attempts(run, lambda: None)
    attempts.close(is_final=False)
    attempts.begin(REQUEST)
    attempts.close(is_final=False)
    assert ended == [True]


def test_only_the_end_of_the_process_ends_what_the_attempts_need() -> None:
    ends: list[bool] = []
    attempts = Attempts(lambda _: Applied(), lambda: None, end=lambda: ends.append(True))
    attempts.close(is_final=False)
    assert ends == []
    attempts.close(is_final=True)
    assert ends == [True]
