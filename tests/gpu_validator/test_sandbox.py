"""Running a container through the API of the container runtime."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gpu_validator.sandbox import SYSTEMD_SLICE, ContainerRun, Runtime, find_socket
from node_core.errors import KubeletError
from node_core.grpc_h2.status import CallError
from node_core.kubelet import cri_pb2 as pb
from tests.gpu_validator.runtime import FakeRuntime

LABELS = {"app": "check"}
RUN = ContainerRun(name="check", image="sha256:1", command=("python3", "-c", "0"), devices=("k/gpu=0",), labels=LABELS)
OTHER = pb.PodSandboxConfig(labels={"app": "other"})
EXITED = pb.CONTAINER_EXITED


@pytest.fixture
def fake() -> FakeRuntime:
    return FakeRuntime(sandboxes={"other": OTHER})


@pytest.fixture
def runtime(fake: FakeRuntime, tmp_path: Path) -> Iterator[Runtime]:
    with fake.serve(tmp_path / "cri.sock") as socket:
        yield Runtime(socket=socket, clock=lambda: 0.0, wait=lambda _: None)


def test_a_container_runs_without_privileges_and_its_sandbox_is_removed(fake: FakeRuntime, runtime: Runtime) -> None:
    fake.ended = [pb.ContainerStatus(state=pb.CONTAINER_RUNNING), pb.ContainerStatus(state=EXITED, exit_code=3)]
    assert runtime.run(RUN, seconds=5.0).exit_code == 3
    (container,) = fake.containers
    assert [each.name for each in container.CDI_devices] == ["k/gpu=0"]
    security = container.linux.security_context
    assert (security.readonly_rootfs, security.no_new_privs, security.run_as_user.value) == (True, True, 65534)
    assert list(security.capabilities.drop_capabilities) == ["ALL"]
    assert fake.sandboxes == {"other": OTHER}


def test_the_sandbox_of_a_process_that_was_killed_is_removed_before(fake: FakeRuntime, runtime: Runtime) -> None:
    fake.sandboxes["left"] = pb.PodSandboxConfig(labels=LABELS)
    runtime.run(RUN, seconds=5.0)
    assert fake.sandboxes == {"other": OTHER}
    assert fake.calls.index("RemovePodSandbox") < fake.calls.index("RunPodSandbox")


@pytest.mark.parametrize("method", ["RunPodSandbox", "CreateContainer", "StartContainer", "ContainerStatus"])
def test_after_a_failed_call_no_sandbox_remains(method: str, fake: FakeRuntime, runtime: Runtime) -> None:
    fake.faults[method] = CallError("UNKNOWN", "unresolvable CDI devices k/gpu=0")
    with pytest.raises(KubeletError, match=r"unresolvable CDI devices k/gpu=0"):
        runtime.run(RUN, seconds=5.0)
    assert fake.sandboxes == {"other": OTHER}


def test_a_runtime_that_uses_systemd_gets_a_slice(fake: FakeRuntime, runtime: Runtime) -> None:
    fake.needs_slice = True
    assert runtime.run(RUN, seconds=5.0).exit_code == 0
    assert fake.calls.count("RunPodSandbox") == 2
    assert fake.sandboxes == {"other": OTHER}
    assert SYSTEMD_SLICE.endswith(".slice")


def test_a_container_that_does_not_end_is_removed_at_the_deadline(fake: FakeRuntime, runtime: Runtime) -> None:
    times = iter(range(100))
    late = Runtime(socket=runtime.socket, clock=lambda: float(next(times)), wait=lambda _: None)
    fake.ended = [pb.ContainerStatus(state=pb.CONTAINER_RUNNING)] * 100
    with pytest.raises(KubeletError, match="has not ended in time"):
        late.run(RUN, seconds=8.0)
    assert fake.sandboxes == {"other": OTHER}


def test_the_image_is_that_of_a_running_container_of_the_pod(fake: FakeRuntime, runtime: Runtime) -> None:
    fake.running = {"validator-x": "sha256:9"}
    assert runtime.find_image("gpunode", "validator-x") == "sha256:9"
    assert runtime.find_image("gpunode", "other") is None


def test_without_a_runtime_the_error_names_the_socket(tmp_path: Path) -> None:
    with pytest.raises(KubeletError, match=r"missing\.sock"):
        Runtime(socket=tmp_path / "missing.sock").remove(LABELS)


def test_the_first_socket_that_exists_is_used(runtime: Runtime, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert find_socket((tmp_path / "missing", tmp_path / "file", runtime.socket)) == runtime.socket
    assert find_socket((tmp_path / "missing",)) is None
