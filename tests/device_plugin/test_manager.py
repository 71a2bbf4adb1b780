"""The manager with a simulated kubelet on real sockets."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from device_plugin.allocate.strategies import ResponseOptions
from device_plugin.devices import Plan
from device_plugin.manager import Manager, Timing
from device_plugin.plan.node import plan_devices
from device_plugin.plan.options import PlanOptions
from device_plugin.plan.withhold import global_cause, withhold
from device_plugin.plugin import ResourcePlugin
from device_plugin.response_options import ServedResource
from gpu_core.domain.inventory import Fault, Gpu, Inventory
from gpu_core.domain.resources import GPU, ResourceName
from node_core.domain.backoff import Backoff
from node_core.kubelet.server import UnixServer
from node_core.kubelet.service import registration_methods
from node_core.kubelet.sockets import read_stamp
from simulation.kubelet.devices import Resource
from simulation.kubelet.kubelet import Kubelet
from tests.waiting import until

MakeGpu = Callable[..., Gpu]
QUICK = Timing(
    retries=Backoff(first=0.01, maximum=0.05),
    watch_timeout=Backoff(first=0.2, maximum=0.4),
    chance=lambda: 0.0,
    register_timeout=2,
)
NONE = PlanOptions()
MIXED = PlanOptions(mig_strategy="mixed")
ONE_MIG = "nvidia.com/mig-1g.10gb"


class Owner:
    """A thread that owns a manager, like the agent's thread: it waits for a notification or the next check."""

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
        self._thread.join(60)
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
                offers = plan.resources.items()
                self.manager.reconcile(
                    {name: ServedResource(offer=offer, response_options=ResponseOptions()) for name, offer in offers}
                )
            self.manager.check()


@pytest.fixture
def kubelet(directory: Path) -> Iterator[Kubelet]:
    """A kubelet that is not started."""
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
    """Whether the Node has only nvidia.com/gpu, with this capacity and allocatable number."""
    return kubelet.resources() == {GPU: Resource(capacity=gpu[0], allocatable=gpu[1])}


def test_planned_resources_are_the_capacity_of_the_node(kubelet: Kubelet, owner: Owner, eight: Plan) -> None:
    kubelet.start()
    owner.offer(eight)
    until(lambda: shows(kubelet, gpu=(8, 8)))
    grant = kubelet.admit("pod", "main", {GPU: 2})
    assert grant.env == {"NVIDIA_VISIBLE_DEVICES": "GPU-0,GPU-1"}
    assert owner.manager.problems() == ()
    until(lambda: (owner.manager.registrations, owner.manager.allocations) == ({GPU: 1}, {GPU: 1}))


def test_changes_of_health_reach_the_node(
    kubelet: Kubelet, make_owner: Callable[..., Owner], eight: Plan, gpu: MakeGpu
) -> None:
    owner = make_owner(timing=Timing(retries=QUICK.retries, watch_timeout=Backoff(first=3600, maximum=3600)))
    kubelet.start()
    owner.offer(eight)
    until(lambda: shows(kubelet, gpu=(8, 8)))
    lost = Fault(index=3, uuid=gpu(3).uuid, reason="GPU_IS_LOST")
    seven = Inventory(driver=None, gpus=tuple(gpu(index) for index in range(8) if index != 3), faults=(lost,))
    owner.offer(plan_devices(seven, NONE, known=eight))
    until(lambda: shows(kubelet, gpu=(8, 7)))
    for pod in range(7):
        assert "GPU-3" not in kubelet.admit(str(pod), "main", {GPU: 1}).device_ids[GPU]
    owner.offer(withhold(eight, [global_cause("TIMEOUT")]))
    until(lambda: shows(kubelet, gpu=(8, 0)))
    owner.offer(eight)
    until(lambda: shows(kubelet, gpu=(8, 8)))
    until(lambda: owner.manager.registrations == {GPU: 1})


def test_a_new_mig_layout_sets_the_old_resource_to_zero(
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


def test_a_changed_layout_retains_sockets_streams_and_ids(
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
    assert all(entry.plugin.stream_count == 1 for entry in owner.manager._entries.values())
    until(lambda: owner.manager.registrations == {GPU: 1, ONE_MIG: 1, "nvidia.com/mig-3g.40gb": 1})
    assert set(held) <= {device.id for device in owner.manager._entries[ResourceName(ONE_MIG)].plugin.offer.devices}


def test_a_missing_kubelet_is_a_problem_until_it_starts(
    kubelet: Kubelet, make_owner: Callable[..., Owner], eight: Plan
) -> None:
    slow = Timing(retries=Backoff(first=3600, maximum=3600), watch_timeout=QUICK.watch_timeout)
    owner = make_owner(timing=slow)
    owner.offer(eight)
    until(lambda: bool(owner.manager.problems()))
    assert "does not exist" in owner.manager.problems()[0]
    kubelet.start()  # only the watch can cause the registration: the next retry is in an hour
    until(lambda: shows(kubelet, gpu=(8, 8)))
    until(lambda: owner.manager.problems() == ())


def test_a_missing_folder_is_a_problem_until_it_exists(
    make_owner: Callable[..., Owner], eight: Plan, directory: Path
) -> None:
    path = directory / "var" / "device-plugins"
    owner = make_owner(
        path, timing=Timing(retries=Backoff(first=3600, maximum=3600), watch_timeout=QUICK.watch_timeout)
    )
    owner.offer(eight)
    until(lambda: bool(owner.manager.problems()))
    assert "does not exist" in owner.manager.problems()[0]
    kubelet = Kubelet(path)
    kubelet.start()
    until(lambda: shows(kubelet, gpu=(8, 8)))
    kubelet.stop()


def test_a_folder_without_write_access_is_a_problem_and_not_an_exception(
    kubelet: Kubelet, eight: Plan, directory: Path
) -> None:
    kubelet.start()
    owner = Owner(Path("/proc"), directory / "kubelet.sock")
    try:
        with capture_logs() as logs:
            owner.offer(eight)
            until(lambda: owner.manager.registration_failures[GPU] > 3)
        assert owner.manager.problems() == (
            "nvidia.com/gpu: cannot create a socket in /proc: No such file or directory",
        )
        assert [line["event"] for line in logs] == ["resource_not_served"]
        assert (kubelet.resources(), owner.manager.registrations) == ({}, {})
    finally:
        owner.stop()


def test_a_socket_that_cannot_be_created_does_not_prevent_the_others(
    kubelet: Kubelet, owner: Owner, gpu: MakeGpu, directory: Path
) -> None:
    kubelet.start()
    in_the_way = directory / "nvidia-gpu.sock"
    in_the_way.write_text("of another program")
    gpus = (gpu(0), gpu(1, ["1g.10gb"] * 7))
    owner.offer(plan_devices(Inventory(driver=None, gpus=gpus), MIXED))
    until(lambda: kubelet.resources() == {ONE_MIG: Resource(capacity=7, allocatable=7)})
    (problem,) = owner.manager.problems()
    assert "not a socket" in problem
    in_the_way.unlink()
    until(lambda: GPU in kubelet.resources() and owner.manager.problems() == ())
    until(lambda: owner.manager.registrations == {GPU: 1, ONE_MIG: 1})


@pytest.mark.exhaustive
def test_a_hundred_restarts_of_the_kubelet_lose_nothing(kubelet: Kubelet, owner: Owner, eight: Plan) -> None:
    kubelet.start()
    owner.offer(eight)
    until(lambda: shows(kubelet, gpu=(8, 8)))
    kubelet.admit("pod", "main", {GPU: 3})
    for restart in range(100):
        kubelet.restart()
        if restart % 10 == 0:  # sometimes the kubelet ends again before the registration
            kubelet.restart()
        until(lambda: shows(kubelet, gpu=(8, 8)))
    assert len(kubelet.admit("other", "main", {GPU: 5}).device_ids[GPU]) == 5
    until(lambda: owner.manager.problems() == ())


def test_a_removed_socket_is_created_again(kubelet: Kubelet, owner: Owner, eight: Plan, directory: Path) -> None:
    kubelet.start()
    owner.offer(eight)
    until(lambda: shows(kubelet, gpu=(8, 8)))
    (directory / "nvidia-gpu.sock").unlink()
    until(lambda: owner.manager.registrations == {GPU: 2})
    until(lambda: shows(kubelet, gpu=(8, 8)))
    assert (directory / "nvidia-gpu.sock").is_socket()


def test_a_new_kubelet_gets_a_registration_even_if_the_plugin_socket_remains(
    make_owner: Callable[..., Owner], eight: Plan, directory: Path
) -> None:
    owner = make_owner(timing=Timing(retries=QUICK.retries, watch_timeout=Backoff(first=3600, maximum=3600)))
    servers = [UnixServer(directory / name, registration_methods(lambda _: None)) for name in ("kubelet.sock", "new")]
    servers[0].start()
    owner.offer(eight)
    until(lambda: owner.manager.registrations == {GPU: 1})
    servers[1].start()
    (directory / "new").rename(directory / "kubelet.sock")
    until(lambda: owner.manager.registrations == {GPU: 2})
    for server in servers:
        server.stop()


def test_a_kubelet_that_ends_its_stream_gets_a_new_registration(kubelet: Kubelet, owner: Owner, eight: Plan) -> None:
    kubelet.start()
    owner.offer(eight)
    until(lambda: shows(kubelet, gpu=(8, 8)))
    kubelet._endpoints[GPU].stop()
    until(lambda: shows(kubelet, gpu=(8, 8)) and owner.manager.registrations == {GPU: 2})


def test_a_kubelet_that_never_calls_list_and_watch_is_a_problem(owner: Owner, eight: Plan, directory: Path) -> None:
    deaf = UnixServer(directory / "kubelet.sock", registration_methods(lambda _: None))
    deaf.start()
    owner.offer(eight)
    until(lambda: owner.manager.problems() == ("nvidia.com/gpu: the kubelet does not call ListAndWatch",))
    assert owner.manager.unwatched == (GPU,)
    deaf.stop()


def test_a_refused_registration_is_retried(kubelet: Kubelet, owner: Owner, eight: Plan, directory: Path) -> None:
    def refuse(_: object) -> None:
        raise ValueError("not now")

    grumpy = UnixServer(directory / "kubelet.sock", registration_methods(refuse))
    grumpy.start()
    owner.offer(eight)
    until(lambda: owner.manager.registration_failures[GPU] > 3)
    assert "not now" in owner.manager.problems()[0]
    grumpy.stop()
    kubelet.start()
    until(lambda: shows(kubelet, gpu=(8, 8)))


def test_two_plugins_in_one_folder_do_not_interfere(
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


def test_without_changes_there_are_no_calls(kubelet: Kubelet, owner: Owner, eight: Plan) -> None:
    kubelet.start()
    owner.offer(eight)
    until(lambda: shows(kubelet, gpu=(8, 8)))
    until(lambda: owner.manager.next_check(10) == 10)
    owner.offer(eight)
    until(lambda: owner.manager.next_check(10) == 10)
    until(lambda: owner.manager.registrations == {GPU: 1})


def test_a_plugin_that_ends_retains_its_capacity(kubelet: Kubelet, owner: Owner, eight: Plan, directory: Path) -> None:
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


def test_a_kubelet_that_restarts_during_a_registration_gets_the_resource_at_once(
    kubelet: Kubelet, make_owner: Callable[..., Owner], eight: Plan, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kubelet.start()
    register, restarts = ResourcePlugin.register, [1]

    def register_and_restart(plugin: ResourcePlugin) -> None:
        register(plugin)
        if restarts:
            restarts.pop()
            kubelet.stop()
            kubelet.start()

    monkeypatch.setattr(ResourcePlugin, "register", register_and_restart)
    patient = Timing(watch_timeout=Backoff(first=3600, maximum=3600), chance=lambda: 0.0)
    owner = make_owner(directory, patient)
    owner.offer(eight)
    until(lambda: shows(kubelet, gpu=(8, 8)))
    until(lambda: owner.manager.registrations == {GPU: 2})


def test_a_socket_that_does_not_respond_is_a_problem_until_it_is_stopped(
    kubelet: Kubelet, owner: Owner, eight: Plan
) -> None:
    kubelet.start()
    owner.offer(eight)
    until(lambda: shows(kubelet, gpu=(8, 8)))
    assert owner.manager.sockets_problem() is None
    (plugin,) = (entry.plugin for entry in owner.manager._entries.values())
    assert plugin._server is not None
    assert plugin._server._server is not None
    plugin._server._server.stop(0, 10)
    assert plugin.is_serving
    assert "nvidia-gpu.sock does not respond: UNAVAILABLE" in str(owner.manager.sockets_problem())
    owner.stop()
    assert owner.manager.sockets_problem() is None


def test_the_liveness_check_includes_the_directory_watch(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ZeroDivisionError("a fault of ours")

    manager = Manager(directory, directory / "kubelet.sock", fail, timing=QUICK)
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    manager.check()
    until(lambda: manager.sockets_problem() is not None)
    assert manager.sockets_problem() == "the thread directory-watch has ended: ZeroDivisionError: a fault of ours"
    manager.close()
