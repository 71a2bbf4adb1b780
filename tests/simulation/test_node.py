"""The simulated node of --simulate, whose faults can change."""

from node_core.errors import NvmlError
from simulation.node import SimulatedNode
from simulation.scenarios.scenario import Scenario, parse_fault, parse_scenario

DOCUMENT = {
    "driver": {"version": "550.54.15"},
    "gpus": [{"model": "Tesla T4", "count": 2, "memory": "15360Mi", "device_id": "1eb8"}],
}


def scenario(*faults: dict[str, object]) -> Scenario:
    return parse_scenario("two", {**DOCUMENT, "faults": list(faults)}, source="test")


def lost(node: SimulatedNode) -> list[int]:
    found = []
    with node.open_nvml() as nvml:
        for index in range(nvml.device_get_count()):
            try:
                nvml.device_get_uuid(nvml.device_get_handle_by_index(index))
            except NvmlError:
                found.append(index)
    return found


def test_a_fault_at_the_start_is_active_in_the_first_call() -> None:
    assert lost(SimulatedNode(scenario({"at": 0, "kind": "lost", "gpu": 0}))) == [0]


def test_an_added_fault_counts_from_now_and_the_other_faults_remain() -> None:
    node = SimulatedNode(scenario({"at": 0, "kind": "lost", "gpu": 0}))
    node.__dict__["_start"] = -1e9  # the node has run for a long time
    assert lost(node) == [0]
    node.add_faults(parse_fault(node.scenario, {"kind": "lost", "gpu": 1, "for": 1000}, number=1))
    assert lost(node) == [0, 1]
    node.add_faults(parse_fault(node.scenario, {"kind": "lost", "gpu": 1, "for": 1000, "at": 1000}, number=2))
    assert [fault.at for fault in node.scenario.faults][:1] == [0]


def test_replaced_faults_count_from_now() -> None:
    node = SimulatedNode(scenario({"at": 0, "kind": "lost", "gpu": 0}))
    node.__dict__["_start"] = -1e9
    node.replace_faults(scenario({"at": 0, "for": 1000, "kind": "lost", "gpu": 1}))
    assert lost(node) == [1]
    node.replace_faults(scenario())
    assert lost(node) == []
