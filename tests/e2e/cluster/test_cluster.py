"""The state of a cluster on disk, and its components."""

import json
import stat
from pathlib import Path

import pytest

from tests.e2e.cluster import attach
from tests.e2e.cluster.cluster import Cluster
from tests.e2e.cluster.errors import ClusterError
from tests.e2e.cluster.files import read_state, users, write_files, write_state
from tests.e2e.cluster.layout import Layout
from tests.e2e.cluster.life import node_ready


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    return Layout(run_dir=run_dir, binaries=tmp_path / "bin", node_name="node-7")


def test_without_a_state_file_there_is_no_cluster(layout: Layout) -> None:
    write_files(layout)
    assert attach(layout.run_dir) is None


def test_attach_returns_the_recorded_cluster(layout: Layout) -> None:
    write_state(layout)
    assert read_state(layout.run_dir) == layout
    cluster = attach(layout.run_dir)
    assert cluster is not None
    assert (cluster.node_name, cluster.run_dir) == ("node-7", layout.run_dir)
    assert not any(map(cluster.running, cluster.components))


def test_only_the_owner_can_read_files_with_keys(layout: Layout) -> None:
    write_files(layout)
    files = [path for path in layout.run_dir.rglob("*") if path.is_file()]
    assert len(files) == len(users("")) + 3 + 2 + 3 * 2
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_the_kubelet_has_only_the_rights_of_its_node() -> None:
    assert users("node-7")["kubelet"] == ("system:node:node-7", "system:nodes")
    assert [name for name, (_, group) in users("node-7").items() if group == "system:masters"] == ["admin"]


def test_an_unknown_component_is_an_error_that_lists_the_components(layout: Layout) -> None:
    with pytest.raises(ClusterError, match=r"unknown component kubeproxy .*kube-apiserver"):
        Cluster(layout).stop("kubeproxy")


def test_a_program_that_ends_at_once_is_an_error_with_its_log(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if another cluster uses the same ports and is healthy."""
    monkeypatch.setattr("tests.e2e.cluster.cluster.healthy", lambda _: False)
    write_files(layout)
    layout.binaries.mkdir()
    etcd = layout.binaries / "etcd"
    etcd.write_text("#!/bin/sh\necho no space left >&2\nexit 1\n")
    etcd.chmod(0o755)
    with pytest.raises(ClusterError, match=r"etcd ended(.|\n)*no space left"):
        Cluster(layout).start("etcd")


READY = [{"type": "Ready", "status": "True"}]
TAINT = {"key": "node.kubernetes.io/not-ready"}


@pytest.mark.parametrize(
    ("spec", "status", "ready"),
    [
        pytest.param({}, {"conditions": READY}, True, id="ready"),
        pytest.param({}, {"conditions": [{"type": "Ready", "status": "Unknown"}]}, False, id="unknown"),
        pytest.param({}, {}, False, id="without conditions"),
        pytest.param({"taints": [TAINT]}, {"conditions": READY}, False, id="still tainted"),
    ],
)
def test_a_node_is_ready_if_it_accepts_pods(spec: dict[str, object], status: dict[str, object], ready: bool) -> None:
    assert node_ready(json.dumps({"spec": spec, "status": status})) is ready
