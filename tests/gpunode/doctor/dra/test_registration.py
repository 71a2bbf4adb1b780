"""Doctor calls the sockets of the driver as the kubelet does, and checks the kubelet's part."""

import os
import socket
from pathlib import Path

import pytest

from gpunode.doctor.agents import AgentState
from gpunode.doctor.check import Check
from gpunode.doctor.dra.driver import DraDriver
from gpunode.doctor.dra.presence import DraNode, NodeSlices, find_dra_node
from gpunode.doctor.dra.registration import check_kubelet_dra, check_registrations
from node_core.grpc_h2.methods import Unary
from node_core.kubelet import plugin_registration_pb2 as pb
from node_core.kubelet.server import UnixServer
from node_core.scheduling.objects import Metadata, Node, NodeStatus, NodeSystemInfo
from node_core.values import replace
from tests.gpunode.doctor.dra.sockets import serve_driver


def dra_node(root: Path, *, is_running: bool = True) -> DraNode:
    state = AgentState(agent="gpu-dra-driver", is_running=is_running, sentence="")
    return find_dra_node(DraDriver(state=state), root, root / "cdi", "n1", NodeSlices())


def node(version: str) -> Node:
    return Node(metadata=Metadata(name="n1"), status=NodeStatus(node_info=NodeSystemInfo(kubelet_version=version)))


def only(root: Path, *, is_running: bool = True) -> Check:
    (found,) = check_registrations(dra_node(root, is_running=is_running))
    return found


def kubelet(dra: DraNode, version: str = "v1.36.3") -> Check:
    (found,) = check_kubelet_dra(dra, node(version))
    return found


def leave_socket(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))


def test_a_driver_that_responds_at_both_sockets_is_ok(root: Path) -> None:
    with serve_driver(root) as paths:
        found = only(root)
    assert found.sentence == f"gpu-dra-driver responds at {paths.registration_socket} and at {paths.socket}"
    assert found.status == "ok"


def test_a_driver_without_its_second_socket_is_a_problem(root: Path) -> None:
    with serve_driver(root) as paths:
        paths.socket.unlink()
        found = only(root)
    assert found.status == "problem"
    assert found.sentence.startswith(
        f"the socket {paths.socket}, which {paths.registration_socket} names, does not respond"
    )


@pytest.mark.parametrize(("is_running", "status"), [(True, "problem"), (False, "note")])
def test_a_socket_that_no_process_serves_is_a_problem_of_a_driver_that_runs(
    is_running: bool, status: str, root: Path
) -> None:
    leave_socket(root / "plugins_registry/gpu.nvidia.com-reg.sock")
    assert only(root, is_running=is_running).status == status


def test_a_socket_of_an_ended_pod_is_a_note_beside_that_of_its_successor(root: Path) -> None:
    with serve_driver(root, "new"):
        leave_socket(root / "plugins_registry/gpu.nvidia.com-old-reg.sock")
        statuses = sorted(each.status for each in check_registrations(dra_node(root)))
    assert statuses == ["note", "ok"]


def test_a_driver_that_runs_without_a_socket_is_a_problem(root: Path) -> None:
    assert "has no socket of gpu.nvidia.com" in only(root).sentence
    assert list(check_registrations(dra_node(root, is_running=False))) == []


def test_another_program_at_the_socket_is_a_problem(root: Path) -> None:
    path = root / "plugins_registry/gpu.nvidia.com-reg.sock"
    path.parent.mkdir()
    info = pb.PluginInfo(type="CSIPlugin", name="other", endpoint="/e", supported_versions=["v1"])
    server = UnixServer(
        path, {"/pluginregistration.Registration/GetInfo": Unary(lambda _: info.SerializeToString())}, name="t"
    )
    server.start()
    found = only(root)
    server.stop(1.0)
    assert found.sentence == f"the program at {path} is other (CSIPlugin), and not gpu.nvidia.com"


def test_a_socket_without_the_right_to_connect_is_unknown(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leave_socket(root / "plugins_registry/gpu.nvidia.com-reg.sock")
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert only(root).status == "note"


def test_a_kubelet_with_a_record_of_claims_is_ok(root: Path) -> None:
    (root / "plugins_registry").mkdir()
    (root / "dra_manager_state").touch()
    assert kubelet(dra_node(root)).status == "ok"


def test_a_kubelet_without_a_record_of_claims_has_dra_off(root: Path) -> None:
    (root / "plugins_registry").mkdir()
    assert kubelet(dra_node(root)).status == "note", "a pod does not have the root directory of the kubelet"
    (root / "pods").mkdir()
    assert "Dynamic Resource Allocation is off" in kubelet(dra_node(root)).sentence


def test_a_kubelet_that_is_too_old_or_without_its_folder_is_a_problem(root: Path) -> None:
    assert kubelet(dra_node(root), "v1.31.4").sentence.startswith(
        "the kubelet v1.31.4 has no Dynamic Resource Allocation"
    )
    assert "does not exist" in kubelet(dra_node(root)).sentence


def test_what_cannot_be_read_is_unknown(root: Path) -> None:
    dra = replace(dra_node(root), unread="/k: permission denied")
    checks = [*check_registrations(dra), kubelet(dra)]
    assert [(each.status, each.sentence) for each in checks] == [("note", "unknown: /k: permission denied")] * 2
