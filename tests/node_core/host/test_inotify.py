"""The directory watch tells of every change, whatever happens to the directory."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from node_core.host.inotify import DirectoryWatch, Inotify, nearest_directory


class Calls:
    """Counts, and lets tests wait for the next call."""

    def __init__(self) -> None:
        self.count = 0
        self._called = threading.Condition()

    def __call__(self) -> None:
        with self._called:
            self.count += 1
            self._called.notify_all()

    @contextmanager
    def one_more(self) -> Iterator[None]:
        before = self.count
        yield
        with self._called:
            assert self._called.wait_for(lambda: self.count > before, 10), "no call"


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.002)


@pytest.fixture
def calls() -> Calls:
    return Calls()


@pytest.fixture
def watching(calls: Calls) -> Iterator[Callable[..., DirectoryWatch]]:
    watches: list[DirectoryWatch] = []

    def start(path: Path, **edges: Any) -> DirectoryWatch:
        watch = DirectoryWatch(path, calls, **edges)
        watches.append(watch)
        with calls.one_more():
            watch.start()
        return watch

    yield start
    for watch in watches:
        watch.stop()


def test_entries_that_come_go_and_are_renamed_are_told(
    tmp_path: Path, calls: Calls, watching: Callable[..., DirectoryWatch]
) -> None:
    assert watching(tmp_path).mode == "inotify"
    with calls.one_more():
        (tmp_path / "a").touch()
    with calls.one_more():
        (tmp_path / "a").rename(tmp_path / "b")
    with calls.one_more():
        (tmp_path / "b").unlink()


def test_an_entry_that_is_replaced_is_told(
    tmp_path: Path, calls: Calls, watching: Callable[..., DirectoryWatch]
) -> None:
    (tmp_path / "kubelet.sock").touch()
    (tmp_path / "new").touch()
    watching(tmp_path)
    with calls.one_more():
        (tmp_path / "new").rename(tmp_path / "kubelet.sock")


def test_a_directory_that_comes_later_is_watched(
    tmp_path: Path, calls: Calls, watching: Callable[..., DirectoryWatch]
) -> None:
    path = tmp_path / "lib" / "kubelet" / "device-plugins"
    watching(path)
    with calls.one_more():
        path.mkdir(parents=True)
    with calls.one_more():
        (path / "kubelet.sock").touch()


def test_a_directory_that_is_made_anew_is_watched_again(
    tmp_path: Path, calls: Calls, watching: Callable[..., DirectoryWatch]
) -> None:
    path = tmp_path / "device-plugins"
    path.mkdir()
    watching(path)
    for _ in range(5):
        with calls.one_more():
            path.rmdir()
        with calls.one_more():
            path.mkdir()
        with calls.one_more():
            (path / "kubelet.sock").touch()
        with calls.one_more():
            (path / "kubelet.sock").unlink()


def test_a_directory_that_somebody_holds_open_is_seen_to_go(
    tmp_path: Path, calls: Calls, watching: Callable[..., DirectoryWatch]
) -> None:
    path = tmp_path / "device-plugins"
    path.mkdir()
    held = os.open(path, os.O_RDONLY)
    watching(path)
    with calls.one_more():
        path.rmdir()
    with calls.one_more():
        path.mkdir()
    os.close(held)


def test_a_directory_that_is_moved_away_is_left(
    tmp_path: Path, calls: Calls, watching: Callable[..., DirectoryWatch]
) -> None:
    path = tmp_path / "device-plugins"
    path.mkdir()
    watching(path)
    with calls.one_more():
        path.rename(tmp_path / "old")
    with calls.one_more():
        path.mkdir()
    with calls.one_more():
        (path / "kubelet.sock").touch()


def test_what_happens_beside_the_directory_is_not_told(
    tmp_path: Path, calls: Calls, watching: Callable[..., DirectoryWatch]
) -> None:
    path = tmp_path / "device-plugins"
    path.mkdir()
    watching(path)
    before = calls.count
    (tmp_path / "pods").mkdir()
    with calls.one_more():
        (path / "end").touch()
    assert calls.count == before + 1


def test_no_watch_left_means_looking_now_and_then(
    tmp_path: Path, calls: Calls, watching: Callable[..., DirectoryWatch]
) -> None:
    def exhausted() -> Inotify:
        raise OSError(24, "Too many open files")

    watch = watching(tmp_path, open_watches=exhausted, poll_seconds=0.005)
    assert watch.mode == "polling"
    with calls.one_more():
        (tmp_path / "a").touch()


def test_inotify_is_taken_up_again_when_there_are_watches(
    tmp_path: Path, calls: Calls, watching: Callable[..., DirectoryWatch]
) -> None:
    failures = iter([True])

    def sometimes() -> Inotify:
        if next(failures, False):
            raise OSError(28, "No space left on device")
        return Inotify()

    watch = watching(tmp_path, open_watches=sometimes, poll_seconds=0.001)
    until(lambda: watch.mode == "inotify")
    with calls.one_more():
        (tmp_path / "a").touch()


def test_stopping_ends_the_thread_and_can_be_repeated(tmp_path: Path) -> None:
    watch = DirectoryWatch(tmp_path, lambda: None)
    watch.stop()
    for _ in range(3):
        watch.start()
        watch.start()
        watch.stop()
        watch.stop()
    assert not [thread for thread in threading.enumerate() if thread.name == "directory-watch"]


def test_the_nearest_directory_is_never_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert nearest_directory(tmp_path / "file" / "x") == tmp_path
    assert nearest_directory(tmp_path) == tmp_path
