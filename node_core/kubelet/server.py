"""A gRPC server on a unix socket that comes and goes without a gap.

It binds to a hidden name and is then renamed to its public one. So a newer server takes the place of an older one in one step, and
gRPC, which removes a socket by its name when its server ends, never removes the newer one's.
"""

import secrets
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc

from node_core.errors import KubeletError
from node_core.kubelet.rpc import target
from node_core.kubelet.sockets import MAX_PATH, Stamp, read_stamp, require_free

STOP_SECONDS = 1.0


class UnixServer:
    """threads: how many calls are answered at once; each open stream takes one. Not to be started twice."""

    def __init__(self, path: Path, *handlers: grpc.GenericRpcHandler, threads: int = 8, name: str = "rpc") -> None:
        self.path = path
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._server = grpc.server(self._pool, handlers=list(handlers), options=[("grpc.so_reuseport", 0)])
        self._stamp: Stamp | None = None

    def start(self) -> None:
        """Raises KubeletError; then nothing is left behind, and `stop` may still be called."""
        require_free(self.path)
        hidden = self.path.with_name(f".{secrets.token_hex(4)}.sock")
        try:
            self._bind(hidden)
            self._server.start()
            hidden.rename(self.path)
        except OSError as error:
            self.stop()
            raise KubeletError(f"cannot serve {self.path}: {error.strerror}") from error
        except KubeletError:
            self.stop()
            raise
        self._stamp = read_stamp(self.path)

    @property
    def is_in_place(self) -> bool:
        """Whether our socket still lies under its name: the kubelet removes all plugins' sockets when it starts."""
        return self._stamp is not None and self._stamp.is_same_file(read_stamp(self.path))

    def stop(self, grace: float = 0.0) -> None:
        """Ends within `grace` seconds and a bit: calls that are not done by then are cut off. Removes the socket if it is ours."""
        if self.is_in_place:
            self.path.unlink(missing_ok=True)
        self._stamp = None
        self._server.stop(grace).wait(grace + STOP_SECONDS)
        self._pool.shutdown(wait=True)

    def _bind(self, hidden: Path) -> None:
        if not self.path.parent.is_dir():
            raise KubeletError(
                f"there is no directory {self.path.parent}", hint="is the kubelet installed and started?"
            )
        if len(str(hidden).encode()) > MAX_PATH:
            raise KubeletError(
                f"{self.path.parent} is too long for a unix socket: {MAX_PATH} bytes are allowed with its name"
            )
        try:
            self._server.add_insecure_port(target(hidden))
        except RuntimeError as error:
            raise KubeletError(f"cannot make a socket in {self.path.parent}: {_why_refused(hidden)}") from error


def _why_refused(path: Path) -> str:
    """gRPC does not say, and names the path, which is another one at each try."""
    with socket.socket(socket.AF_UNIX) as trial:
        try:
            trial.bind(str(path))
        except OSError as error:
            return error.strerror or str(error)
    path.unlink(missing_ok=True)
    return "gRPC cannot listen there"
