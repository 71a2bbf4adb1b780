"""Scans of a host and a fake kubelet."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from nfd_lite.topology.fingerprint import fingerprint
from nfd_lite.topology.scanner import Scanner
from nfd_lite.topology.settings import TopologySettings
from node_core.errors import KubeletError
from node_core.host.root import HostRoot
from node_core.kubelet import podresources_pb2 as pb
from tests.nfd_lite.conftest import LayOut
from tests.nfd_lite.topology.conftest import FakeKubelet


@pytest.fixture
def root(lay_out: LayOut) -> HostRoot:
    return lay_out({
        "/sys/devices/system/cpu/online": "0-3\n",
        "/proc/meminfo": "MemTotal: 1000 kB\n",
        "/kubelet.yaml": "topologyManagerPolicy: restricted\n",
    })  # fmt: skip


@pytest.fixture
def settings(root: HostRoot, kubelet: FakeKubelet) -> TopologySettings:
    kubelet.allocatable.cpu_ids.extend([1, 2, 3])
    kubelet.pods = [
        pb.PodResources(name=name, namespace=name, containers=[pb.ContainerResources(cpu_ids=[cpu])])
        for name, cpu in (("a", 1), ("b", 2))
    ]
    return TopologySettings(kubelet_config_uri=f"file://{root.base}/kubelet.yaml", socket=kubelet.socket)


def write_config(root: HostRoot, text: str) -> None:
    Path(root.base, "kubelet.yaml").write_text(text)


def test_a_scan_reads_the_kubelet_the_host_and_the_configuration(settings: TopologySettings, root: HostRoot) -> None:
    found = Scanner(settings, root).scan(reads_config=True)
    assert found.policy.policy == "restricted"
    assert found.fingerprint == fingerprint([("a", "a"), ("b", "b")])
    (zone,) = found.zones
    assert [(each.name, each.available) for each in zone.resources] == [("cpu", 1), ("memory", 1_024_000)]


def test_namespace_exclusions_and_fingerprint_follow_the_settings(settings: TopologySettings, root: HostRoot) -> None:
    limited = TopologySettings(
        kubelet_config_uri=settings.kubelet_config_uri,
        socket=settings.socket,
        namespace="a",
        excluded=frozenset({"memory"}),
        has_fingerprint=False,
    )
    found = Scanner(limited, root).scan(reads_config=True)
    assert [(each.name, each.available) for each in found.zones[0].resources] == [("cpu", 2)]
    assert found.fingerprint is None


def test_the_configuration_is_read_at_the_first_scan_and_on_request(settings: TopologySettings, root: HostRoot) -> None:
    scanner = Scanner(settings, root)
    assert scanner.scan(reads_config=False).policy.policy == "restricted"
    write_config(root, "topologyManagerPolicy: best-effort\n")
    assert scanner.scan(reads_config=False).policy.policy == "restricted"
    assert scanner.scan(reads_config=True).policy.policy == "best-effort"


def test_the_configuration_of_a_kubelet_that_started_again_is_read(
    settings: TopologySettings, root: HostRoot, kubelet: FakeKubelet
) -> None:
    """The endpoint configz can be available later than the socket."""
    scanner = Scanner(settings, root)
    scanner.scan(reads_config=True)
    kubelet.stop()
    another = FakeKubelet(kubelet.socket.parent)
    another.start()
    Path(root.base, "kubelet.yaml").unlink()
    assert scanner.scan(reads_config=False).policy.policy == "restricted"
    write_config(root, "topologyManagerPolicy: best-effort\n")
    assert scanner.scan(reads_config=False).policy.policy == "best-effort"
    write_config(root, "topologyManagerPolicy: none\n")
    assert scanner.scan(reads_config=False).policy.policy == "best-effort", "the socket is the same"
    another.stop()


def test_without_any_configuration_there_is_no_object(settings: TopologySettings, root: HostRoot) -> None:
    write_config(root, "topologyManagerPolicy: [a]\n")
    with pytest.raises(KubeletError, match="topologyManagerPolicy is not text"):
        Scanner(settings, root).scan(reads_config=False)


def test_the_last_configuration_remains_and_the_problem_is_logged_once(
    settings: TopologySettings, root: HostRoot
) -> None:
    scanner = Scanner(settings, root)
    scanner.scan(reads_config=True)
    Path(root.base, "kubelet.yaml").unlink()
    with capture_logs() as logs:
        assert [scanner.scan(reads_config=True).policy.policy for _ in range(3)] == ["restricted"] * 3
    assert [entry["event"] for entry in logs] == ["kubelet_config_not_read"]


def test_without_a_kubelet_the_scan_fails(settings: TopologySettings, root: HostRoot, kubelet: FakeKubelet) -> None:
    kubelet.stop()
    with pytest.raises(KubeletError, match=str(kubelet.socket)):
        Scanner(settings, root).scan(reads_config=True)
