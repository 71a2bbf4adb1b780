"""A thread that waits: for a file, for a time, for its end."""

import os
import queue
import threading
from pathlib import Path

from node_core.host.stoppable import StoppableThread, Woken


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_wait_ends_with_the_file_the_time_or_the_end() -> None:
    woken: queue.Queue[Woken] = queue.Queue()
    reader, writer = os.pipe()
    thread = StoppableThread("waits")

    def run() -> None:
        woken.put(thread.wait(reader, None))
        woken.put(thread.wait(None, 0.0))
        woken.put(thread.wait(None, None))
        woken.put(thread.wait(reader, 60.0))

    thread.start(run)
    os.write(writer, b".")
    assert [woken.get(timeout=20) for _ in range(2)] == [Woken.READY, Woken.TIME]
    thread.stop()
    assert [woken.get(timeout=20) for _ in range(2)] == [Woken.END, Woken.END], "the end comes before all else"
    os.close(reader)
    os.close(writer)


def test_it_starts_once_ends_whenever_and_leaves_nothing() -> None:
    before, runs = descriptors(), []
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
    assert (len(runs), descriptors()) == (3, before)
    assert not any(each.name == "once" for each in threading.enumerate())


def test_it_can_wait_for_files_of_any_number() -> None:
    """Also for those above 1023, which select(2) cannot take."""
    pipes = [os.pipe() for _ in range(600)]
    thread, woken = StoppableThread("many"), queue.Queue[Woken]()
    os.write(pipes[-1][1], b".")
    thread.start(lambda: woken.put(thread.wait(pipes[-1][0], 20)))
    assert woken.get(timeout=20) is Woken.READY
    thread.stop()
    for number in (number for pair in pipes for number in pair):
        os.close(number)


def test_a_thread_that_does_not_end_is_left_behind() -> None:
    go = threading.Event()
    thread = StoppableThread("busy")

    def run() -> None:
        go.wait(20)

    thread.start(run)
    (running,) = (each for each in threading.enumerate() if each.name == "busy")
    thread.stop(0.0)
    assert running.is_alive()
    go.set()
    running.join(20)
    assert not running.is_alive()


def test_a_thread_that_was_left_behind_ends_also_after_a_later_start() -> None:
    before, go, woken = descriptors(), threading.Event(), queue.Queue[Woken]()
    thread = StoppableThread("again")

    def linger() -> None:
        go.wait(20)
        woken.put(thread.wait(None, None))

    thread.start(linger)
    (running,) = (each for each in threading.enumerate() if each.name == "again")
    thread.stop(0.0)
    thread.start(lambda: woken.put(thread.wait(None, None)))
    go.set()
    running.join(5)
    assert not running.is_alive(), "it waits for the end of the later one"
    assert woken.get_nowait() is Woken.END
    assert woken.empty(), "the later one goes on"
    thread.stop()
    assert (woken.get_nowait(), descriptors()) == (Woken.END, before)


def test_a_second_end_during_the_first_closes_nothing_of_others() -> None:
    go, ending = threading.Event(), threading.Event()
    thread = StoppableThread("twice")

    def run() -> None:
        thread.wait(None, None)
        ending.set()
        go.wait(20)

    thread.start(run)
    first = threading.Thread(target=thread.stop)
    first.start()
    assert ending.wait(20)
    others = os.pipe()
    thread.stop(0.0)
    for number in others:
        os.fstat(number)
        os.close(number)
    go.set()
    first.join(20)
    assert not first.is_alive()
