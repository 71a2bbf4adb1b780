"""Registration of a resource with kubelets of both API versions."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from node_core.errors import KubeletError
from node_core.grpc_h2.methods import Methods
from node_core.grpc_h2.status import CallError
from node_core.kubelet import deviceplugin_pb2 as pb
from node_core.kubelet.registration import RegistrationOptions, register
from node_core.kubelet.server import UnixServer
from node_core.kubelet.service import registration_methods
from tests.node_core.kubelet.stale_socket import leave_stale_socket

OPTIONS = pb.DevicePluginOptions(get_preferred_allocation_available=True)


@pytest.fixture
def kubelet(directory: Path) -> Iterator[Callable[..., Path]]:
    servers: list[UnixServer] = []

    def start(*handlers: Methods) -> Path:
        servers.append(UnixServer(directory / "kubelet.sock", *handlers))
        servers[-1].start()
        return servers[-1].path

    yield start
    for server in servers:
        server.stop()


def test_a_registration_contains_version_endpoint_resource_and_options(kubelet: Callable[..., Path]) -> None:
    seen: list[pb.RegisterRequest] = []
    socket = kubelet(registration_methods(seen.append))
    register(socket, "nvidia.com/gpu", "nvidia-gpu.sock", OPTIONS)
    assert seen == [
        pb.RegisterRequest(
            version="v1beta1", endpoint="nvidia-gpu.sock", resource_name="nvidia.com/gpu", options=OPTIONS
        )
    ]


def test_a_rejected_registration_has_the_kubelets_message(kubelet: Callable[..., Path]) -> None:
    def refuse(_: pb.RegisterRequest) -> None:
        raise CallError("UNKNOWN", "not supported by kubelet")

    socket = kubelet(registration_methods(refuse))
    with pytest.raises(KubeletError, match=r"code = UNKNOWN desc = not supported by kubelet"):
        register(socket, "nvidia.com/gpu", "nvidia-gpu.sock", OPTIONS)


def test_a_registration_with_a_hanging_kubelet_ends_after_the_timeout(kubelet: Callable[..., Path]) -> None:
    let_go = threading.Event()

    def hang(_: pb.RegisterRequest) -> None:
        let_go.wait(60)

    socket = kubelet(registration_methods(hang))
    try:
        with pytest.raises(KubeletError, match="DEADLINE_EXCEEDED"):
            register(socket, "r", "e", OPTIONS, RegistrationOptions(timeout=0.05))
    finally:
        let_go.set()


def test_a_missing_kubelet_is_an_error(directory: Path) -> None:
    with pytest.raises(KubeletError, match="does not exist"):
        register(directory / "kubelet.sock", "r", "e", OPTIONS)
    leave_stale_socket(directory / "kubelet.sock")
    with pytest.raises(KubeletError, match="UNAVAILABLE"):
        register(directory / "kubelet.sock", "r", "e", OPTIONS)


def test_a_plugin_registers_with_an_old_kubelet_in_v1alpha(kubelet: Callable[..., Path]) -> None:
    seen: list[pb.RegisterRequest] = []
    socket = kubelet(registration_methods(seen.append, package="deviceplugin"))
    assert register(socket, "nvidia.com/gpu", "nvidia-gpu.sock", OPTIONS) == "v1alpha"
    expected = pb.RegisterRequest(version="v1alpha", endpoint="nvidia-gpu.sock", resource_name="nvidia.com/gpu")
    assert seen == [expected]


def test_a_kubelet_that_requires_v1alpha_is_registered_with_in_v1alpha(kubelet: Callable[..., Path]) -> None:
    def refuse(_: pb.RegisterRequest) -> None:
        raise CallError(
            "UNKNOWN", 'requested API version "v1beta1" is not supported by kubelet. Supported is "v1alpha"'
        )

    seen: list[pb.RegisterRequest] = []
    socket = kubelet(registration_methods(refuse), registration_methods(seen.append, package="deviceplugin"))
    assert register(socket, "r", "e", OPTIONS) == "v1alpha"
    assert [request.version for request in seen] == ["v1alpha"]


def test_a_new_kubelet_receives_no_v1alpha_registration(kubelet: Callable[..., Path]) -> None:
    old: list[pb.RegisterRequest] = []
    new: list[pb.RegisterRequest] = []
    socket = kubelet(registration_methods(new.append), registration_methods(old.append, package="deviceplugin"))
    assert register(socket, "r", "e", OPTIONS) == "v1beta1"
    assert (len(new), old) == (1, [])


def test_other_errors_do_not_cause_a_v1alpha_registration(kubelet: Callable[..., Path]) -> None:
    def refuse(_: pb.RegisterRequest) -> None:
        raise CallError("UNKNOWN", "the resource name is taken")

    old: list[pb.RegisterRequest] = []
    socket = kubelet(registration_methods(refuse), registration_methods(old.append, package="deviceplugin"))
    with pytest.raises(KubeletError, match="the resource name is taken"):
        register(socket, "r", "e", OPTIONS)
    assert old == []


def test_the_options_can_restrict_the_registration_to_one_version(kubelet: Callable[..., Path]) -> None:
    socket = kubelet(registration_methods(lambda _: None))
    with pytest.raises(KubeletError, match="UNIMPLEMENTED"):
        register(socket, "r", "e", OPTIONS, RegistrationOptions(versions=("v1alpha",)))
