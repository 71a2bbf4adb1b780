"""The set of resources, against the stand-in kubelet on real sockets, through everything that kubelets do."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from device_plugin.answers import build_answers
from device_plugin.devices import Plan
from device_plugin.manager import Manager, Timing
from device_plugin.plan.node import fail_devices, plan_devices
from device_plugin.plan.options import PlanOptions
from device_plugin.settings import ResponseSettings
from device_plugin.specs import Surroundings
from node_core.domain.backoff import Backoff
from node_core.domain.inventory import Fault, Gpu, Inventory
from node_core.domain.resources import GPU, ResourceName
from node_core.kubelet.server import UnixServer
from node_core.kubelet.service import registration_handler
from node_core.kubelet.sockets import read_stamp
from node_core.simulate.kubelet import Kubelet
from node_core.simulate.kubelet_devices import Resource

MakeGpu = Callable[..., Gpu]
QUICK = Timing(
    retries=Backoff(first=0.01, most=0.05), hearing=Backoff(first=0.2, most=0.4), chance=lambda: 0.0, register_timeout=2
)
ANSWERS = build_answers(ResponseSettings(), ("envvar",), Surroundings())
NONE = PlanOptions()
MIXED = PlanOptions(mig_strategy="mixed")
ONE_MIG = "nvidia.com/mig-1g.10gb"


class Owner:
    """The thread that owns a manager, as the agent's is: it sleeps until it is notified or something is due."""

    def __init__(self, directory: Path, kubelet_socket: Path, timing: Timing = QUICK) -> None:
        self._woken = threading.Condition()
        self._plan: Plan | None = None
        self._awake = False
        self._stopping = False
        self.checks = 0
        self.manager = Manager(directory, kubelet_socket, self._wake, timing=timing)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def offer(self, plan: Plan) -> None:
        with self._woken:
            self._plan = plan
            self._woken.notify_all()

    def stop(self) -> None:
        with self._woken:
            self._stopping = True
            self._woken.notify_all()
        self._thread.join(10)
        assert not self._thread.is_alive()
        self.manager.close()

    def _wake(self) -> None:
        with self._woken:
            self._awake = True
            self._woken.notify_all()

    def _run(self) -> None:
        while True:
            with self._woken:
                self._woken.wait_for(
                    lambda: self._awake or self._stopping or self._plan is not None, self.manager.next_check(3600)
                )
                if self._stopping:
                    return
                plan, self._plan, self._awake = self._plan, None, False
            self.checks += 1
            if plan is not None:
                self.manager.reconcile(plan, ANSWERS)
            else:
                self.manager.check()


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.002)


@pytest.fixture
def kubelet(directory: Path) -> Iterator[Kubelet]:
    """Not started."""
    kubelet = Kubelet(directory)
    yield kubelet
    kubelet.stop()


@pytest.fixture
def make_owner(directory: Path) -> Iterator[Callable[..., Owner]]:
    owners: list[Owner] = []

    def make(path: Path = directory, timing: Timing = QUICK) -> Owner:
        owners.append(Owner(path, path / "kubelet.sock", timing))
        return owners[-1]

    yield make
    for owner in owners:
        owner.stop()


@pytest.fixture
def owner(make_owner: Callable[..., Owner]) -> Owner:
    return make_owner()


@pytest.fixture
def eight(gpu: MakeGpu) -> Plan:
    return plan_devices(Inventory(driver=None, gpus=tuple(map(gpu, range(8)))), NONE)


def shows(kubelet: Kubelet, *, gpu: tuple[int, int]) -> bool:
    """Whether nvidia.com/gpu is all that the Node has, with this capacity and so many allocatable."""
    return kubelet.resources() == {GPU: Resource(capacity=gpu[0], allocatable=gpu[1])}


def test_what_is_planned_is_what_the_node_has(kubelet: Kubelet, owner: Owner, eight: Plan) -> None:
    kubelet.start()
    owner.offer(eight)
    until(lambda: shows(kubelet, gpu=(8, 8)))
    grant = kubelet.admit("pod", "main", {GPU: 2})
    assert grant.env == {"NVIDIA_VISIBLE_DEVICES": "GPU-0,GPU-1"}
    assert owner.manager.problems() == ()
    assert (owner.manager.registrations, owner.manager.allocations) == ({GPU: 1}, {GPU: 1})


def test_health_goes_and_comes_back(kubelet: Kubelet, owner: Owner, eight: Plan, gpu: MakeGpu) -> None:
    kubelet.start()
    owner.offer(eight)
    until(lambda: shows(kubelet, gpu=(8, 8)))
    lost = Fault(index=3, uuid=gpu(3).uuid, reason="GPU_IS_LOST")
    seven = Inventory(driver=None, gpus=tuple(gpu(index) for index in range(8) if index != 3), faults=(lost,))
    owner.offer(plan_devices(seven, NONE, known=eight))
    until(lambda: shows(kubelet, gpu=(8, 7)))
    for pod in range(7):
        assert "GPU-3" not in kubelet.admit(str(pod), "main", {GPU: 1}).device_ids[GPU]
    owner.offer(fail_devices(eight, "TIMEOUT"))
    until(lambda: shows(kubelet, gpu=(8, 0)))
    owner.offer(eight)
    until(lambda: shows(kubelet, gpu=(8, 8)))
    assert owner.manager.registrations == {GPU: 1}


def test_a_new_mig_layout_brings_the_old_resource_to_zero(
    kubelet: Kubelet, owner: Owner, eight: Plan, gpu: MakeGpu
) -> None:
    kubelet.start()
    owner.offer(eight)
    until(lambda: shows(kubelet, gpu=(8, 8)))
    cut = Inventory(driver=None, gpus=(gpu(0, ["1g.10gb"] * 7),))
    owner.offer(plan_devices(cut, MIXED, known=eight))
    until(lambda: kubelet.resources() == {
        GPU: Resource(capacity=0, allocatable=0), ONE_MIG: Resource(capacity=7, allocatable=7),
    })  # fmt: skip
    owner.offer(eight)
    until(lambda: kubelet.resources() == {
        GPU: Resource(capacity=8, allocatable=8), ONE_MIG: Resource(capacity=0, allocatable=0),
    })  # fmt: skip


def test_a_layout_that_changes_leaves_sockets_streams_and_ids_in_place(
    kubelet: Kubelet, owner: Owner, gpu: MakeGpu, directory: Path
) -> None:
    kubelet.start()
    before = plan_devices(Inventory(driver=None, gpus=(gpu(0, ["1g.10gb"] * 3), gpu(1))), MIXED)
    owner.offer(before)
    until(lambda: kubelet.resources() == {
        GPU: Resource(capacity=1, allocatable=1), ONE_MIG: Resource(capacity=3, allocatable=3),
    })  # fmt: skip
    held = kubelet.admit("pod", "main", {ONE_MIG: 1}).device_ids[ONE_MIG]
    sockets = {path: read_stamp(path) for path in directory.glob("nvidia-*.sock")}
    cut = Inventory(driver=None, gpus=(gpu(0, ["1g.10gb"] * 2 + ["3g.40gb"]), gpu(1)))
    owner.offer(plan_devices(cut, MIXED, known=before))
    until(lambda: kubelet.resources() == {
        GPU: Resource(capacity=1, allocatable=1),
        ONE_MIG: Resource(capacity=2, allocatable=2),
        "nvidia.com/mig-3g.40gb": Resource(capacity=1, allocatable=1),
    })  # fmt: skip
    assert {path: read_stamp(path) for path in sockets} == sockets
    assert all(plugin.streams == 1 for plugin in owner.manager.plugins.values())
    assert owner.manager.registrations == {GPU: 1, ONE_MIG: 1, "nvidia.com/mig-3g.40gb": 1}
    assert set(held) <= {device.id for device in owner.manager.plugins[ResourceName(ONE_MIG)].offer.devices}


def test_no_kubelet_is_a_problem_until_there_is_one(
    kubelet: Kubelet, make_owner: Callable[..., Owner], eight: Plan
) -> None:
    slow = Timing(retries=Backoff(first=3600, most=3600), hearing=QUICK.hearing)
    owner = make_owner(timing=slow)
    owner.offer(eight)
    until(lambda: bool(owner.manager.problems()))
    assert "there is no" in owner.manager.problems()[0]
    kubelet.start()  # the watch alone brings us back: the next try by itself is an hour away
    until(lambda: shows(kubelet, gpu=(8, 8)))
    until(lambda: owner.manager.problems() == ())


def test_no_directory_is_a_problem_until_there_is_one(
    make_owner: Callable[..., Owner], eight: Plan, directory: Path
) -> None:
    path = directory / "var" / "device-plugins"
    owner = make_owner(path, timing=Timing(retries=Backoff(first=3600, most=3600), hearing=QUICK.hearing))
    owner.offer(eight)
    until(lambda: bool(owner.manager.problems()))
    assert "no directory" in owner.manager.problems()[0]
    kubelet = Kubelet(path)
    kubelet.start()
    until(lambda: shows(kubelet, gpu=(8, 8)))
    kubelet.stop()


def test_a_folder_where_no_socket_can_be_made_is_a_problem_and_no_end(
    kubelet: Kubelet, eight: Plan, directory: Path
) -> None:
    kubelet.start()
    owner = Owner(Path("/proc"), directory / "kubelet.sock")
    try:
        with capture_logs() as said:
            owner.offer(eight)
            until(lambda: owner.manager.registration_failures[GPU] > 3)
        assert owner.manager.problems() == ("nvidia.com/gpu: cannot make a socket in /proc: No such file or directory",)
        assert [line["event"] for line in said] == ["resource_not_served"]
        assert (kubelet.resources(), owner.manager.registrations) == ({}, {})
    finally:
        owner.stop()


def test_a_socket_that_cannot_be_served_does_not_keep_the_others_from_it(
    kubelet: Kubelet, owner: Owner, gpu: MakeGpu, directory: Path
) -> None:
    kubelet.start()
    in_the_way = directory / "nvidia-gpu.sock"
    in_the_way.write_text("somebody's")
    gpus = (gpu(0), gpu(1, ["1g.10gb"] * 7))
    owner.offer(plan_devices(Inventory(driver=None, gpus=gpus), MIXED))
    until(lambda: kubelet.resources() == {ONE_MIG: Resource(capacity=7, allocatable=7)})
    (problem,) = owner.manager.problems()
    assert "not a socket" in problem
    in_the_way.unlink()
    until(lambda: GPU in kubelet.resources() and owner.manager.problems() == ())
    assert owner.manager.registrations == {GPU: 1, ONE_MIG: 1}


def test_a_hundred_restarts_of_the_kubelet_lose_nothing(kubelet: Kubelet, owner: Owner, eight: Plan) -> None:
    kubelet.start()
    owner.offer(eight)
    until(lambda: shows(kubelet, gpu=(8, 8)))
    kubelet.admit("pod", "main", {GPU: 3})
    for restart in range(100):
        kubelet.restart()
        if restart % 10 == 0:  # and sometimes it is gone again before we are back
            kubelet.restart()
        until(lambda: shows(kubelet, gpu=(8, 8)))
    assert len(kubelet.admit("other", "main", {GPU: 5}).device_ids[GPU]) == 5
    until(lambda: owner.manager.problems() == ())


def test_our_socket_is_put_back_when_somebody_removes_it(
    kubelet: Kubelet, owner: Owner, eight: Plan, directory: Path
) -> None:
    kubelet.start()
    owner.offer(eight)
    until(lambda: shows(kubelet, gpu=(8, 8)))
    (directory / "nvidia-gpu.sock").unlink()
    until(lambda: owner.manager.registrations == {GPU: 2})
    until(lambda: shows(kubelet, gpu=(8, 8)))
    assert (directory / "nvidia-gpu.sock").is_socket()


def test_a_kubelet_whose_socket_is_new_is_told_even_when_ours_is_still_there(
    make_owner: Callable[..., Owner], eight: Plan, directory: Path
) -> None:
    owner = make_owner(timing=Timing(retries=QUICK.retries, hearing=Backoff(first=3600, most=3600)))
    servers = [UnixServer(directory / name, registration_handler(lambda _: None)) for name in ("kubelet.sock", "new")]
    servers[0].start()
    owner.offer(eight)
    until(lambda: owner.manager.registrations == {GPU: 1})
    servers[1].start()
    (directory / "new").rename(directory / "kubelet.sock")
    until(lambda: owner.manager.registrations == {GPU: 2})
    for server in servers:
        server.stop()


def test_a_kubelet_that_hangs_up_gets_another_registration(kubelet: Kubelet, owner: Owner, eight: Plan) -> None:
    kubelet.start()
    owner.offer(eight)
    until(lambda: shows(kubelet, gpu=(8, 8)))
    kubelet._endpoints[GPU].stop()
    until(lambda: shows(kubelet, gpu=(8, 8)) and owner.manager.registrations == {GPU: 2})


def test_a_kubelet_that_never_asks_is_a_problem(owner: Owner, eight: Plan, directory: Path) -> None:
    deaf = UnixServer(directory / "kubelet.sock", registration_handler(lambda _: None))
    deaf.start()
    owner.offer(eight)
    until(lambda: owner.manager.problems() == ("nvidia.com/gpu: the kubelet does not ask for its devices",))
    deaf.stop()


def test_a_kubelet_that_refuses_is_asked_again(kubelet: Kubelet, owner: Owner, eight: Plan, directory: Path) -> None:
    def refuse(_: object) -> None:
        raise ValueError("not now")

    grumpy = UnixServer(directory / "kubelet.sock", registration_handler(refuse))
    grumpy.start()
    owner.offer(eight)
    until(lambda: owner.manager.registration_failures[GPU] > 3)
    assert "not now" in owner.manager.problems()[0]
    grumpy.stop()
    kubelet.start()
    until(lambda: shows(kubelet, gpu=(8, 8)))


def test_two_plugins_on_one_directory_do_not_fight(
    kubelet: Kubelet, make_owner: Callable[..., Owner], eight: Plan
) -> None:
    kubelet.start()
    first = make_owner()
    first.offer(eight)
    until(lambda: shows(kubelet, gpu=(8, 8)))
    second = make_owner()
    second.offer(eight)
    until(lambda: bool(second.manager.problems()))
    assert "another plugin serves" in second.manager.problems()[0]
    assert shows(kubelet, gpu=(8, 8))
    assert first.manager.registrations == {GPU: 1}
    first.stop()
    until(lambda: second.manager.registrations[GPU] == 1 and shows(kubelet, gpu=(8, 8)))


def test_nothing_happens_while_nothing_changes(kubelet: Kubelet, owner: Owner, eight: Plan) -> None:
    kubelet.start()
    owner.offer(eight)
    until(lambda: shows(kubelet, gpu=(8, 8)))
    until(lambda: owner.manager.next_check(10) == 10)
    owner.offer(eight)
    until(lambda: owner.manager.next_check(10) == 10)
    assert owner.manager.registrations == {GPU: 1}


def test_a_plugin_that_ends_keeps_its_capacity(kubelet: Kubelet, owner: Owner, eight: Plan, directory: Path) -> None:
    kubelet.start()
    owner.offer(eight)
    until(lambda: shows(kubelet, gpu=(8, 8)))
    owner.stop()
    until(lambda: shows(kubelet, gpu=(8, 0)))
    assert not (directory / "nvidia-gpu.sock").exists()


def test_the_end_leaves_no_threads(directory: Path, eight: Plan) -> None:
    before = set(threading.enumerate())
    kubelet = Kubelet(directory)
    kubelet.start()
    owner = Owner(directory, directory / "kubelet.sock")
    owner.offer(eight)
    until(lambda: shows(kubelet, gpu=(8, 8)))
    owner.stop()
    kubelet.stop()
    until(lambda: not set(threading.enumerate()) - before)
