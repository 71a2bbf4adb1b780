"""Which problems of a Node are causes, and which are their effects."""

from typing import Any

import msgspec
import pytest

from gpunode.doctor.check import Check
from gpunode.doctor.objects import DaemonSet
from gpunode.doctor.programs import Program, recognize_program
from gpunode.doctor.remote_checks import Deployment, Diagnosis, NodePods, diagnose_node
from node_core.scheduling.objects import Condition, Metadata, Node, NodeSpec, NodeStatus, Taint
from tests.gpunode.recorded import NOON

GPU = "nvidia.com/gpu"
PRESENT = {"nvidia.com/gpu.present": "true"}
READY = Condition(type="GPUReady", status="True", reason="GPUsReady", message="8 of 8 GPUs are available.")


def program(name: str, *command: str, selector: dict[str, str] | None = None) -> Program:
    container = {"name": name, "command": list(command)}
    spec = {"containers": [container], "nodeSelector": selector or {}}
    document = {"metadata": {"namespace": "ns", "name": name}, "spec": {"template": {"spec": spec}}}
    found = recognize_program(msgspec.convert(document, DaemonSet))
    assert found is not None
    return found


PLUGIN = program("plugin", "gpu-device-plugin", "--startup-taint=s:NoSchedule")
GFD = program("gfd", "gfd")
OTHER_PLUGIN, OTHER_GFD, OTHER_NFD = (
    program("nvidia-device-plugin"),
    program("gpu-feature-discovery"),
    program("nfd-worker"),
)
DRA = program("dra-driver-gpu")


def on_node(*programs: Program, running: tuple[Program, ...] | None = None) -> NodePods:
    names = {each.key: f"{each.key}-pod" for each in programs}
    return NodePods(names=names, running=frozenset(each.key for each in (programs if running is None else running)))


def node(
    *,
    labels: dict[str, str] | None = None,
    capacity: dict[str, Any] | None = None,
    allocatable: dict[str, Any] | None = None,
    conditions: tuple[Condition, ...] = (READY,),
    taints: tuple[Taint, ...] = (),
) -> Node:
    amounts: dict[str, Any] = {GPU: "8"} if capacity is None else capacity
    status = NodeStatus(
        capacity=amounts, allocatable=amounts if allocatable is None else allocatable, conditions=conditions
    )
    return Node(
        metadata=Metadata(name="n1", labels=PRESENT if labels is None else labels),
        spec=NodeSpec(taints=taints),
        status=status,
    )


def diagnose(node: Node, deployment: Deployment | None = None, pods: NodePods | None = None) -> Diagnosis:
    return diagnose_node(
        node, deployment or Deployment(programs=(PLUGIN, GFD)), pods or on_node(PLUGIN), NOON.timestamp()
    )


def found(diagnosis: Diagnosis, name: str) -> Check:
    return next(each for each in diagnosis.checks if each.name == name)


def problems(diagnosis: Diagnosis) -> list[tuple[str, str | None]]:
    return [(each.name, each.reason) for each in diagnosis.problems]


def test_a_node_that_nothing_says_has_gpus_is_only_checked_for_its_pods() -> None:
    diagnosis = diagnose(node(labels={}, capacity={"cpu": "4"}, conditions=()), pods=on_node(PLUGIN, GFD))
    assert ([each.name for each in diagnosis.checks], diagnosis.has_gpus) == (["gpus"], False)
    no_gpu = Condition(type="GPUReady", status="False", reason="NoGPU")
    assert not diagnose(node(labels={}, capacity={GPU: "0"}, conditions=(no_gpu,))).has_gpus


@pytest.mark.parametrize(
    "given",
    [
        {"labels": {}, "capacity": {}},
        {"labels": {}, "conditions": ()},
        {"capacity": {}, "conditions": ()},
        {"labels": {"feature.node.kubernetes.io/pci-10de.present": "true"}, "capacity": {}, "conditions": ()},
    ],
    ids=["condition", "capacity", "gate", "PCI label"],
)
def test_what_states_that_a_node_has_gpus(given: dict[str, Any]) -> None:
    assert diagnose(node(**given)).has_gpus


def test_a_daemon_set_without_a_pod_on_a_node_that_it_selects_is_a_problem() -> None:
    elsewhere = program("elsewhere", "nfd-lite", selector={"a": "b"})
    diagnosis = diagnose(node(), Deployment(programs=(PLUGIN, GFD, elsewhere)))
    assert problems(diagnosis) == [("agent", "AgentMissing")]
    assert "the DaemonSet ns/gfd has no pod on this Node" in diagnosis.problems[0].sentence


def test_without_the_plugin_the_condition_is_old_and_missing_devices_are_explained() -> None:
    pods = on_node(PLUGIN, GFD, running=(GFD,))
    diagnosis = diagnose(node(allocatable={GPU: "0"}), pods=pods)
    assert (found(diagnosis, "condition").status, found(diagnosis, "resources").status) == ("note", "note")
    running = diagnose(node(allocatable={GPU: "0"}), pods=on_node(PLUGIN, GFD))
    assert found(running, "resources").reason == "NotAdvertisedByKubelet"


def test_without_a_driver_missing_labels_and_devices_are_explained() -> None:
    no_driver = Condition(type="GPUReady", status="False", reason="NoDriver", message="no")
    diagnosis = diagnose(node(capacity={}, conditions=(no_driver,)), pods=on_node(PLUGIN, GFD))
    assert problems(diagnosis) == [("condition", "NoDriver")]
    assert (found(diagnosis, "labels").status, found(diagnosis, "resources").status) == ("note", "note")


def test_labels_are_expected_only_from_a_running_gfd() -> None:
    assert found(diagnose(node(), pods=on_node(PLUGIN, GFD)), "labels").reason == "LabelsMissing"
    assert found(diagnose(node(), pods=on_node(PLUGIN, GFD, running=(PLUGIN,))), "labels").status == "note"


def test_a_closed_gate_is_the_only_problem_of_the_devices() -> None:
    diagnosis = diagnose(node(labels={}), pods=on_node(PLUGIN, GFD))
    assert problems(diagnosis) == [("label", "NodeNotLabelled")]


def test_the_gate_and_the_startup_taint_are_those_of_the_plugin_on_the_node() -> None:
    pool = program("pool", "gpu-device-plugin", "--gate-label=pool")
    deployment = Deployment(programs=(PLUGIN, pool))
    both = node(labels={"pool": "true"}, taints=(Taint(key="s", effect="NoSchedule"),))
    assert ("label", "NodeNotLabelled") not in problems(diagnose(both, deployment, on_node(pool)))
    assert ("taints", "StartupTaint") not in problems(diagnose(both, deployment, on_node(pool)))
    assert ("label", "NodeNotLabelled") in problems(diagnose(both, deployment, on_node(PLUGIN)))
    assert ("taints", "StartupTaint") in problems(diagnose(both, deployment, on_node(PLUGIN)))


@pytest.mark.parametrize(
    ("other", "what"),
    [(OTHER_PLUGIN, "advertise the same devices"), (OTHER_GFD, "write the same labels")],
    ids=["plugin", "gfd"],
)
def test_two_programs_for_one_task_are_a_problem(other: Program, what: str) -> None:
    deployment = Deployment(programs=(PLUGIN, GFD, other))
    diagnosis = diagnose(node(), deployment, on_node(PLUGIN, GFD, other))
    assert found(diagnosis, "other programs").reason == "TwoPrograms"
    assert what in found(diagnosis, "other programs").sentence
    elsewhere = diagnose(node(), deployment, on_node(PLUGIN, GFD))
    assert "other programs" not in [each.name for each in elsewhere.checks]


def test_a_program_in_place_of_an_agent_is_a_note() -> None:
    deployment = Deployment(programs=(PLUGIN, OTHER_NFD, DRA))
    diagnosis = diagnose(node(), deployment, on_node(PLUGIN, OTHER_NFD, DRA))
    notes = [each.sentence for each in diagnosis.checks if each.name == "other programs"]
    assert notes == [
        "ns/nfd-worker runs on this Node in place of nfd-lite",
        "ns/dra-driver-gpu can allocate the GPUs of this Node by DRA, which gpu-device-plugin does not know",
    ]
    assert diagnosis.problems == ()


def test_a_cluster_with_another_device_plugin_needs_neither_label_nor_condition() -> None:
    diagnosis = diagnose(node(labels={}, conditions=()), Deployment(programs=(OTHER_PLUGIN,)), on_node(OTHER_PLUGIN))
    assert diagnosis.problems == ()
    assert {"label", "condition"}.isdisjoint(each.name for each in diagnosis.checks)
    assert found(diagnosis, "resources").status == "ok"


def test_gpus_that_no_plugin_serves_are_a_problem() -> None:
    given = node(labels={"feature.node.kubernetes.io/pci-10de.present": "true"}, capacity={}, conditions=())
    diagnosis = diagnose(given, Deployment(), NodePods())
    assert problems(diagnosis)[0] == ("agent", "NotInstalled")


def test_the_gpus_of_a_node_with_the_dra_driver_are_not_those_of_the_plugin() -> None:
    driver = program("gpu-dra-driver", "gpu-dra-driver")
    for programs in ((driver,), (PLUGIN, driver)):
        found = diagnose(node(conditions=(), capacity={}), Deployment(programs=programs), on_node(driver))
        plugin_missing = [("agent", "AgentMissing")] if PLUGIN in programs else []
        assert problems(found) == plugin_missing
        assert any(each.name == "dra" and each.status == "note" for each in found.checks)


def test_a_plugin_that_runs_without_a_pod_is_checked_by_its_condition() -> None:
    diagnosis = diagnose(node(allocatable={GPU: "0"}), Deployment(), NodePods())
    assert found(diagnosis, "condition").status == "ok"
    assert problems(diagnosis) == [("resources", "NotAdvertisedByKubelet")]


def test_if_pods_are_not_known_the_plugin_may_run() -> None:
    diagnosis = diagnose(node(conditions=()), Deployment(is_known=False), NodePods())
    assert problems(diagnosis) == [("condition", None)]
