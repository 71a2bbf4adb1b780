"""A thread that waits for a file, a timeout or its end."""

import os
import queue
import threading

import pytest

from node_core.host.stoppable_thread import StoppableThread, WakeReason
from tests.descriptors import open_files


def test_a_wait_ends_by_the_file_the_timeout_or_stop() -> None:
    woken: queue.Queue[WakeReason] = queue.Queue()
    reader, writer = os.pipe()
    thread = StoppableThread("waits")

    def run() -> None:
        woken.put(thread.wait(reader, None))
        woken.put(thread.wait(None, 0.0))
        woken.put(thread.wait(None, None))
        woken.put(thread.wait(reader, 60.0))

    thread.start(run)
    os.write(writer, b".")
    assert [woken.get(timeout=60) for _ in range(2)] == [WakeReason.READY, WakeReason.TIMEOUT]
    thread.stop()
    assert [woken.get(timeout=60) for _ in range(2)] == [WakeReason.STOP, WakeReason.STOP], (
        "the end has precedence over the file and the timeout"
    )
    os.close(reader)
    os.close(writer)


def test_a_thread_starts_once_and_leaves_no_descriptors() -> None:
    before, runs = open_files(), []
    thread = StoppableThread("once")

    def run() -> None:
        runs.append(1)
        thread.wait(None, None)

    thread.stop()
    for _ in range(3):
        thread.start(run)
        thread.start(run)
        thread.stop()
        thread.stop()
    assert len(runs) == 3
    assert open_files() <= before
    assert not any(each.name == "once" for each in threading.enumerate())


def test_a_thread_can_wait_for_any_descriptor_number() -> None:
    """Also for numbers above 1023, which select(2) does not support."""
    pipes = [os.pipe() for _ in range(600)]
    thread, woken = StoppableThread("many"), queue.Queue[WakeReason]()
    os.write(pipes[-1][1], b".")
    thread.start(lambda: woken.put(thread.wait(pipes[-1][0], 20)))
    assert woken.get(timeout=60) is WakeReason.READY
    thread.stop()
    for number in (number for pair in pipes for number in pair):
        os.close(number)


def test_stop_abandons_a_thread_that_does_not_end() -> None:
    go = threading.Event()
    thread = StoppableThread("busy")

    def run() -> None:
        go.wait(60)

    thread.start(run)
    (running,) = (each for each in threading.enumerate() if each.name == "busy")
    thread.stop(0.0)
    assert running.is_alive()
    go.set()
    running.join(60)
    assert not running.is_alive()


def test_an_abandoned_thread_ends_also_after_a_new_start() -> None:
    before, go, woken = open_files(), threading.Event(), queue.Queue[WakeReason]()
    thread = StoppableThread("again")

    def linger() -> None:
        go.wait(60)
        woken.put(thread.wait(None, None))

    thread.start(linger)
    (running,) = (each for each in threading.enumerate() if each.name == "again")
    thread.stop(0.0)
    thread.start(lambda: woken.put(thread.wait(None, None)))
    go.set()
    running.join(5)
    assert not running.is_alive(), "the abandoned thread must not wait for the end of the new thread"
    assert woken.get_nowait() is WakeReason.STOP
    assert woken.empty(), "the new thread continues"
    thread.stop()
    assert woken.get_nowait() is WakeReason.STOP
    assert open_files() <= before


def test_a_second_stop_during_the_first_closes_no_other_descriptor() -> None:
    go, ending = threading.Event(), threading.Event()
    thread = StoppableThread("twice")

    def run() -> None:
        thread.wait(None, None)
        ending.set()
        go.wait(60)

    thread.start(run)
    first = threading.Thread(target=thread.stop)
    first.start()
    assert ending.wait(60)
    others = os.pipe()
    thread.stop(0.0)
    for number in others:
        os.fstat(number)
        os.close(number)
    go.set()
    first.join(60)
    assert not first.is_alive()


def test_an_exception_in_the_thread_is_logged_and_a_liveness_problem_until_the_next_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    thread = StoppableThread("watch")
    logged: list[type[BaseException]] = []

    def fail() -> None:
        raise ZeroDivisionError("a fault")

    monkeypatch.setattr(threading, "excepthook", lambda found: logged.append(found.exc_type))
    thread.start(fail)
    thread.stop()
    assert logged == [ZeroDivisionError], "node_core.runtime.log replaces the hook"
    assert thread.liveness_problem() == "the thread watch has ended: ZeroDivisionError: a fault"
    thread.start(lambda: None)
    thread.stop()
    assert thread.liveness_problem() is None


def test_a_thread_that_failed_to_start_can_be_stopped_and_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    before, woken = open_files(), queue.Queue[WakeReason]()
    thread = StoppableThread("late")

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError):
            thread.start(lambda: None)
    thread.stop()
    assert open_files() <= before
    thread.start(lambda: woken.put(thread.wait(None, None)))
    thread.stop()
    assert woken.get_nowait() is WakeReason.STOP
    assert open_files() <= before
