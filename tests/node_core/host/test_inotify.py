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


def test_what_files_say_is_told_where_that_is_asked_for(
    tmp_path: Path, calls: Calls, watching: Callable[..., DirectoryWatch]
) -> None:
    (tmp_path / "a").touch()
    watching(tmp_path, contents=True)
    for text in ("1", "2", "2"):
        with calls.one_more():
            (tmp_path / "a").write_text(text)
    with calls.one_more():
        (tmp_path / "a").chmod(0o600)


def test_what_files_say_is_not_told_where_only_entries_matter(
    tmp_path: Path, calls: Calls, watching: Callable[..., DirectoryWatch]
) -> None:
    (tmp_path / "a").touch()
    watching(tmp_path)
    before = calls.count
    (tmp_path / "a").write_text("1")
    with calls.one_more():
        (tmp_path / "b").touch()
    assert calls.count == before + 1


def test_two_writes_that_look_alike_on_disk_are_two_calls(
    tmp_path: Path, calls: Calls, watching: Callable[..., DirectoryWatch]
) -> None:
    (tmp_path / "a").touch()
    watching(tmp_path, contents=True)
    for _ in range(100):  # several of them within one tick of the file system's clock
        with calls.one_more():
            (tmp_path / "a").write_text("same")


@pytest.mark.parametrize("contents", [False, True], ids=["entries", "contents"])
def test_what_happens_beside_a_missing_folder_is_heard_and_not_told(
    tmp_path: Path, calls: Calls, watching: Callable[..., DirectoryWatch], *, contents: bool
) -> None:
    drained = threading.Semaphore(0)

    class Told(Inotify):
        def drain(self) -> frozenset[int]:
            try:
                return super().drain()
            finally:
                drained.release()

    watching(tmp_path / "later", contents=contents, open_watches=Told)
    before = calls.count
    for name in ("one", "two"):  # what the first would have made us tell is told before the second is looked at
        (tmp_path / name).touch()
        assert drained.acquire(timeout=10)
    assert calls.count == before


def test_a_burst_is_few_calls_and_the_last_one_is_made(
    tmp_path: Path, calls: Calls, watching: Callable[..., DirectoryWatch]
) -> None:
    watching(tmp_path, contents=True, quiet=0.05)
    with calls.one_more():
        for number in range(500):
            (tmp_path / "a").write_text(str(number))
        last = calls.count
    until(lambda: calls.count > last)
    assert calls.count < 100


def test_events_that_the_kernel_lost_count_as_changes(tmp_path: Path, calls: Calls) -> None:
    class Overflowing(Inotify):
        lost = iter((True,))

        def drain(self) -> frozenset[int]:
            super().drain()
            return frozenset({-1}) if next(self.lost, False) else frozenset()

    (tmp_path / "folder").mkdir()
    watch = DirectoryWatch(tmp_path / "folder", calls, contents=True, open_watches=Overflowing)
    with calls.one_more():
        watch.start()
    with calls.one_more():
        (tmp_path / "beside").touch()
    watch.stop()


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
