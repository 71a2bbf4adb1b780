"""Handles are given up while somebody asks for it, and taken again: with real files, a clock of our own, and things that hold NVML."""

import fcntl
import os
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from node_core.host.nvml.lock import who_holds
from node_core.host.release_requests import FOLDER, write_request
from node_core.runtime.metrics import Metrics
from node_core.runtime.release import Releases


class Nvml:
    """Something that holds NVML. hangs: it cannot close it. told: what it was told, in order."""

    def __init__(self, *, hangs: bool = False) -> None:
        self.hangs, self.told = hangs, list[str]()

    def release(self) -> bool:
        self.told.append("release")
        return not self.hangs

    def take(self) -> None:
        self.told.append("take")


class Place:
    """now: by the monotonic clock, and as an offset by the wall's. changes: counts how often looks were asked for.

    meanwhile: done once, as soon as the folder was listed the next time.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.now, self.jump = folder, 0.0, 0.0
        self.metrics, self.changes = Metrics(), queue.Queue[int]()
        self.made: list[Releases] = []
        self.meanwhile: Callable[[], object] = lambda: None

    def wall(self) -> float:
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        meanwhile()
        return self._written + self.now + self.jump

    def make(self, program: str = "gfd") -> Releases:
        """A process."""
        made = Releases(self.folder, program, clock=lambda: self.now, wall=self.wall)
        self.made.append(made)
        return made

    def live(self, *held: Nvml, program: str = "gfd") -> Releases:
        made = self.make(program)
        for each in held:
            made.add(each)
        made.begin(self.metrics, lambda: self.changes.put(1))
        return made

    def ask(self, name: str = "me", seconds: float = 60) -> Path:
        path = write_request(self.folder / FOLDER, name, seconds)
        os.utime(path, ns=(0, int((self._written + self.now) * 1e9) + len(self.made)))
        return path

    _written = 1000.0

    @property
    def gauge(self) -> bytes:
        return next(line for line in self.metrics.render().splitlines() if line.startswith(b"gpunode_nvml_released"))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    for each in made.made:
        each.stop()
    timers = [thread for thread in threading.enumerate() if thread.name == "release"]
    for timer in timers:
        timer.join(20)
    assert not any(timer.is_alive() for timer in timers)


def test_a_request_has_everything_given_up_and_its_end_has_it_taken_again(place: Place) -> None:
    looks, events = Nvml(), Nvml()
    releases = place.live(looks, events)
    assert who_holds(place.folder) == ("gfd",)
    request = place.ask()
    with capture_logs() as logs:
        releases.step()
        releases.step()
        assert who_holds(place.folder) == ()
        assert place.gauge.endswith(b" 1.0")
        request.unlink()
        releases.step()
        releases.step()
    assert looks.told == events.told == ["release", "take"]
    assert who_holds(place.folder) == ("gfd",)
    assert place.gauge.endswith(b" 0.0")
    assert place.changes.qsize() == 2
    assert [entry["event"] for entry in logs] == ["nvml_released", "nvml_taken_again"]


def test_a_request_that_nobody_takes_back_ends_by_itself_and_only_once(place: Place) -> None:
    held = Nvml()
    releases = place.live(held)
    place.ask(seconds=60)
    releases.step()
    place.now = 61.0
    releases.step()
    place.jump = -9999.0
    releases.step()
    assert held.told == ["release", "take"]


def test_a_wall_clock_that_jumps_neither_ends_nor_extends_a_request(place: Place) -> None:
    held = Nvml()
    releases = place.live(held)
    place.ask(seconds=60)
    releases.step()
    for place.jump, place.now in ((9999.0, 10.0), (-9999.0, 59.0)):
        releases.step()
        assert releases.is_released
    place.now = 60.0
    releases.step()
    assert not releases.is_released


def test_of_two_requests_the_later_end_counts(place: Place) -> None:
    held = Nvml()
    releases = place.live(held)
    first, second = place.ask("first", 60), place.ask("second", 600)
    releases.step()
    first.unlink()
    releases.step()
    assert releases.is_released
    place.now = 100.0
    releases.step()
    assert releases.is_released
    second.unlink()
    releases.step()
    assert held.told == ["release", "take"]


def test_who_asks_while_handles_are_about_to_be_taken_is_obeyed(place: Place) -> None:
    held = Nvml()
    releases = place.live(held)
    first = place.ask("first")
    releases.step()
    first.unlink()
    place.meanwhile = lambda: place.ask("second")
    releases.step()
    assert (who_holds(place.folder), held.told, releases.is_released) == ((), ["release"], True)
    (place.folder / FOLDER / "second").unlink()
    releases.step()
    assert (who_holds(place.folder), held.told) == (("gfd",), ["release", "take"])


def test_a_process_that_begins_meanwhile_opens_nothing(place: Place) -> None:
    place.ask()
    held, late = Nvml(), Nvml()
    releases = place.live(held)
    releases.add(late)
    assert (held.told[0], late.told) == ("release", ["release"])
    assert who_holds(place.folder) == ()
    (place.folder / FOLDER / "me").unlink()
    releases.step()
    assert (held.told[-1], late.told[-1]) == ("take", "take")
    assert place.changes.qsize() == 2


def test_a_process_that_only_looks_once_obeys_and_leaves_no_trace(place: Place) -> None:
    assert not place.make().is_released
    assert list(place.folder.iterdir()) == []
    place.ask()
    held = Nvml()
    place.make().add(held)
    assert held.told == ["release"]


def test_what_hangs_is_waited_for_and_nobody_is_told_that_the_gpus_are_free(place: Place) -> None:
    stuck, sound = Nvml(hangs=True), Nvml()
    releases = place.live(stuck, sound)
    place.ask()
    releases.step()
    assert (who_holds(place.folder), place.gauge[-3:], sound.told) == (("gfd",), b"0.0", ["release"])
    stuck.hangs = False
    releases.step()
    assert (who_holds(place.folder), place.gauge[-3:]) == ((), b"1.0")


def test_what_is_no_longer_there_is_told_nothing(place: Place) -> None:
    gone = Nvml()
    releases = place.live(gone)
    releases.drop(gone)
    place.ask()
    releases.step()
    assert gone.told == []


def test_garbage_changes_nothing_and_is_said_once(place: Place) -> None:
    held = Nvml()
    releases = place.live(held)
    (place.folder / FOLDER).mkdir()
    (place.folder / FOLDER / "bad").write_bytes(b"\xff rubbish")
    with capture_logs() as logs:
        for _ in range(3):
            releases.step()
    assert held.told == []
    assert [entry["event"] for entry in logs] == ["release_request_ignored"]


def test_while_somebody_holds_the_lock_alone_nothing_is_taken(place: Place) -> None:
    held = Nvml()
    path = place.folder / "nvml.gfd.lock"
    with path.open("w") as file:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX)
        releases = place.live(held)
        assert "take" not in held.told
    releases.step()
    assert held.told[-1] == "take"


def test_the_folder_is_watched_and_the_time_too(tmp_path: Path) -> None:
    """With the real clocks."""
    changes, held = queue.Queue[int](), Nvml()
    told = threading.Semaphore(0)

    def release() -> bool:
        told.release()
        return True

    held.release = release  # type: ignore[method-assign]
    releases = Releases(tmp_path / "run", "gfd")
    releases.add(held)
    releases.begin(Metrics(), lambda: changes.put(1))
    releases.start()
    write_request(tmp_path / "run" / FOLDER, "me", 3600)
    assert told.acquire(timeout=20)
    with suppress(FileNotFoundError):
        (tmp_path / "run" / FOLDER / "me").unlink()
    for _ in ("released", "taken"):
        changes.get(timeout=20)
    write_request(tmp_path / "run" / FOLDER, "short", 1)
    for _ in ("released", "taken"):
        changes.get(timeout=20)
    releases.stop()
    releases.step()
    assert who_holds(tmp_path / "run") == ()
