"""The directory watch reports every change, also while the directory is removed, renamed or created."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from node_core.host.inotify import DirectoryWatch, Event, Inotify, nearest_directory
from tests.waiting import until


class Calls:
    """Counts the calls. Tests wait for the next call."""

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
            assert self._called.wait_for(lambda: self.count > before, 60), "no call"


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


def test_created_removed_and_renamed_entries_are_reported(
    tmp_path: Path, calls: Calls, watching: Callable[..., DirectoryWatch]
) -> None:
    assert watching(tmp_path).mode == "inotify"
    with calls.one_more():
        (tmp_path / "a").touch()
    with calls.one_more():
        (tmp_path / "a").rename(tmp_path / "b")
    with calls.one_more():
        (tmp_path / "b").unlink()


def test_a_replaced_entry_is_reported(tmp_path: Path, calls: Calls, watching: Callable[..., DirectoryWatch]) -> None:
    (tmp_path / "kubelet.sock").touch()
    (tmp_path / "new").touch()
    watching(tmp_path)
    with calls.one_more():
        (tmp_path / "new").rename(tmp_path / "kubelet.sock")


def test_a_link_to_a_missing_file_is_reported(
    tmp_path: Path, calls: Calls, watching: Callable[..., DirectoryWatch]
) -> None:
    watching(tmp_path)
    with calls.one_more():
        (tmp_path / "link").symlink_to("missing")


def test_a_directory_that_is_created_later_is_watched(
    tmp_path: Path, calls: Calls, watching: Callable[..., DirectoryWatch]
) -> None:
    path = tmp_path / "lib" / "kubelet" / "device-plugins"
    watching(path)
    with calls.one_more():
        path.mkdir(parents=True)
    with calls.one_more():
        (path / "kubelet.sock").touch()


def test_a_recreated_directory_is_watched_again(
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


def test_the_removal_of_an_open_directory_is_reported(
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


def test_a_moved_directory_is_no_longer_watched(
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


def test_changes_outside_the_directory_are_not_reported(
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


def test_changed_contents_are_reported_with_contents(
    tmp_path: Path, calls: Calls, watching: Callable[..., DirectoryWatch]
) -> None:
    (tmp_path / "a").touch()
    watching(tmp_path, contents=True)
    for text in ("1", "2", "2"):
        with calls.one_more():
            (tmp_path / "a").write_text(text)
    with calls.one_more():
        (tmp_path / "a").chmod(0o600)


def test_changed_contents_are_not_reported_without_contents(
    tmp_path: Path, calls: Calls, watching: Callable[..., DirectoryWatch]
) -> None:
    names: set[str] = set()

    class Recording(Inotify):
        def drain(self) -> frozenset[Event]:
            events = super().drain()
            names.update(name for _, name in events)
            return events

    (tmp_path / "a").touch()
    watching(tmp_path, open_watches=Recording)
    before = calls.count
    (tmp_path / "a").write_text("1")
    with calls.one_more():
        (tmp_path / "b").touch()
    assert calls.count == before + 1
    assert "a" not in names, "the kernel does not wake the thread for contents"


def test_two_writes_with_equal_times_cause_two_calls(
    tmp_path: Path, calls: Calls, watching: Callable[..., DirectoryWatch]
) -> None:
    (tmp_path / "a").touch()
    watching(tmp_path, contents=True)
    for _ in range(100):  # several of them within one tick of the file system's clock
        with calls.one_more():
            (tmp_path / "a").write_text("same")


@pytest.mark.parametrize("contents", [False, True], ids=["entries", "contents"])
def test_changes_next_to_a_missing_directory_are_not_reported(
    tmp_path: Path, calls: Calls, watching: Callable[..., DirectoryWatch], *, contents: bool
) -> None:
    drained = threading.Semaphore(0)
    added: list[Path] = []

    class RecordingInotify(Inotify):
        def add(self, path: Path, *, contents: bool = False) -> int:
            added.append(path)
            return super().add(path, contents=contents)

        def drain(self) -> frozenset[Event]:
            try:
                return super().drain()
            finally:
                drained.release()

    watching(tmp_path / "later", contents=contents, open_watches=RecordingInotify)
    before, watches = calls.count, len(added)
    for name in (
        "one",
        "two",
        "three",
    ):  # a call for the first write would come before the second write is handled
        (tmp_path / name).touch()
        assert drained.acquire(timeout=60)
    assert (calls.count, len(added)) == (before, watches), "no watch is added again"


def test_a_burst_of_changes_causes_few_calls_and_one_after_the_last_change(
    tmp_path: Path, calls: Calls, watching: Callable[..., DirectoryWatch]
) -> None:
    watching(tmp_path, contents=True, min_interval=0.05)
    with calls.one_more():
        for number in range(500):
            (tmp_path / "a").write_text(str(number))
        last = calls.count
    until(lambda: calls.count > last)
    assert calls.count < 100


def test_lost_events_count_as_changes(tmp_path: Path, calls: Calls) -> None:
    class Overflowing(Inotify):
        lost = iter((True,))

        def drain(self) -> frozenset[Event]:
            super().drain()
            return frozenset({(-1, "")}) if next(self.lost, False) else frozenset()

    (tmp_path / "folder").mkdir()
    watch = DirectoryWatch(tmp_path / "folder", calls, contents=True, open_watches=Overflowing)
    with calls.one_more():
        watch.start()
    with calls.one_more():
        (tmp_path / "beside").touch()
    watch.stop()


def test_without_a_free_watch_the_directory_is_polled(
    tmp_path: Path, calls: Calls, watching: Callable[..., DirectoryWatch]
) -> None:
    def exhausted() -> Inotify:
        raise OSError(24, "Too many open files")

    watch = watching(tmp_path, open_watches=exhausted, poll_seconds=0.005)
    assert watch.mode == "polling"
    with calls.one_more():
        (tmp_path / "a").touch()


def test_inotify_is_used_again_when_watches_are_free(
    tmp_path: Path, calls: Calls, watching: Callable[..., DirectoryWatch]
) -> None:
    failures, waiting = iter([True]), threading.Event()

    class Waiting(Inotify):
        def fileno(self) -> int:
            waiting.set()
            return super().fileno()

    def sometimes() -> Inotify:
        if next(failures, False):
            raise OSError(28, "No space left on device")
        return Waiting()

    watch = watching(tmp_path, open_watches=sometimes, poll_seconds=0.001)
    assert waiting.wait(60)
    assert (watch.mode, calls.count) == ("inotify", 1), "the return to inotify is not a change"
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


def count_watches(inotify: Inotify) -> int:
    """The number of watches in the kernel."""
    return Path(f"/proc/self/fdinfo/{inotify.fileno()}").read_text().count("inotify wd")


def test_only_the_directory_and_its_parent_stay_watched(
    tmp_path: Path, calls: Calls, watching: Callable[..., DirectoryWatch]
) -> None:
    opened: list[Inotify] = []

    def open_watches() -> Inotify:
        opened.append(Inotify())
        return opened[-1]

    path = tmp_path / "a" / "b"
    watching(path, open_watches=open_watches)
    assert count_watches(opened[0]) == 2
    with calls.one_more():
        path.mkdir(parents=True)
    (inotify,) = opened
    assert count_watches(inotify) == 2


def test_a_directory_that_cannot_be_watched_and_an_unknown_watch_are_errors(tmp_path: Path) -> None:
    with Inotify() as inotify:
        with pytest.raises(FileNotFoundError):
            inotify.add(tmp_path / "missing")
        with pytest.raises(OSError, match="Invalid argument"):
            inotify.remove(7)


def count_descriptors() -> int:
    """The number of inotify instances of this process. All have the same name, so `open_files` does not distinguish them."""
    count = 0
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            count += "inotify" in str(descriptor.readlink())
    return count


def test_a_watch_that_has_ended_leaves_no_descriptor(tmp_path: Path, calls: Calls) -> None:
    before = count_descriptors()
    for _ in range(3):
        watch = DirectoryWatch(tmp_path, calls)
        with calls.one_more():
            watch.start()
        watch.stop()
    assert count_descriptors() <= before


def test_a_removed_watch_is_also_removed_in_the_kernel(tmp_path: Path) -> None:
    with Inotify() as inotify:
        watch = inotify.add(tmp_path)
        assert count_watches(inotify) == 1
        inotify.remove(watch)
        assert count_watches(inotify) == 0
