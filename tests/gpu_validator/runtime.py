"""A container runtime that starts no containers, on a Unix socket."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from node_core.grpc_h2.methods import Methods, Unary
from node_core.grpc_h2.status import CallError
from node_core.kubelet import cri_pb2 as pb
from node_core.kubelet.server import UnixServer


@dataclass
class FakeRuntime:
    """sandboxes: id -> config. ended: what ContainerStatus returns for each container that was started, in order. calls: the methods.

    faults: method -> the error of the next call. needs_slice: refuses sandboxes without a cgroup parent, as runc with systemd does.
    """

    sandboxes: dict[str, pb.PodSandboxConfig] = field(default_factory=dict)
    containers: list[pb.ContainerConfig] = field(default_factory=list)
    running: dict[str, str] = field(default_factory=dict)
    ended: list[pb.ContainerStatus] = field(default_factory=list)
    faults: dict[str, CallError] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    needs_slice: bool = False

    @contextmanager
    def serve(self, socket: Path) -> Iterator[Path]:
        server = UnixServer(socket, self._methods(), name="runtime")
        server.start()
        try:
            yield socket
        finally:
            server.stop()

    def _methods(self) -> Methods:
        handlers: dict[str, tuple[Any, Callable[[Any], Any]]] = {
            "ListContainers": (pb.ListContainersRequest, self._list_containers),
            "ListPodSandbox": (pb.ListPodSandboxRequest, self._list),
            "RunPodSandbox": (pb.RunPodSandboxRequest, self._run),
            "StopPodSandbox": (pb.StopPodSandboxRequest, lambda _: pb.StopPodSandboxResponse()),
            "RemovePodSandbox": (pb.RemovePodSandboxRequest, self._remove),
            "CreateContainer": (pb.CreateContainerRequest, self._create),
            "StartContainer": (pb.StartContainerRequest, lambda _: pb.StartContainerResponse()),
            "ContainerStatus": (pb.ContainerStatusRequest, self._status),
        }
        return {
            f"/runtime.v1.RuntimeService/{name}": Unary(self._answer(name, *each)) for name, each in handlers.items()
        }

    def _answer(self, name: str, kind: Any, handle: Callable[[Any], Any]) -> Callable[[bytes], bytes]:
        def respond(request: bytes) -> bytes:
            self.calls.append(name)
            if name in self.faults:
                raise self.faults.pop(name)
            response: bytes = handle(kind.FromString(request)).SerializeToString()
            return response

        return respond

    def _list_containers(self, request: pb.ListContainersRequest) -> pb.ListContainersResponse:
        pod = request.filter.label_selector["io.kubernetes.pod.name"]
        found = (
            [pb.Container(id="c", image_ref=self.running[pod], state=pb.CONTAINER_RUNNING)]
            if pod in self.running
            else []
        )
        return pb.ListContainersResponse(containers=[pb.Container(id="old", image_ref="old"), *found])

    def _list(self, request: pb.ListPodSandboxRequest) -> pb.ListPodSandboxResponse:
        wanted = dict(request.filter.label_selector).items()
        ids = [each for each, config in self.sandboxes.items() if wanted <= dict(config.labels).items()]
        return pb.ListPodSandboxResponse(items=[pb.PodSandbox(id=each) for each in ids])

    def _run(self, request: pb.RunPodSandboxRequest) -> pb.RunPodSandboxResponse:
        name = f"s{len(self.calls)}"
        self.sandboxes[name] = request.config
        if self.needs_slice and not request.config.linux.cgroup_parent:
            raise CallError("UNKNOWN", 'expected cgroupsPath to be of format "slice:prefix:name" for systemd cgroups')
        return pb.RunPodSandboxResponse(pod_sandbox_id=name)

    def _remove(self, request: pb.RemovePodSandboxRequest) -> pb.RemovePodSandboxResponse:
        del self.sandboxes[request.pod_sandbox_id]
        return pb.RemovePodSandboxResponse()

    def _create(self, request: pb.CreateContainerRequest) -> pb.CreateContainerResponse:
        assert request.pod_sandbox_id in self.sandboxes
        assert request.sandbox_config == self.sandboxes[request.pod_sandbox_id]
        self.containers.append(request.config)
        return pb.CreateContainerResponse(container_id="c1")

    def _status(self, _: pb.ContainerStatusRequest) -> pb.ContainerStatusResponse:
        status = self.ended.pop(0) if self.ended else pb.ContainerStatus(state=pb.CONTAINER_EXITED)
        return pb.ContainerStatusResponse(status=status)
