"""Releasing and acquiring NVML, with real request files, a simulated clock and simulated users of NVML."""

import fcntl
import gc
import os
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gpu_core.host.release_requests import FOLDER, write_request
from gpu_core.nvml.lock import list_holders
from gpu_core.release import RETRY, NvmlReleaseController
from node_core.runtime.metrics import Metrics


class User:
    """A user of NVML. hangs: its session cannot be closed. calls: the names of called methods, in order."""

    def __init__(self, *, hangs: bool = False) -> None:
        self.hangs, self.calls = hangs, list[str]()

    def release(self) -> bool:
        self.calls.append("release")
        return not self.hangs

    def acquire(self) -> None:
        self.calls.append("acquire")


class Place:
    """now: seconds of the monotonic clock. jump: additional seconds of the wall clock. changes: one item for each requested discovery.

    meanwhile: called once, at the next listing of the folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.now, self.jump = folder, 0.0, 0.0
        self.metrics, self.changes = Metrics(), queue.Queue[int]()
        self.made: list[NvmlReleaseController] = []
        self.meanwhile: Callable[[], object] = lambda: None

    def wall(self) -> float:
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        meanwhile()
        return self._written + self.now + self.jump

    def make(self, program: str = "gfd") -> NvmlReleaseController:
        """The release controller of a process."""
        made = NvmlReleaseController(self.folder, program, clock=lambda: self.now, wall=self.wall)
        self.made.append(made)
        return made

    def live(self, *user: User, program: str = "gfd") -> NvmlReleaseController:
        made = self.make(program)
        for each in user:
            made.add(each)
        made.activate(self.metrics, lambda: self.changes.put(1))
        return made

    def request(self, name: str = "me", seconds: float = 60) -> Path:
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
        timer.join(60)
    assert not any(timer.is_alive() for timer in timers)


def has_retry(controller: NvmlReleaseController) -> bool:
    """Whether the next step is due after RETRY."""
    return controller._timer is not None and controller._timer.interval == RETRY


def test_a_request_releases_nvml_until_its_end(place: Place) -> None:
    source, events = User(), User()
    controller = place.live(source, events)
    assert list_holders(place.folder) == ("gfd",)
    path = place.request()
    with capture_logs() as logs:
        controller.step()
        controller.step()
        assert list_holders(place.folder) == ()
        assert place.gauge.endswith(b" 1.0")
        path.unlink()
        controller.step()
        controller.step()
    assert source.calls == events.calls == ["release", "acquire"]
    assert list_holders(place.folder) == ("gfd",)
    assert place.gauge.endswith(b" 0.0")
    assert place.changes.qsize() == 2
    assert [entry["event"] for entry in logs] == ["nvml_released", "nvml_reacquired"]


def test_during_a_release_the_next_step_is_at_the_end_of_the_request(place: Place) -> None:
    user = User()
    controller = place.live(user)
    place.request(seconds=60)
    for _ in range(2):
        controller.step()
        assert controller._timer is not None
        assert controller._timer.interval == pytest.approx(60.0, abs=1.0)


def test_an_expired_request_ends_once(place: Place) -> None:
    user = User()
    controller = place.live(user)
    place.request(seconds=60)
    controller.step()
    place.now = 61.0
    controller.step()
    place.jump = -9999.0
    controller.step()
    assert user.calls == ["release", "acquire"]


def test_a_change_of_the_wall_clock_neither_ends_nor_extends_a_request(place: Place) -> None:
    user = User()
    controller = place.live(user)
    place.request(seconds=60)
    controller.step()
    for place.jump, place.now in ((9999.0, 10.0), (-9999.0, 59.0)):
        controller.step()
        assert controller.is_released
    place.now = 60.0
    controller.step()
    assert not controller.is_released


def test_the_last_request_ends_the_release(place: Place) -> None:
    user = User()
    controller = place.live(user)
    first, second = place.request("first", 60), place.request("second", 600)
    controller.step()
    first.unlink()
    controller.step()
    assert controller.is_released
    place.now = 100.0
    controller.step()
    assert controller.is_released
    second.unlink()
    controller.step()
    assert user.calls == ["release", "acquire"]


def test_a_request_that_arrives_during_acquire_is_obeyed(place: Place) -> None:
    user = User()
    controller = place.live(user)
    first = place.request("first")
    controller.step()
    first.unlink()
    place.meanwhile = lambda: place.request("second")
    controller.step()
    assert (list_holders(place.folder), user.calls, controller.is_released) == ((), ["release"], True)
    assert has_retry(controller)
    (place.folder / FOLDER / "second").unlink()
    controller.step()
    assert controller._timer is None, "no step is due after the release"
    assert (list_holders(place.folder), user.calls) == (("gfd",), ["release", "acquire"])


def test_a_process_that_starts_during_a_release_opens_nothing(place: Place) -> None:
    place.request()
    user, late = User(), User()
    controller = place.live(user)
    controller.add(late)
    assert (user.calls[0], late.calls) == ("release", ["release"])
    assert list_holders(place.folder) == ()
    (place.folder / FOLDER / "me").unlink()
    controller.step()
    assert (user.calls[-1], late.calls[-1]) == ("acquire", "acquire")
    assert place.changes.qsize() == 2


def test_a_process_that_runs_once_obeys_a_request_and_writes_no_file(place: Place) -> None:
    assert not place.make().is_released
    assert list(place.folder.iterdir()) == []
    place.request()
    user = User()
    place.make().add(user)
    assert user.calls == ["release"]


def test_a_hanging_user_delays_the_release(place: Place) -> None:
    hanging, working = User(hangs=True), User()
    controller = place.live(hanging, working)
    place.request()
    controller.step()
    assert (list_holders(place.folder), place.gauge[-3:], working.calls) == (("gfd",), b"0.0", ["release"])
    hanging.hangs = False
    controller.step()
    assert (list_holders(place.folder), place.gauge[-3:]) == ((), b"1.0")


def test_a_deleted_user_is_not_called(place: Place) -> None:
    deleted = User()
    controller, calls = place.live(deleted), deleted.calls
    del deleted
    gc.collect()
    place.request()
    controller.step()
    assert calls == []


def test_an_invalid_request_is_ignored_and_logged_once(place: Place) -> None:
    user = User()
    controller = place.live(user)
    (place.folder / FOLDER).mkdir()
    (place.folder / FOLDER / "bad").write_bytes(b"\xff rubbish")
    with capture_logs() as logs:
        for _ in range(3):
            controller.step()
    assert user.calls == []
    assert [entry["event"] for entry in logs] == ["release_request_ignored"]


def test_nvml_is_not_acquired_while_another_process_has_the_exclusive_lock(place: Place) -> None:
    user = User()
    path = place.folder / "nvml.gfd.lock"
    with path.open("w") as file:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX)
        controller = place.live(user)
        assert "acquire" not in user.calls
        assert has_retry(controller)
    controller.step()
    assert user.calls[-1] == "acquire"


def test_a_new_file_and_the_end_of_a_request_are_noticed(tmp_path: Path) -> None:
    """With real clocks."""
    changes, user = queue.Queue[int](), User()
    calls = threading.Semaphore(0)

    def release() -> bool:
        calls.release()
        return True

    user.release = release  # type: ignore[method-assign]
    controller = NvmlReleaseController(tmp_path / "run", "gfd")
    controller.add(user)
    controller.activate(Metrics(), lambda: changes.put(1))
    controller.start()
    write_request(tmp_path / "run" / FOLDER, "me", 3600)
    assert calls.acquire(timeout=60)
    with suppress(FileNotFoundError):
        (tmp_path / "run" / FOLDER / "me").unlink()
    for _ in ("released", "acquired"):
        changes.get(timeout=60)
    write_request(tmp_path / "run" / FOLDER, "short", 1)
    for _ in ("released", "acquired"):
        changes.get(timeout=60)
    controller.stop()
    controller.step()
    assert list_holders(tmp_path / "run") == ()
