"""Which DaemonSets run the agents, or programs that do the same."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from device_plugin.gate import Gate
from gpunode.doctor.objects import DaemonSet
from gpunode.doctor.programs import Program, recognize_program
from node_core.domain.taints import Taint
from node_core.scheduling.objects import Condition, Metadata, Node, NodeSpec, NodeStatus
from node_core.scheduling.objects import Taint as NodeTaint

BASE = Path(__file__).parents[3] / "manifests/base"


def daemon_set(name: str, *containers: dict[str, Any]) -> DaemonSet:
    template = {"metadata": {"creationTimestamp": None}, "spec": {"containers": list(containers)}}
    return msgspec.convert({"metadata": {"name": name, "namespace": "ns"}, "spec": {"template": template}}, DaemonSet)


def plugin(*arguments: str, **environment: str) -> Program:
    env = [{"name": name, "value": value} for name, value in environment.items()]
    found = recognize_program(
        daemon_set("any", {"name": "a", "command": ["gpu-device-plugin"], "args": list(arguments), "env": env})
    )
    assert found is not None
    return found


@pytest.mark.parametrize("name", ["nfd-lite", "gfd", "gpu-device-plugin"])
def test_the_agents_of_the_manifests_are_recognized_by_their_command(name: str) -> None:
    (document,) = yaml.safe_load_all((BASE / f"{name}.yaml").read_text())
    found = recognize_program(msgspec.convert(document, DaemonSet))
    assert found is not None
    assert (found.key, found.roles, found.has_agents, found.scheme) == (f"gpunode/{name}", (name,), True, "http")
    assert found.port
    assert found.agents == name


def test_one_process_runs_all_agents() -> None:
    found = recognize_program(daemon_set("x", {"name": "a", "command": ["gpunode", "run"]}))
    assert found is not None
    assert found.agents == "nfd-lite and gfd and gpu-device-plugin and gpu-exporter"


@pytest.mark.parametrize(
    ("arguments", "environment", "gate"),
    [
        ((), {}, Gate()),
        (("--gate-label=a=b",), {}, Gate(key="a", value="b")),
        (("--gate-label", "a"), {}, Gate(key="a", value="true")),
        (("-gate-label=",), {}, Gate(key="", value="true")),
        (("--gate-label=a", "--gate-label=c"), {"GATE_LABEL": "d"}, Gate(key="c", value="true")),
        ((), {"GATE_LABEL": "d"}, Gate(key="d", value="true")),
        (("--gate-label=not a label",), {}, Gate()),
        (("--gate-label",), {}, Gate(key="", value="true")),
    ],
    ids=str,
)
def test_the_gate_is_that_of_the_command_line_or_the_environment(
    arguments: tuple[str, ...], environment: dict[str, str], gate: Gate
) -> None:
    assert plugin(*arguments, **environment).gate == gate


def test_the_startup_taint_and_tls_are_those_of_the_command_line() -> None:
    assert plugin().startup_taint is None
    assert plugin("--startup-taint=bad").startup_taint is None
    assert plugin("--startup-taint=a:NoSchedule").startup_taint == Taint(key="a", effect="NoSchedule")
    assert plugin("--tls-cert-file=/a").scheme == "https"


@pytest.mark.parametrize(
    ("name", "container", "role"),
    [
        ("nvidia-device-plugin-daemonset", {"name": "c", "image": "nvcr.io/nvidia/k8s-device-plugin:v0.17"}, "gpu-device-plugin"),
        ("mine", {"name": "c", "image": "host:5000/nvidia/k8s-device-plugin@sha256:00"}, "gpu-device-plugin"),
        ("nvdp-nvidia-device-plugin-gpu-feature-discovery", {"name": "c", "image": "nvidia/k8s-device-plugin"}, "gfd"),
        ("nvdp-nvidia-device-plugin-mps-control-daemon", {"name": "c", "image": "x/mps"}, None),
        ("nfd-node-feature-discovery-worker", {"name": "worker", "image": "nfd/node-feature-discovery:v0.17"}, "nfd-lite"),
        ("nfd-topology-updater", {"name": "topology-updater", "image": "nfd/topology"}, None),
        ("nvidia-dra-driver-gpu-kubelet-plugin", {"name": "gpus", "image": "x/dra-driver-gpu"}, "dra"),
        ("hami-device-plugin", {"name": "device-plugin", "image": "projecthami/hami"}, "gpu-device-plugin"),
        ("kube-proxy", {"name": "kube-proxy", "image": "registry.k8s.io/kube-proxy"}, None),
        ("gpunode-cleanup", {"name": "gpunode-cleanup", "command": ["gpunode", "cleanup"]}, None),
    ],
)  # fmt: skip
def test_programs_of_others_are_recognized_by_their_names(
    name: str, container: dict[str, Any], role: str | None
) -> None:
    found = recognize_program(daemon_set(name, container))
    assert (found and (found.roles, found.has_agents)) == (None if role is None else ((role,), False))


def placed(node: Node, **spec: Any) -> bool:
    container = {"name": "a", "command": ["gfd"]}
    template = {"spec": {"containers": [container], **spec}}
    document = {"metadata": {"name": "d", "namespace": "ns"}, "spec": {"template": template}}
    found = recognize_program(msgspec.convert(document, DaemonSet))
    assert found is not None
    return found.places_pod_on(node)


def test_a_daemon_set_places_a_pod_on_the_nodes_that_it_selects_and_tolerates() -> None:
    node = Node(metadata=Metadata(name="n1", labels={"a": "b"}))
    assert placed(node)
    assert placed(node, nodeSelector={"a": "b"})
    assert not placed(node, nodeSelector={"a": "c"})
    premium = Node(metadata=node.metadata, spec=NodeSpec(taints=(NodeTaint(key="premium", effect="NoSchedule"),)))
    assert not placed(premium)
    assert placed(premium, tolerations=[{"operator": "Exists"}])


def test_a_node_that_is_cordoned_or_not_ready_gets_a_pod_of_a_daemon_set() -> None:
    unreachable = NodeTaint(key="node.kubernetes.io/unreachable", effect="NoExecute")
    spec = NodeSpec(unschedulable=True, taints=(unreachable,))
    assert placed(Node(metadata=Metadata(name="n1"), spec=spec))
    assert placed(
        Node(metadata=Metadata(name="n1"), status=NodeStatus(conditions=(Condition(type="Ready", status="False"),)))
    )
