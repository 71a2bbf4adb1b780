"""Feature files are looked at again when they change and when something in them expires."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nfd_lite.feature_files import Alarm, watch_feature_files
from node_core.host.root import HostRoot

FOLDER = "/etc/features.d"


class Looks:
    """What the files said at each look."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._arrived = threading.Condition()
        self.seen: list[dict[str, str]] = []

    def __call__(self) -> None:
        found = {path.name: path.read_text() for path in self._folder.glob("*")} if self._folder.is_dir() else {}
        with self._arrived:
            self.seen.append(found)
            self._arrived.notify_all()

    def until(self, says: dict[str, str]) -> None:
        with self._arrived:
            assert self._arrived.wait_for(lambda: bool(self.seen) and self.seen[-1] == says, 10), self.seen


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / FOLDER.lstrip("/")


@pytest.fixture
def looks(folder: Path, tmp_path: Path) -> Iterator[Looks]:
    made = Looks(folder)
    watch = watch_feature_files(HostRoot(tmp_path), FOLDER, made)
    watch.start()
    yield made
    watch.stop()


def test_every_way_of_changing_a_file_is_seen(folder: Path, looks: Looks) -> None:
    looks.until({})
    folder.mkdir(parents=True)
    (folder / "a").write_text("1")
    looks.until({"a": "1"})
    (folder / "a").write_text("2")
    looks.until({"a": "2"})
    (folder / ".new").write_text("3")
    (folder / ".new").rename(folder / "a")
    looks.until({"a": "3"})
    (folder / "a").rename(folder / "b")
    looks.until({"b": "3"})
    (folder / "b").unlink()
    looks.until({})


def test_a_folder_that_is_replaced_is_followed(folder: Path, looks: Looks) -> None:
    folder.mkdir(parents=True)
    (folder / "a").write_text("1")
    looks.until({"a": "1"})
    folder.rename(folder.with_name("old"))
    looks.until({})
    folder.mkdir()
    (folder / "a").write_text("2")
    looks.until({"a": "2"})


def test_a_change_of_mode_is_a_change(folder: Path, looks: Looks) -> None:
    folder.mkdir(parents=True)
    (folder / "a").write_text("1")
    looks.until({"a": "1"})
    before = len(looks.seen)
    (folder / "a").chmod(0o600)
    with looks._arrived:
        assert looks._arrived.wait_for(lambda: len(looks.seen) > before, 10)


def test_a_burst_is_few_looks_and_the_last_word_is_heard(folder: Path, looks: Looks) -> None:
    folder.mkdir(parents=True)
    for number in range(500):
        (folder / "a").write_text(str(number))
    looks.until({"a": "499"})
    assert len(looks.seen) < 100


@pytest.fixture
def alarm() -> Iterator[Callable[..., Alarm]]:
    made: list[Alarm] = []

    def start(due: Callable[[], None], now: Callable[[], float]) -> Alarm:
        made.append(Alarm(due, now))
        made[-1].start()
        return made[-1]

    yield start
    for each in made:
        each.stop()
        each.stop()
    assert not any(thread.name == "alarm" for thread in threading.enumerate())


def test_an_alarm_rings_once_for_each_time_it_is_set(alarm: Callable[..., Alarm]) -> None:
    rang = threading.Semaphore(0)
    made = alarm(rang.release, lambda: 100.0)
    made.set(99.0)
    assert rang.acquire(timeout=10)
    made.set(100.0)
    assert rang.acquire(timeout=10)
    assert not rang.acquire(blocking=False)


def test_an_alarm_is_set_anew_and_taken_back(alarm: Callable[..., Alarm]) -> None:
    rang = threading.Event()
    now = [0.0]
    made = alarm(rang.set, lambda: now[0])
    made.set(1000.0)
    made.set(None)
    now[0] = 2000.0
    made.set(3000.0)
    assert not rang.is_set()
    made.set(1500.0)
    assert rang.wait(10)


def test_an_alarm_waits_for_the_clock(alarm: Callable[..., Alarm]) -> None:
    rang = threading.Event()
    times = iter((0.0, 0.001, 0.002))
    alarm(rang.set, lambda: next(times, 0.005)).set(0.005)
    assert rang.wait(10)
