"""Which pods have which devices, while kubelets answer, hang, restart and change their checkpoint."""

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gpu_core.pods.checkpoint import CHECKPOINT
from gpu_core.pods.holders import PodIdentity
from gpu_exporter.pods.monitor import STALE_SECONDS, PodMonitor, PodsSnapshot
from node_core.errors import KubeletError
from node_core.host.atomic_write import write_atomically
from node_core.kubelet.podresources import PodDevices
from node_core.runtime.services import Services
from tests.gpu_core.pods.nodes import pod
from tests.waiting import until

IDENTITY = PodIdentity(uid="uid-a", namespace="team", name="a")


def write_checkpoint(folder: Path, uid: str = "uid-a", device: str = "GPU-0") -> None:
    entry = {"PodUID": uid, "ContainerName": "main", "ResourceName": "r", "DeviceIDs": {"0": [device]}}
    write_atomically(folder / CHECKPOINT, json.dumps({"Data": {"PodDeviceEntries": [entry]}}))


class Kubelet:
    """pods: the response, or an error. before_response: called during each request."""

    def __init__(self) -> None:
        self.pods: tuple[PodDevices, ...] | KubeletError = (pod("a", "GPU-0"),)
        self.requests = 0
        self.before_response: Callable[[], None] = lambda: None

    def __call__(self) -> tuple[PodDevices, ...]:
        self.requests += 1
        self.before_response()
        if isinstance(self.pods, KubeletError):
            raise self.pods
        return self.pods


class Clock:
    def __init__(self) -> None:
        self.now = 5000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def kubelet() -> Kubelet:
    return Kubelet()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def services(clock: Clock) -> Services:
    return Services(clock=clock)


@pytest.fixture
def monitor(kubelet: Kubelet, services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PodMonitor:
    monkeypatch.setattr("gpu_exporter.pods.monitor.MIN_INTERVAL", 0.0)
    return PodMonitor("gpu-exporter", services, list_pods=kubelet, folder=tmp_path)


def known(services: Services) -> bool:
    return b'gpunode_pod_devices_known{agent="gpu-exporter"} 1.0' in services.metrics.render()


def test_nothing_is_known_before_the_first_response(monitor: PodMonitor) -> None:
    assert monitor.snapshot() == PodsSnapshot()


def test_pods_have_their_devices_and_uids(
    monitor: PodMonitor, kubelet: Kubelet, services: Services, tmp_path: Path
) -> None:
    write_checkpoint(tmp_path)
    monitor.step()
    assert monitor.snapshot() == PodsSnapshot(pods=(pod("a", "GPU-0"),), identities=(IDENTITY,), is_known=True)
    assert (kubelet.requests, known(services)) == (1, True)


def test_an_equal_response_is_the_same_snapshot(monitor: PodMonitor, kubelet: Kubelet) -> None:
    monitor.step()
    first = monitor.snapshot()
    kubelet.pods = (pod("a", "GPU-0"),)
    monitor.step()
    assert monitor.snapshot() is first


def test_after_an_error_the_last_response_is_used_for_a_limited_time(
    monitor: PodMonitor, kubelet: Kubelet, clock: Clock, services: Services
) -> None:
    monitor.step()
    last, kubelet.pods = monitor.snapshot(), KubeletError("no kubelet")
    for now, expected in [(0.0, last), (STALE_SECONDS, last), (STALE_SECONDS + 1, PodsSnapshot())]:
        clock.now = 5000.0 + now
        monitor.step()
        assert monitor.snapshot() == expected
        assert services.readiness.problems() == {"gpu-exporter/pod-resources": "no kubelet"}
        assert known(services) is expected.is_known
    assert b'gpunode_errors_total{agent="gpu-exporter",check="pod-resources"} 3.0' in services.metrics.render()
    kubelet.pods = (pod("b", "GPU-0"),)
    monitor.step()
    assert monitor.snapshot().pods == kubelet.pods
    assert services.readiness.problems() == {"gpu-exporter/pod-resources": None}


def test_a_checkpoint_that_changes_during_the_request_is_not_used_with_its_response(
    monitor: PodMonitor, kubelet: Kubelet, tmp_path: Path
) -> None:
    """The list still has pod a, and the new checkpoint has pod b with the same device."""
    kubelet.before_response = lambda: write_checkpoint(tmp_path, "uid-b")
    monitor.step()
    assert monitor.snapshot() == PodsSnapshot(pods=(pod("a", "GPU-0"),), is_known=True)
    kubelet.before_response = lambda: None
    kubelet.pods = (pod("b", "GPU-0"),)
    monitor.step()
    assert monitor.snapshot().identities == (PodIdentity(uid="uid-b", namespace="team", name="b"),)


def test_a_damaged_checkpoint_is_one_warning_and_costs_the_uids_alone(monitor: PodMonitor, tmp_path: Path) -> None:
    (tmp_path / CHECKPOINT).write_text("{")
    with capture_logs() as logs:
        monitor.step()
        monitor.step()
    assert [line["event"] for line in logs] == ["checkpoint_unreadable"]
    assert monitor.snapshot() == PodsSnapshot(pods=(pod("a", "GPU-0"),), is_known=True)
    write_checkpoint(tmp_path)
    monitor.step()
    assert monitor.snapshot().identities == (IDENTITY,)


def test_pods_of_the_api_server_have_precedence(kubelet: Kubelet, services: Services, tmp_path: Path) -> None:
    write_checkpoint(tmp_path)
    kubelet.pods = (pod("a", "GPU-0"), pod("b", "GPU-1"))
    of_api: list[PodIdentity] = []
    monitor = PodMonitor(
        "gpu-exporter", services, list_pods=kubelet, folder=tmp_path, api_pods=lambda: tuple(of_api) or None
    )
    monitor.step()
    assert monitor.snapshot().identities == (IDENTITY,)
    of_api.append(PodIdentity(uid="uid-b", namespace="team", name="b"))
    assert monitor.snapshot().identities == (of_api[0], IDENTITY)
    of_api.append(PodIdentity(uid="uid-a", namespace="team", name="a", labels={"x": "y"}))
    assert monitor.snapshot().identities == tuple(of_api)


@pytest.fixture
def running(monitor: PodMonitor) -> Iterator[PodMonitor]:
    monitor.start()
    yield monitor
    monitor.stop()


def test_a_change_of_the_checkpoint_causes_a_request(running: PodMonitor, kubelet: Kubelet, tmp_path: Path) -> None:
    until(lambda: running.snapshot().is_known)
    assert running.snapshot().identities == ()
    write_checkpoint(tmp_path)
    until(lambda: running.snapshot().identities == (IDENTITY,))
    assert kubelet.requests <= 4
    assert running.liveness_problem() is None


def test_a_kubelet_that_hangs_delays_no_reader_and_no_stop(
    monitor: PodMonitor, kubelet: Kubelet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gpu_exporter.pods.monitor.STOP_SECONDS", 0.0)
    release, entered = threading.Event(), threading.Event()
    kubelet.before_response = lambda: (entered.set(), release.wait(60))[0]  # type: ignore[func-returns-value]
    monitor.start()
    assert entered.wait(60)
    assert monitor.snapshot() == PodsSnapshot()
    monitor.stop()
    assert monitor._thread.is_alive()
    release.set()
    monitor._thread.join(60)
    assert not monitor._thread.is_alive()


def test_a_thread_that_ends_by_an_error_is_a_problem_of_liveness(
    running: PodMonitor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    until(lambda: running.snapshot().is_known)
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    monkeypatch.setattr(running, "step", lambda: 1 / 0)
    write_checkpoint(tmp_path)
    until(running.liveness_problem)
    assert running.liveness_problem() == "the thread pod-devices has ended"
