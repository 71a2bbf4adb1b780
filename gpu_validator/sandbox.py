"""Runs a short-lived container in its own sandbox, through the API by which the kubelet starts pods.

The kubelet does not know the sandbox. It may remove the sandbox at any time, and it removes the sandbox if this process is killed.
Source: Kubernetes documentation, Container Runtime Interface; crictl, "Run pod sandbox".
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from node_core.errors import KubeletError
from node_core.grpc_h2.client import Client
from node_core.grpc_h2.status import CallError
from node_core.kubelet import cri_pb2 as pb
from node_core.kubelet.cri import SOCKETS
from node_core.kubelet.rpc import call, kubelet_error

NOBODY = 65534
POLL_SECONDS = 0.1
CLEAN_SECONDS = 10.0
"""The limit of each call that removes a sandbox."""
SYSTEMD_SLICE = "system.slice"
_NEEDS_SLICE = "slice:prefix:name"
"""A part of runc's error if the runtime uses systemd for cgroups and the sandbox names no slice."""
_POD, _NAMESPACE = "io.kubernetes.pod.name", "io.kubernetes.pod.namespace"
"""The kubelet sets these labels."""


class ContainerRun(msgspec.Struct, frozen=True, kw_only=True):
    """A container to run. name: of the sandbox and the container. image: of an image that the node has. devices: qualified CDI names.

    labels: identify the sandboxes of the caller.
    """

    name: str
    image: str
    command: tuple[str, ...]
    devices: tuple[str, ...] = ()
    labels: Mapping[str, str] = msgspec.field(default_factory=dict)


class ContainerEnd(msgspec.Struct, frozen=True, kw_only=True):
    """How a container ended. reason: of the runtime, for example `OOMKilled`."""

    exit_code: int
    reason: str = ""


class Runtime(msgspec.Struct, frozen=True, kw_only=True):
    """The container runtime at a socket. Methods raise KubeletError. wait: sleeps for some seconds."""

    socket: Path
    clock: Callable[[], float] = time.monotonic
    wait: Callable[[float], None] = time.sleep

    def find_image(self, namespace: str, pod: str) -> str | None:
        """Returns the image of a running container of a pod; None if the runtime has no such container."""
        wanted = pb.ContainerFilter(label_selector={_NAMESPACE: namespace, _POD: pod})
        with self._client() as client:
            request = pb.ListContainersRequest(filter=wanted)
            found = _call(client, "ListContainers", request, pb.ListContainersResponse, CLEAN_SECONDS)
        running = (each for each in found.containers if each.state == pb.CONTAINER_RUNNING)
        return next((each.image_ref for each in running if each.image_ref), None)

    def run(self, container: ContainerRun, *, seconds: float) -> ContainerEnd:
        """Runs a container until its end. Removes its sandbox, and those with the same labels of a process that was killed before."""
        deadline = self.clock() + seconds
        with self._client() as client:
            _remove_sandboxes(client, container.labels)
            try:
                config, sandbox = self._run_sandbox(client, container, deadline)
                created = pb.CreateContainerRequest(
                    pod_sandbox_id=sandbox, config=_render_container(container), sandbox_config=config
                )
                made = self._call(client, "CreateContainer", created, pb.CreateContainerResponse, deadline)
                started = pb.StartContainerRequest(container_id=made.container_id)
                self._call(client, "StartContainer", started, pb.StartContainerResponse, deadline)
                return self._wait_for_end(client, made.container_id, deadline)
            finally:
                with suppress(CallError):
                    _remove_sandboxes(client, container.labels)

    def remove(self, labels: Mapping[str, str]) -> None:
        """Removes the sandboxes with these labels."""
        with self._client() as client:
            _remove_sandboxes(client, labels)

    def _run_sandbox(self, client: Client, container: ContainerRun, deadline: float) -> tuple[pb.PodSandboxConfig, str]:
        """Returns the config and the id of the sandbox. The second attempt is for runtimes that use systemd for cgroups."""
        config = _render_sandbox(container, cgroup_parent="")
        try:
            return config, self._sandbox(client, config, deadline)
        except CallError as error:
            if _NEEDS_SLICE not in error.message:
                raise
        _remove_sandboxes(client, container.labels)
        config = _render_sandbox(container, cgroup_parent=SYSTEMD_SLICE)
        return config, self._sandbox(client, config, deadline)

    def _sandbox(self, client: Client, config: pb.PodSandboxConfig, deadline: float) -> str:
        request = pb.RunPodSandboxRequest(config=config)
        made = self._call(client, "RunPodSandbox", request, pb.RunPodSandboxResponse, deadline)
        return str(made.pod_sandbox_id)

    def _wait_for_end(self, client: Client, container: str, deadline: float) -> ContainerEnd:
        request = pb.ContainerStatusRequest(container_id=container)
        while True:
            status = self._call(client, "ContainerStatus", request, pb.ContainerStatusResponse, deadline).status
            if status.state == pb.CONTAINER_EXITED:
                return ContainerEnd(exit_code=status.exit_code, reason=status.reason)
            self.wait(POLL_SECONDS)

    def _call(self, client: Client, method: str, request: Any, response_type: Any, deadline: float) -> Any:
        left = deadline - self.clock()
        if left <= 0:
            raise CallError("DEADLINE_EXCEEDED", f"the container has not ended in time, before {method}")
        return _call(client, method, request, response_type, left)

    @contextmanager
    def _client(self) -> Iterator[Client]:
        try:
            with Client(self.socket) as client:
                yield client
        except CallError as error:
            raise runtime_error(self.socket, error) from error


def runtime_error(socket: Path, error: CallError) -> KubeletError:
    return kubelet_error(f"the container runtime at {socket} reports an error", error)


def find_socket(sockets: Sequence[Path] = tuple(map(Path, SOCKETS))) -> Path | None:
    """Returns the first socket that exists, or that this process may not search: then the error of the call states that."""
    return next(filter(_may_exist, sockets), None)


def _may_exist(path: Path) -> bool:
    try:
        return path.is_socket()
    except OSError:
        return True


def _call(client: Client, method: str, request: Any, response_type: Any, seconds: float) -> Any:
    return call(client, f"/runtime.v1.RuntimeService/{method}", request, response_type, timeout=seconds)


def _remove_sandboxes(client: Client, labels: Mapping[str, str]) -> None:
    """Removes sandboxes with their containers. The kubelet may have removed one of them in the meantime."""
    request = pb.ListPodSandboxRequest(filter=pb.PodSandboxFilter(label_selector=labels))
    for each in _call(client, "ListPodSandbox", request, pb.ListPodSandboxResponse, CLEAN_SECONDS).items:
        stop = pb.StopPodSandboxRequest(pod_sandbox_id=each.id)
        _call(client, "StopPodSandbox", stop, pb.StopPodSandboxResponse, CLEAN_SECONDS)
        remove = pb.RemovePodSandboxRequest(pod_sandbox_id=each.id)
        _call(client, "RemovePodSandbox", remove, pb.RemovePodSandboxResponse, CLEAN_SECONDS)


def _render_sandbox(container: ContainerRun, *, cgroup_parent: str) -> pb.PodSandboxConfig:
    """The network of the node, because a network of its own would need the CNI plugins of the cluster."""
    security = pb.LinuxSandboxSecurityContext(namespace_options=_namespaces())
    return pb.PodSandboxConfig(
        metadata=pb.PodSandboxMetadata(name=container.name, uid=container.name, namespace=container.name),
        labels=container.labels,
        linux=pb.LinuxPodSandboxConfig(cgroup_parent=cgroup_parent, security_context=security),
    )


def _render_container(container: ContainerRun) -> pb.ContainerConfig:
    security = pb.LinuxContainerSecurityContext(
        capabilities=pb.Capability(drop_capabilities=["ALL"]),
        namespace_options=_namespaces(),
        run_as_user=pb.Int64Value(value=NOBODY),
        readonly_rootfs=True,
        no_new_privs=True,
    )
    return pb.ContainerConfig(
        metadata=pb.ContainerMetadata(name=container.name),
        image=pb.ImageSpec(image=container.image),
        command=container.command,
        labels=container.labels,
        linux=pb.LinuxContainerConfig(security_context=security),
        CDI_devices=[pb.CDIDevice(name=name) for name in container.devices],
    )


def _namespaces() -> pb.NamespaceOption:
    return pb.NamespaceOption(network=pb.NODE, pid=pb.CONTAINER)
