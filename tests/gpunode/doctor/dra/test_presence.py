"""Doctor finds a node with gpu-dra-driver by its lock, its files and its slices."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gpunode.cluster.connection import connect
from gpunode.doctor.agents import AgentState
from gpunode.doctor.dra.driver import DraDriver, find_driver, use_settings_of
from gpunode.doctor.dra.presence import DraNode, NodeSlices, find_dra_node, list_node_slices
from node_core.errors import KubeError
from node_core.kube.http import ApiClient
from node_core.runtime.instance_lock import InstanceLock
from simulation.apiserver import ApiServer

STOPPED = DraDriver(state=AgentState(agent="gpu-dra-driver", is_running=False, sentence="it does not run"))


def dra_node(root: Path, driver: DraDriver = STOPPED) -> DraNode:
    return find_dra_node(driver, root, root / "cdi", "n1", NodeSlices())


def test_a_node_without_traces_of_the_driver_has_none(tmp_path: Path) -> None:
    (tmp_path / "plugins_registry").mkdir()
    (tmp_path / "plugins/gpu.nvidia.com").mkdir(parents=True)
    found = dra_node(tmp_path)
    assert (found.is_present, found.is_in_use, found.unread) == (False, False, None)


@pytest.mark.parametrize("name", ["claims.json", "claims.damaged"])
def test_a_record_of_claims_is_a_trace_and_not_a_use(name: str, tmp_path: Path) -> None:
    (tmp_path / "plugins/gpu.nvidia.com").mkdir(parents=True)
    (tmp_path / "plugins/gpu.nvidia.com" / name).touch()
    found = dra_node(tmp_path)
    assert (found.is_present, found.is_in_use) == (True, False)


def test_the_lock_of_a_driver_is_a_use(tmp_path: Path) -> None:
    lock = InstanceLock(tmp_path, "gpu-dra-driver", "n1")
    assert lock.acquire() is None
    driver = find_driver(tmp_path, "")
    lock.release()
    assert (driver.state.node_name, driver.values) == ("n1", None)
    assert dra_node(tmp_path, driver).is_in_use


def test_the_settings_of_the_driver_apply_unless_a_flag_is_given(tmp_path: Path) -> None:
    driver = DraDriver(state=STOPPED.state, values={"simulate": "a", "lock_dir": "b", "kubelet_root": tmp_path / "k"})
    values = use_settings_of(driver, {"simulate": None, "lock_dir": "c", "other": 1, "given": {"lock_dir"}})
    assert values == {"simulate": "a", "lock_dir": "c", "other": 1, "given": {"lock_dir"}}
    assert dra_node(tmp_path, driver).paths.registry == tmp_path / "k/plugins_registry"


def test_folders_that_cannot_be_read_are_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> Iterator[Path]:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    found = dra_node(tmp_path)
    assert found.unread is not None
    assert "Run doctor as root" in found.unread
    assert not found.is_present


@pytest.mark.parametrize("status", [403, 404, 0])
def test_slices_that_cannot_be_listed_are_a_problem_of_the_list(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> object:
        raise KubeError("refused", status=status)

    monkeypatch.setattr(ApiClient, "request", refuse)
    found = list_node_slices(ApiClient(kubeconfig=None, user_agent="t"), "n1")
    assert found.slices == ()
    assert found.problem


def test_a_cluster_without_slices_of_the_node_has_none(tmp_path: Path) -> None:
    with ApiServer() as server:
        server.write_kubeconfig(tmp_path / "kubeconfig")
        assert list_node_slices(connect(str(tmp_path / "kubeconfig")).api, "n1") == NodeSlices(version="v1")
