"""The controller: scans, writes, errors and restorations. The program with simulated clusters."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from nfd_lite.topology.__main__ import parse
from nfd_lite.topology.agent import CHANGE, MIN_INTERVAL, NAME, RETRY, SCAN, TopologyController, find_folders
from nfd_lite.topology.node_topology import NodeTopology, TopologyView
from nfd_lite.topology.settings import TopologySettings
from node_core.domain.node import NodeView
from node_core.errors import HostReadError, KubeError, KubeletError, NodeError
from node_core.host.root import HostRoot
from node_core.kubelet import podresources_pb2 as pb
from node_core.runtime.control_loop import Timers
from node_core.runtime.messages import InputsChanged, NodeChanged, NodeUnavailable, Resync, Wake
from node_core.runtime.process import ProcessRunner, Program
from node_core.runtime.services import Services
from simulation.apiserver import ApiServer
from simulation.apiserver.status import ApiError
from tests.nfd_lite.topology.conftest import FakeKubelet
from tests.nfd_lite.topology.test_node_topology import TRAINING, desired
from tests.nfd_lite.topology.test_publisher import NAME as RESOURCE
from tests.nfd_lite.topology.test_publisher import WRITE
from tests.waiting import until


class FakePublisher:
    """Counts writes. live: what is published. error: raised by `publish`."""

    def __init__(self) -> None:
        self.live: NodeTopology | None = None
        self.writes = 0
        self.is_known = True
        self.error: KubeError | None = None
        self.observed: list[TopologyView | None] = []
        self.nodes: list[str] = []

    def observe_node(self, node: NodeView) -> None:
        self.nodes.append(node.uid)

    def observe(self, view: TopologyView | None) -> None:
        self.observed.append(view)

    def refresh(self) -> None:
        if self.error is not None:
            raise self.error

    def publish(self, wanted: NodeTopology) -> bool | None:
        if self.error is not None:
            raise self.error
        if not self.is_known:
            return None
        was_equal, self.live = self.live == wanted, wanted
        self.writes += not was_equal
        return not was_equal


class Stage:
    """A controller with a settable scan and clock."""

    def __init__(self) -> None:
        self.now = 0.0
        self.found: NodeTopology | NodeError = desired()
        self.scans: list[bool] = []
        self.services = Services(clock=lambda: self.now, chance=lambda: 0.0)
        self.timers = Timers(self.services.clock)
        self.publisher = FakePublisher()
        self.controller = TopologyController(
            self.services, self.timers, scan=self._scan, publisher=self.publisher, observed=lambda: None
        )
        self.controller.start()

    def _scan(self, *, reads_config: bool) -> NodeTopology:
        self.scans.append(reads_config)
        if isinstance(self.found, NodeError):
            raise self.found
        return self.found

    def step(self, *messages: Any) -> None:
        """One wake-up of the control loop. Changes of folders arrive after the interval between two scans."""
        if any(isinstance(each, Wake) for each in messages):
            self.now += MIN_INTERVAL
        for message in messages:
            self.controller.handle(message)
        for name in self.timers.pop_due():
            self.controller.timer(name)
        self.controller.reconcile()

    @property
    def problems(self) -> dict[str, str]:
        return {check: why for check, why in self.services.readiness.problems().items() if why}


@pytest.fixture
def stage() -> Stage:
    made = Stage()
    made.step()
    return made


def test_the_first_scan_reads_the_configuration_of_the_kubelet_and_publishes(stage: Stage) -> None:
    assert (stage.scans, stage.publisher.writes, stage.problems) == ([True], 1, {})


def test_a_change_of_the_kubelet_is_published_and_no_change_is_not(stage: Stage) -> None:
    for found in (desired(), desired(TRAINING), desired(TRAINING), desired()):
        stage.found = found
        stage.step(Wake())
    assert stage.publisher.writes == 3
    assert stage.scans == [True, False, False, False, False]


def test_a_pod_that_the_kubelet_lists_a_little_later_is_published(stage: Stage) -> None:
    stage.step(Wake())
    stage.found = desired(TRAINING)
    stage.now += 0.9
    stage.step()
    assert stage.publisher.writes == 1
    stage.now += 0.1
    stage.step()
    assert stage.publisher.live == desired(TRAINING)
    stage.now += 60
    stage.step()
    assert stage.scans == [True, False, False]


def test_changes_soon_after_a_scan_cause_one_scan_at_the_end_of_the_interval(stage: Stage) -> None:
    stage.step(Wake())
    for _ in range(3):
        stage.controller.handle(Wake())
    assert stage.scans == [True, False]
    assert stage.timers.is_set(CHANGE)
    stage.now += MIN_INTERVAL
    stage.step()
    assert stage.scans == [True, False, False]
    assert not stage.timers.is_set(CHANGE)


def test_the_period_reads_the_configuration_again(stage: Stage) -> None:
    stage.step(Resync())
    assert stage.scans == [True, True]


@pytest.mark.parametrize("error", [KubeletError("no kubelet"), HostReadError("no host")])
def test_a_failed_scan_retains_the_object_and_is_repeated(stage: Stage, error: NodeError) -> None:
    stage.found = error
    stage.step(Wake())
    assert stage.problems == {f"{NAME}/scan": str(error)}
    assert stage.publisher.live == desired()
    stage.found = desired(TRAINING)
    stage.now += 60
    stage.step()
    assert stage.publisher.live == desired(TRAINING)
    assert stage.problems == {}


def test_failed_scans_are_repeated_after_increasing_delays(stage: Stage) -> None:
    stage.found = KubeletError("no kubelet")
    delays = []
    for _ in range(8):
        stage.step(Wake())
        delays.append((stage.timers.next_due() or 0.0) - stage.now)
    assert delays == sorted(delays)
    assert (delays[0], delays[-1]) == pytest.approx((0.5, 30.0))
    assert stage.publisher.writes == 1


def test_a_failed_write_is_repeated_after_a_delay(stage: Stage) -> None:
    stage.publisher.error = KubeError("no server", status=500)
    stage.found = desired(TRAINING)
    stage.step(Wake())
    assert stage.problems == {f"{NAME}/published": "no server"}
    stage.publisher.error = None
    stage.step()
    assert stage.publisher.writes == 1, "the delay is not over"
    stage.now += 1
    stage.step()
    assert (stage.publisher.writes, stage.problems) == (2, {})


def test_after_a_failed_write_a_new_state_waits_for_the_end_of_the_delay(stage: Stage) -> None:
    stage.publisher.error = KubeError("no server", status=500)
    stage.found = desired(TRAINING)
    stage.step(Wake())
    stage.publisher.error, stage.found = None, desired(TRAINING, TRAINING)
    stage.step(Wake())
    assert stage.publisher.writes == 1
    stage.now += 1
    stage.step()
    assert (stage.publisher.writes, stage.publisher.live) == (2, stage.found)


def test_an_unknown_object_is_not_ready_and_not_written() -> None:
    stage = Stage()
    stage.publisher.is_known = False
    stage.step()
    assert stage.problems == {f"{NAME}/published": "not completed yet"}
    stage.publisher.is_known = True
    stage.step(InputsChanged())
    assert (stage.publisher.writes, stage.publisher.observed, stage.problems) == (1, [None], {})


def test_the_node_is_passed_on_and_a_missing_node_is_reported(stage: Stage) -> None:
    stage.step(NodeUnavailable(KubeError("no Node", status=404)))
    assert stage.problems == {f"{NAME}/node": "no Node"}
    stage.step(NodeChanged(NodeView(name="n1", uid="u", resource_version="1", labels={})))
    assert (stage.publisher.nodes, stage.problems) == (["u"], {})


def test_a_second_writer_is_answered_less_and_less_often(stage: Stage) -> None:
    """Another updater writes the object every second, for ten minutes."""
    with capture_logs() as logs:
        for _ in range(600):
            stage.publisher.live = None
            stage.now += 1
            stage.step(InputsChanged())
    assert stage.publisher.writes < 40
    assert {entry["event"] for entry in logs} == {"topology_restored"}
    stage.found = desired(TRAINING)
    stage.step(Wake())
    assert stage.publisher.live == desired(TRAINING), "a change does not wait"


def test_a_single_run_succeeds_only_if_it_scanned_and_published() -> None:
    assert Stage().controller.run_once()
    stage = Stage()
    stage.found = KubeletError("no kubelet")
    assert not stage.controller.run_once()
    stage = Stage()
    stage.publisher.error = KubeError("no server")
    assert not stage.controller.run_once()


def test_timers_have_their_names(stage: Stage) -> None:
    stage.timers.set_after(RETRY, 0.0)
    stage.step()
    assert stage.scans == [True]
    stage.timers.set_after(SCAN, 0.0)
    stage.step()
    assert stage.scans == [True, True]


@pytest.mark.parametrize(
    ("group", "followed"),
    [
        ("kubepods.slice", "kubepods.slice/kubepods-burstable.slice"),
        ("kubepods", "kubepods/burstable"),
        ("pids/kubepods.slice", "pids/kubepods.slice/kubepods-besteffort.slice"),
        ("pids/kubepods", "pids/kubepods/besteffort"),
        (
            "kubelet.slice/kubelet-kubepods.slice",
            "kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice",
        ),
        ("kubelet/kubepods", "kubelet/kubepods/burstable"),
    ],
)
def test_the_folders_of_the_kubelet_and_the_control_groups_of_pods_are_followed(
    group: str, followed: str, tmp_path: Path
) -> None:
    groups = tmp_path / "sys/fs/cgroup"
    (groups / group).mkdir(parents=True)
    found = find_folders(TopologySettings(state_dir=Path("/k")), HostRoot(tmp_path))
    assert found[:3] == (Path("/k"), Path("/k/device-plugins"), Path("/k/pods"))
    assert found[3] == groups / group
    assert groups / followed in found
    assert len(found) == 6


def test_without_a_folder_of_the_kubelet_and_control_groups_nothing_is_followed(tmp_path: Path) -> None:
    assert find_folders(TopologySettings(state_dir=None), HostRoot(tmp_path)) == ()


@pytest.fixture
def flags(kubeconfig: Path, kubelet: FakeKubelet, tmp_path: Path) -> list[str]:
    root = tmp_path / "root"
    for number in (0, 1):
        folder = root / f"sys/devices/system/node/node{number}"
        folder.mkdir(parents=True)
        (folder / "cpulist").write_text(f"{number * 2}-{number * 2 + 1}\n")
        (folder / "meminfo").write_text(f"Node {number} MemTotal: 1000 kB\n")
        (folder / "distance").write_text("10 20\n" if number == 0 else "20 10\n")
    (root / "sys/devices/system/node/online").write_text("0-1\n")
    state = tmp_path / "kubelet"
    state.mkdir()
    (root / "sys/fs/cgroup/kubepods/burstable").mkdir(parents=True)
    (state / "config.yaml").write_text("topologyManagerPolicy: single-numa-node\n")
    kubelet.allocatable.cpu_ids.extend([1, 2, 3])
    return [
        "--node-name=n1",
        f"--kubeconfig={kubeconfig}",
        f"--host-root={root}",
        f"--podresources-socket={kubelet.socket}",
        f"--kubelet-state-dir={state}",
        "--http-address=",
        "--lock-dir=",
    ]


def program(*arguments: str) -> Program:
    made = parse(list(arguments))
    assert made is not None
    return made


@pytest.fixture
def running(flags: list[str]) -> Iterator[ProcessRunner]:
    runner = ProcessRunner(program(*flags, "--sleep-interval=0"))
    runner.start()
    yield runner
    runner.stop()


def cpus(server: ApiServer) -> list[str]:
    try:
        obj = server.store.get(RESOURCE, "n1")
    except ApiError:
        return []
    return [
        resource["available"] for zone in obj["zones"] for resource in zone["resources"] if resource["name"] == "cpu"
    ]


@pytest.mark.usefixtures("running")
def test_a_pod_changes_the_object_without_the_period_and_equal_scans_write_nothing(
    server: ApiServer, kubelet: FakeKubelet, tmp_path: Path
) -> None:
    until(lambda: cpus(server) == ["1", "2"])
    container = pb.ContainerResources(name="c", cpu_ids=[2, 3])
    kubelet.pods = [pb.PodResources(name="p", namespace="team", containers=[container])]
    (tmp_path / "kubelet" / "cpu_manager_state").write_text("{}")
    until(lambda: cpus(server) == ["1", "0"])
    kubelet.pods = []
    (tmp_path / "root/sys/fs/cgroup/kubepods/burstable/pod-uid").mkdir()
    until(lambda: cpus(server) == ["1", "2"])
    assert server.requests[WRITE] == 3


@pytest.mark.usefixtures("running")
def test_a_deleted_object_is_created_again(server: ApiServer) -> None:
    until(lambda: cpus(server) == ["1", "2"])
    server.store.delete(RESOURCE, "n1")
    until(lambda: cpus(server) == ["1", "2"])


def test_oneshot_publishes_once(flags: list[str], server: ApiServer) -> None:
    made = program(*flags, "--oneshot")
    assert made.once is not None
    assert made.once(Services())
    assert cpus(server) == ["1", "2"]


def test_without_a_kubelet_oneshot_fails_and_writes_nothing(
    flags: list[str], server: ApiServer, kubelet: FakeKubelet
) -> None:
    kubelet.stop()
    made = program(*flags, "--oneshot")
    assert made.once is not None
    assert not made.once(Services())
    assert cpus(server) == []


def test_the_object_is_printed_without_a_cluster(
    flags: list[str], server: ApiServer, capsys: pytest.CaptureFixture[str]
) -> None:
    made = program(*flags, "--oneshot", "--no-publish", "--kubeconfig=/none")
    assert made.once is not None
    assert made.once(Services())
    assert "name: topologyManagerPolicy\n  value: single-numa-node\n" in capsys.readouterr().out
    assert not server.requests
