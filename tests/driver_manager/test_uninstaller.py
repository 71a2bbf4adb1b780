"""The whole attempt: each action, and an attempt that is interrupted at each step."""

import math
import signal
import sys

import pytest

from driver_manager.cordon import CORDON
from driver_manager.evictor import EvictionPolicy
from driver_manager.plan import Action, WantedDriver
from driver_manager.uninstaller import STOP_SIGNALS
from node_core.errors import DriverError, HostReadError, KubeError
from tests.driver_manager.places import DCGM, LOADED, Killed, Place, pod

OTHER = WantedDriver(digest="b")
STEPS = 12
"""The number of changes that replace the driver of `loaded`."""


def loaded(place: Place) -> Place:
    """A node on which an old driver is loaded, with a workload and a client of others."""
    place.load(LOADED)
    place.install_container()
    place.enable_dcgm()
    place.add_pods([pod("train", gpus=1), pod("web")])
    return place


def assert_replaced(place: Place) -> None:
    """The old driver is gone, the Node is as before, and the DaemonSet controller may start the client again."""
    assert (place.loaded, place.mounts, sorted(path.name for path in place.run.iterdir())) == ([], [], [])
    assert (place.api.node["spec"], place.api.node["metadata"]["annotations"]) == ({}, {})
    assert place.api.node["metadata"]["labels"] == {DCGM: "true"}
    assert [*place.api.pods] == ["web"]
    assert not list((place.base / "run/gpunode/release.d").iterdir())


def test_another_driver_is_replaced(place: Place) -> None:
    assert loaded(place).uninstaller(OTHER).run() is Action.REPLACE
    assert_replaced(place)
    node = "PATCH /api/v1/nodes/n1"
    assert place.effects == [
        *(node, node, "POST /api/v1/namespaces/ml/pods/train/eviction"),
        *(f"delete {name}" for name in ("nvidia_drm", "nvidia_modeset", "nvidia_uvm", "nvidia")),
        *(f"unmount {point}" for point in (place.driver, f"{place.driver}/dev", place.driver)),
        *(node, node),
    ]


def test_the_wanted_driver_and_its_workloads_stay(place: Place) -> None:
    assert loaded(place).uninstaller().run() is Action.SKIP
    assert (place.loaded, place.mounts, [*place.api.pods]) == (sorted(LOADED), [], ["dcgm", "train", "web"])
    assert [path.name for path in place.run.iterdir()] == ["nvidia-driver.state"]
    assert place.api.writes == []


def test_without_a_module_only_mounts_and_files_are_removed(place: Place) -> None:
    place.install_container()
    (place.run / "validations").mkdir()
    (place.run / "validations/.driver-ctr-ready").touch()
    place.add_pods([pod("train", gpus=1)])
    assert place.uninstaller().run() is Action.CLEAN
    assert (place.mounts, list((place.run / "validations").iterdir()), [*place.api.pods]) == ([], [], ["train"])
    assert [path.name for path in place.run.iterdir()] == ["validations"]
    assert place.api.writes == []


def test_nouveau_is_unloaded(place: Place) -> None:
    place.load({"nouveau": 0})
    assert place.uninstaller().run() is Action.CLEAN
    assert place.loaded == []


def test_with_a_driver_of_the_host_nothing_changes(place: Place) -> None:
    loaded(place)
    for name in ("usr/lib64/libnvidia-ml.so.1", "usr/bin/nvidia-smi"):
        (place.base / name).parent.mkdir(parents=True, exist_ok=True)
        (place.base / name).touch()
    assert place.uninstaller(OTHER).run() is Action.STOP
    assert (place.effects, len(place.mounts)) == ([], 3)


@pytest.mark.parametrize("number", range(STEPS))
def test_an_attempt_that_is_killed_at_any_step_is_completed_by_the_next(place: Place, number: int) -> None:
    loaded(place).kill_at = number
    with pytest.raises(Killed):
        place.uninstaller(OTHER).run()
    place.kill_at = None
    assert place.uninstaller().run() in (Action.REPLACE, Action.CLEAN), "also if the old driver is wanted again"
    for request in (place.base / "run/gpunode").glob("release.d/*"):
        request.unlink()  # of the killed process, which expires
    (place.base / "run/gpunode/release.d").mkdir(exist_ok=True)
    assert_replaced(place)


def test_the_number_of_steps_is_that_of_the_previous_test(place: Place) -> None:
    loaded(place).uninstaller(OTHER).run()
    assert len(place.effects) == STEPS


def test_a_busy_module_fails_the_attempt_and_the_node_is_restored(place: Place) -> None:
    loaded(place).users = ("process 7 (python3)",)
    with pytest.raises(DriverError, match=r"in use by .*process 7"):
        place.uninstaller(OTHER).run()
    assert place.loaded == sorted(LOADED)
    assert (place.api.node["spec"], place.api.node["metadata"]["labels"]) == ({}, {DCGM: "true"})
    assert not (place.run / "nvidia-driver.state").exists()


def test_with_auto_drain_a_busy_module_causes_a_drain(place: Place) -> None:
    loaded(place).users = ("process 7",)
    place.on_sleep = lambda: setattr(place, "users", ("process 7",) if "web" in place.api.pods else ())
    place.uninstaller(OTHER, drains=True).run()
    assert (place.loaded, [*place.api.pods]) == ([], [])


def test_with_auto_drain_a_pod_that_does_not_end_causes_a_drain_that_names_the_pod(place: Place) -> None:
    loaded(place).api.protected = {"train"}
    with pytest.raises(DriverError, match="ml/train"):
        place.uninstaller(OTHER, drains=True).run()
    assert "web" not in place.api.pods
    assert CORDON not in place.api.node["metadata"]["annotations"]


def test_without_eviction_the_node_is_not_cordoned(place: Place) -> None:
    loaded(place).uninstaller(OTHER, evicts_gpu_pods=False).run()
    assert (place.loaded, [*place.api.pods]) == ([], ["train", "web"])
    assert not [each for each in place.api.writes if "eviction" in each]


def test_a_node_that_cannot_be_restored_is_an_error_beside_the_first_one(place: Place) -> None:
    loaded(place).users = ("process 7",)
    uninstaller = place.uninstaller(OTHER)

    def fail() -> None:
        if place.now == 9:
            place.api.errors = [KubeError("no answer") for _ in range(20)]

    place.on_sleep = fail
    with pytest.raises(
        DriverError, match=r"process 7.*; the Node n1 is not restored: no answer; the Node n1 is not restored"
    ):
        uninstaller.run()


def test_the_restoring_is_repeated(place: Place) -> None:
    place.api.errors = [KubeError("no answer"), KubeError("no answer")]
    assert place.uninstaller().run() is Action.CLEAN
    assert place.now == 2


def test_a_host_that_is_not_mounted_changes_nothing(place: Place) -> None:
    for folder in ("sys/module", "sys"):
        (place.base / folder).rmdir()
    with pytest.raises(HostReadError, match=r"does not contain the host's /sys .*--host-root"):
        place.uninstaller().run()
    assert place.effects == []


def test_a_signal_ends_the_attempt_and_the_node_is_restored(place: Place) -> None:
    def end() -> None:
        sys.exit(143)

    loaded(place).api.protected, place.on_sleep = {"train"}, end
    with pytest.raises(SystemExit):
        place.uninstaller(OTHER).run()
    assert (place.api.node["spec"], place.api.node["metadata"]["labels"]) == ({}, {DCGM: "true"})


def test_a_signal_while_the_node_is_restored_waits(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a pod that is deleted at this moment leaves the Node cordoned, and no other pod restores it."""
    masks: dict[str, set[int]] = {}
    record = place.effect

    def observe(name: str) -> None:
        record(name)
        masks[name if "PATCH" not in name else f"write {len(place.effects)}"] = signal.pthread_sigmask(
            signal.SIG_BLOCK, ()
        )

    monkeypatch.setattr(place.api, "_effect", observe)
    monkeypatch.setattr(place, "effect", observe)
    loaded(place).uninstaller(OTHER).run()
    delayed = [name for name, mask in masks.items() if mask >= STOP_SIGNALS]
    assert delayed == [f"write {STEPS - 1}", f"write {STEPS}"], "resumes the clients, and uncordons"
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ()) & STOP_SIGNALS


def test_after_a_long_drain_the_agents_are_asked_again_to_close_nvml(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded(place).users = ("process 7",)
    requests = place.base / "run/gpunode/release.d"
    at_delete: list[int] = []

    def expire() -> None:
        for request in requests.iterdir() if place.now > 600 else ():
            request.unlink()
        place.users = ("process 7",) if "web" in place.api.pods else ()
        if place.now > 700:
            place.api.protected.clear()

    place.on_sleep = expire
    place.api.protected = {"web"}
    delete = place.delete

    def observe(name: str) -> None:
        at_delete.append(len([*requests.iterdir()]))
        delete(name)

    monkeypatch.setattr(place, "delete", observe)
    place.uninstaller(OTHER, EvictionPolicy(seconds=math.inf), drains=True).run()
    assert at_delete[-1] == 1
