"""The client of container runtimes."""

from pathlib import Path

import pytest

from node_core.errors import RuntimeConfigError
from node_core.grpc_h2.methods import Unary
from node_core.grpc_h2.status import CallError
from node_core.kubelet import cri_pb2 as pb
from node_core.kubelet.cri import CriClient, RunningContainer
from node_core.kubelet.server import UnixServer
from tests.gpu_toolkit.cri_server import SERVICE, cri_server


def test_the_status_has_name_version_and_the_documents_of_the_runtime() -> None:
    with cri_server(config={"a": 1}) as socket:
        status = CriClient(socket).status()
    assert (status.name, status.version, status.problem, status.info) == (
        "containerd",
        "v2.1.9",
        None,
        {"config": '{"a": 1}'},
    )


def test_only_running_containers_are_listed() -> None:
    with cri_server() as socket:
        assert CriClient(socket).running() == (RunningContainer(id="a", created_at=5.0),)


@pytest.mark.parametrize(
    ("state", "code", "is_done"),
    [(pb.CONTAINER_EXITED, 0, True), (pb.CONTAINER_EXITED, 137, False), (pb.CONTAINER_RUNNING, 0, False)],
)
def test_a_container_is_done_if_it_ended_with_status_0(state: pb.ContainerState, code: int, is_done: bool) -> None:
    with cri_server(ended=(state, code)) as socket:
        assert CriClient(socket).is_done("a") is is_done


def test_a_container_that_was_removed_is_done() -> None:
    with cri_server(error=CallError("NOT_FOUND", "an error occurred when try to find container")) as socket:
        assert CriClient(socket).is_done("a")


def test_a_runtime_that_does_not_know_the_state_of_a_container_is_an_error() -> None:
    with cri_server(error=CallError("UNKNOWN", "no")) as socket, pytest.raises(RuntimeConfigError, match="UNKNOWN: no"):
        CriClient(socket).is_done("a")


def test_a_runtime_that_does_not_answer_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RuntimeConfigError, match="did not answer Version: UNAVAILABLE"):
        CriClient(tmp_path / "none").status()


def test_an_answer_without_conditions_is_a_problem(tmp_path: Path) -> None:
    server = UnixServer(
        tmp_path / "s", {f"{SERVICE}/{each}": Unary(lambda _: b"") for each in ("Version", "Status")}, name="cri"
    )
    server.start()
    try:
        assert CriClient(tmp_path / "s").status().problem == "the runtime does not report the condition RuntimeReady"
    finally:
        server.stop()
