"""A gRPC server on a Unix socket. A new server can replace an old server without an interruption.

The server binds the socket to a hidden name and renames the socket to the public name, so the replacement is atomic.
"""

import secrets
import socket
from collections import ChainMap
from contextlib import suppress
from pathlib import Path

from node_core.errors import KubeletError
from node_core.grpc_h2.methods import Methods
from node_core.grpc_h2.server import Server
from node_core.kubelet.sockets import MAX_PATH, Stamp, read_stamp, require_free_path

STOP_SECONDS = 1.0
BACKLOG = 128


class UnixServer:
    """Serves the methods in one thread. Can be started only once."""

    def __init__(self, path: Path, *methods: Methods, name: str = "rpc") -> None:
        self.path = path
        self._methods = dict(ChainMap(*map(dict, methods)))
        self._name = name
        self._server: Server | None = None
        self._stamp: Stamp | None = None

    def start(self) -> None:
        """Starts the server. Raises KubeletError; after the error, no socket remains and `stop` may be called."""
        require_free_path(self.path)
        listener = self._listen()
        self._stamp = read_stamp(self.path)
        self._server = Server(listener, self._methods, name=self._name)
        self._server.start()

    @property
    def is_in_place(self) -> bool:
        """Whether the path still contains this server's socket. The kubelet removes the sockets of all plugins when the kubelet starts."""
        return self._stamp is not None and self._stamp.is_same_file(read_stamp(self.path))

    def stop(self, grace: float = 0.0) -> None:
        """Stops the server and removes the server's socket. grace: seconds after which open calls are aborted."""
        if self.is_in_place:
            self.path.unlink(missing_ok=True)
        self._stamp = None
        if self._server is not None:
            self._server.stop(grace, STOP_SECONDS)
            self._server = None

    def _listen(self) -> socket.socket:
        if not self.path.parent.is_dir():
            raise KubeletError(
                f"the directory {self.path.parent} does not exist",
                hint="check that the kubelet is installed and running",
            )
        hidden = self.path.with_name(f".{secrets.token_hex(4)}.sock")
        if len(str(hidden).encode()) > MAX_PATH:
            raise KubeletError(
                f"{self.path.parent} is too long for a Unix socket: the path and the socket name may have {MAX_PATH} bytes"
            )
        listener = socket.socket(socket.AF_UNIX)
        try:
            listener.bind(str(hidden))
            listener.listen(BACKLOG)
            hidden.rename(self.path)
        except OSError as error:
            listener.close()
            with suppress(OSError):
                hidden.unlink(missing_ok=True)
            raise KubeletError(f"cannot create a socket in {self.path.parent}: {error.strerror}") from error
        return listener
