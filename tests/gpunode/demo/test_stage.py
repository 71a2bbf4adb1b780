"""The demo's cluster, with the real agents."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gpu_core.nvml.inventory import read_inventory
from gpunode.demo.changes import NodeState
from gpunode.demo.stage import Stage, choose_mig_strategy, name_node, open_stage
from node_core.errors import SettingsError
from node_core.kubelet.podresources import list_pod_devices
from simulation.apiserver import ApiServer
from simulation.apiserver.resources import resource_named
from simulation.apiserver.writes import Target
from simulation.nvml.library import numa_of, simulated_nvml
from simulation.scenarios.scenario import load_scenario
from tests.waiting import until

GPU = "nvidia.com/gpu"
FLEET = """
driver: {version: "550.54.15", cuda: "12.4"}
gpus: [{model: Tesla T4, count: COUNT, memory: 15360Mi, compute: "7.5", device_id: "1eb8"}]
"""


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    path = tmp_path / "fleet.yaml"
    path.write_text(FLEET.replace("COUNT", "2"))
    return path


@pytest.fixture
def stage(fleet: Path) -> Iterator[Stage]:
    with open_stage(str(fleet)) as stage:
        until(lambda: gpus(stage) == ("2", "2"))
        yield stage


def gpus(stage: Stage) -> tuple[str, str] | None:
    return stage.node().resources.get(GPU)


def test_a_deleted_node_returns_with_its_labels_and_resources(stage: Stage) -> None:
    until(lambda: "nvidia.com/gpu.count" in stage.node().labels)
    uid = stage.server.store.get("nodes", stage.node_name)["metadata"]["uid"]
    stage.server.api.delete(Target(resource=resource_named("nodes"), name=stage.node_name))
    until(lambda: gpus(stage) == ("2", "2") and "nvidia.com/gpu.count" in stage.node().labels)
    assert stage.server.store.get("nodes", stage.node_name)["metadata"]["uid"] != uid


def test_an_added_fault_and_a_new_start_change_the_gpus(stage: Stage) -> None:
    stage.add_fault({"kind": "lost", "gpu": 1})
    until(lambda: gpus(stage) == ("2", "1"))
    with pytest.raises(SettingsError, match="there is no GPU 2"):
        stage.add_fault({"kind": "lost", "gpu": 2})
    running = stage.running
    assert stage.change_scenario().endswith("the same GPUs, 0 faults from now on")
    assert stage.running is running


@pytest.mark.exhaustive
def test_a_scenario_with_other_gpus_starts_the_agents_again(stage: Stage, fleet: Path) -> None:
    fleet.write_text(FLEET.replace("COUNT", "3"))
    until(stage.file_changed.is_set)
    assert stage.change_scenario() == f"{fleet}: 3 x Tesla T4. The agents have started again."
    until(lambda: gpus(stage) == ("3", "3"))
    stage.add_fault({"kind": "xid", "gpu": 0, "code": 79})
    until(lambda: gpus(stage) == ("3", "2"))
    stage.change_scenario("a100x4-mig-single")
    assert stage.resources == {GPU}
    until(lambda: gpus(stage) == ("28", "28"))
    reasons = [event["message"] for event in stage.server.store.list("events")[0] if event["reason"] == "GPUUnhealthy"]
    assert len(reasons) == 1


def test_a_start_with_other_gpus_ends_the_faults_of_the_old_ones_so_that_no_call_hangs(stage: Stage) -> None:
    old = stage._agents.dependencies.simulated
    assert old is not None
    stage.add_fault({"kind": "hang", "call": "nvmlDeviceGetName"})
    assert old.scenario.faults
    stage.change_scenario("l40sx4")
    assert old.scenario.faults == ()


@pytest.mark.parametrize("text", ["gpus: [", "gpus: 3", "driver: {}", ""])
def test_an_invalid_file_changes_nothing(stage: Stage, fleet: Path, text: str) -> None:
    fleet.write_text(text) if text else fleet.unlink()
    running = stage.running
    with pytest.raises(SettingsError, match="fleet"):
        stage.change_scenario()
    assert stage.running is running
    assert len(stage.inventory.gpus) == 2


def test_the_kubelet_lists_the_pods_of_the_node(stage: Stage) -> None:
    assert list_pod_devices(stage.directory / "pod-resources" / "kubelet.sock") == ()


def test_real_gpus_cannot_have_faults() -> None:
    with open_stage(None) as stage:
        with pytest.raises(SettingsError, match="are real"):
            stage.add_fault({"kind": "lost", "gpu": 0})
        with pytest.raises(SettingsError, match="Use one of the scenarios a100x4-mig-single, "):
            stage.change_scenario()
        stage.change_scenario("t4x1")
        until(lambda: gpus(stage) == ("1", "1"))


def test_a_node_that_is_deleted_or_malformed_has_an_empty_state() -> None:
    server = ApiServer()
    stage: Any = SimpleNamespace(server=server, node_name="n1")
    assert Stage.node(stage) == NodeState()
    server.add_node("n1")
    assert Stage.node(stage) != NodeState()
    server.store.mutate("nodes", "n1", lambda node: {**node, "status": "down"})
    assert Stage.node(stage) == NodeState()


@pytest.mark.parametrize(("error", "remains"), [(KeyboardInterrupt, False), (SystemExit, False), (RuntimeError, True)])
def test_the_log_of_the_agents_remains_only_after_an_unexpected_error(
    error: type[BaseException], remains: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory(prefix="t-") as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        with pytest.raises(error) as raised, open_stage("none") as stage:
            raise error
        assert stage.log_file.exists() == remains
        notes = [f"The log of the agents is {stage.log_file}."] if remains else []
        assert list(getattr(raised.value, "__notes__", [])) == notes


@pytest.mark.parametrize(
    ("scenario", "strategy"),
    [("h100x8", "none"), ("none", "none"), ("a100x4-mig-single", "single"), ("h100x8-mig-mixed", "mixed")],
)
def test_the_mig_strategy_depends_on_the_mig_layout(scenario: str, strategy: str) -> None:
    loaded = load_scenario(scenario)
    if loaded.driver is not None:
        inventory = read_inventory(simulated_nvml(loaded, lambda: 0.0), numa_of(loaded))
        assert choose_mig_strategy(inventory) == strategy


@pytest.mark.parametrize(
    ("host", "node"),
    [("vm", "vm"), ("My_Laptop.local", "my-laptop.local"), ("---", "this-machine"), ("x" * 80, "x" * 63)],
)
def test_the_node_name_is_valid_in_kubernetes(host: str, node: str) -> None:
    assert name_node(host) == node
