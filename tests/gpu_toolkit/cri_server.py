"""A container runtime that answers as containerd does."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from node_core.grpc_h2.methods import Unary
from node_core.grpc_h2.status import CallError
from node_core.kubelet import cri_pb2 as pb
from node_core.kubelet.server import UnixServer

SERVICE = "/runtime.v1.RuntimeService"


@contextmanager
def cri_server(
    *,
    name: str = "containerd",
    version: str = "v2.1.9",
    ready: bool = True,
    config: Any = None,
    path: Path | None = None,
    ended: tuple[pb.ContainerState, int] = (pb.CONTAINER_RUNNING, 0),
    error: CallError | None = None,
) -> Iterator[Path]:
    """Yields the socket. config: of containerd; None for none. ended: the state and the exit status of each container.

    error: the answer to ContainerStatus in place of `ended`.
    """

    def container_status(_: bytes) -> bytes:
        if error is not None:
            raise error
        status = pb.ContainerStatus(state=ended[0], exit_code=ended[1])
        return bytes(pb.ContainerStatusResponse(status=status).SerializeToString())

    conditions = [pb.RuntimeCondition(type="RuntimeReady", status=ready, reason="Starting", message="not yet")]
    info = {} if config is None else {"config": json.dumps(config)}
    containers = [
        pb.Container(id="a", state=pb.CONTAINER_RUNNING, created_at=5_000_000_000),
        pb.Container(id="b", state=pb.CONTAINER_EXITED),
    ]
    responses = {
        "Version": pb.VersionResponse(runtime_name=name, runtime_version=version),
        "Status": pb.StatusResponse(status=pb.RuntimeStatus(conditions=conditions), info=info),
        "ListContainers": pb.ListContainersResponse(containers=containers),
    }
    methods = {
        f"{SERVICE}/{method}": Unary(lambda _, response=response: bytes(response.SerializeToString()))  # type: ignore[misc]
        for method, response in responses.items()
    }
    methods[f"{SERVICE}/ContainerStatus"] = Unary(container_status)
    with tempfile.TemporaryDirectory(prefix="cri-") as folder:
        socket = path or Path(folder) / "s"
        socket.parent.mkdir(parents=True, exist_ok=True)
        server = UnixServer(socket, methods, name="cri")
        server.start()
        try:
            yield socket
        finally:
            server.stop()
