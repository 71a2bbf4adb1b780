"""Pausing GPU clients, and closing NVML in the agents of this node."""

import pytest

from driver_manager.clients import pause_clients
from gpu_core.nvml.lock import NvmlLock
from node_core.errors import DriverError
from tests.driver_manager.places import DCGM, Place


def requests(place: Place) -> list[str]:
    folder = place.base / "run/gpunode/release.d"
    return [path.name for path in folder.iterdir()] if folder.exists() else []


def test_only_components_that_a_label_enables_are_paused(place: Place) -> None:
    place.enable_dcgm()
    uninstaller = place.uninstaller()
    pause_clients(uninstaller.pause, uninstaller.waiter)
    assert place.api.node["metadata"]["labels"] == {DCGM: "paused-for-driver-upgrade"}
    assert not place.api.pods


def test_without_such_labels_nothing_is_written(place: Place) -> None:
    uninstaller = place.uninstaller()
    pause_clients(uninstaller.pause, uninstaller.waiter)
    assert place.api.writes == []


def test_a_client_that_does_not_end_is_named(place: Place) -> None:
    place.enable_dcgm()
    uninstaller, running = place.uninstaller(), dict(place.api.pods)
    place.api._running = lambda: list(running.values())  # type: ignore[method-assign]
    with pytest.raises(DriverError, match="did not end within 300 s: ml/dcgm"):
        pause_clients(uninstaller.pause, uninstaller.waiter)


def test_agents_are_asked_to_close_nvml_until_the_end(place: Place) -> None:
    lock = NvmlLock(place.base / "run/gpunode", "gfd")
    assert lock.acquire()
    asked: list[list[str]] = []

    def close() -> None:
        asked.append(requests(place))
        lock.release()

    place.on_sleep = close
    release = place.uninstaller().release
    release.begin()
    assert asked == [[release.name]]
    release.end()
    assert requests(place) == []


def test_an_agent_that_hangs_does_not_stop_the_attempt(place: Place) -> None:
    lock = NvmlLock(place.base / "run/gpunode", "gfd")
    assert lock.acquire()
    place.uninstaller().release.begin()
    assert place.now == 60
    lock.release()


def test_a_folder_that_cannot_be_written_is_named(place: Place) -> None:
    (place.base / "run/gpunode/release.d").write_text("")
    with pytest.raises(DriverError, match=r"release.d .*mount"):
        place.uninstaller().release.begin()
