"""A client of a container runtime: its version, its state, the config that it runs with, and its containers.

Source: Kubernetes documentation, Container Runtime Interface. The runtime decides what `info` of its Status contains: containerd returns
its running config as JSON.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from node_core.errors import RuntimeConfigError
from node_core.grpc_h2.client import Client
from node_core.grpc_h2.status import CallError
from node_core.kubelet import cri_pb2 as pb
from node_core.kubelet.rpc import call

SOCKETS = (
    "/run/containerd/containerd.sock",
    "/run/k3s/containerd/containerd.sock",
    "/var/snap/microk8s/common/run/containerd.sock",
    "/run/k0s/containerd.sock",
    "/run/crio/crio.sock",
    "/run/cri-dockerd.sock",
)
"""The default sockets of containerd, of k3s and RKE2, of MicroK8s, of k0s, of CRI-O, and of cri-dockerd.

Source: Kubernetes documentation, Container Runtimes; documentation of k3s, RKE2, MicroK8s and k0s.
"""
TIMEOUT = 10.0
MAX_BYTES = 16 << 20
READY = "RuntimeReady"
_SERVICE = "/runtime.v1.RuntimeService"


class RuntimeStatus(msgspec.Struct, frozen=True, kw_only=True):
    """name, version: for example `containerd`, `2.1.4`. problem: why the runtime is not ready, or None. info: its own documents by name."""

    name: str
    version: str
    problem: str | None = None
    info: Mapping[str, str] = msgspec.field(default_factory=dict)


class RunningContainer(msgspec.Struct, frozen=True, kw_only=True):
    """created_at: Unix seconds."""

    id: str
    created_at: float


class CriClient:
    """Calls the runtime behind a socket. Every method raises RuntimeConfigError if the runtime does not respond."""

    def __init__(self, socket: Path, *, timeout: float = TIMEOUT) -> None:
        self._socket, self._timeout = socket, timeout

    def status(self) -> RuntimeStatus:
        version = self._call("Version", pb.VersionRequest(), pb.VersionResponse)
        status = self._call("Status", pb.StatusRequest(verbose=True), pb.StatusResponse)
        return RuntimeStatus(
            name=version.runtime_name,
            version=version.runtime_version,
            problem=_problem(status.status.conditions),
            info=dict(status.info),
        )

    def running(self) -> tuple[RunningContainer, ...]:
        listed = self._call("ListContainers", pb.ListContainersRequest(), pb.ListContainersResponse)
        return tuple(
            RunningContainer(id=each.id, created_at=each.created_at / 1e9)
            for each in listed.containers
            if each.state == pb.CONTAINER_RUNNING
        )

    def is_done(self, container: str) -> bool:
        """Returns whether the container with this id has ended with status 0, or was removed, for example with its pod."""
        request = pb.ContainerStatusRequest(container_id=container)
        try:
            status = self._try_call("ContainerStatus", request, pb.ContainerStatusResponse).status
        except CallError as error:
            if error.code == "NOT_FOUND":
                return True
            raise self._no_answer("ContainerStatus", error) from error
        return bool(status.state == pb.CONTAINER_EXITED and status.exit_code == 0)

    def _call(self, method: str, request: Any, response_type: Any) -> Any:
        try:
            return self._try_call(method, request, response_type)
        except CallError as error:
            raise self._no_answer(method, error) from error

    def _try_call(self, method: str, request: Any, response_type: Any) -> Any:
        """Raises CallError."""
        with Client(self._socket, max_bytes=MAX_BYTES) as client:
            return call(client, f"{_SERVICE}/{method}", request, response_type, timeout=self._timeout)

    def _no_answer(self, method: str, error: CallError) -> RuntimeConfigError:
        why = f"the container runtime at {self._socket} did not answer {method}: {error.code}: {error.message}"
        return RuntimeConfigError(why)


def _problem(conditions: Any) -> str | None:
    ready = next((each for each in conditions if each.type == READY), None)
    if ready is None:
        return f"the runtime does not report the condition {READY}"
    return None if ready.status else f"{ready.reason}: {ready.message}"
