"""Serves the application on a port of this machine until a signal."""

import os
import socket

import uvicorn
from starlette.applications import Starlette

from gpunode.ui.app import ChangeSignal
from node_core.errors import NodeError

ADDRESS = "127.0.0.1"


class Server(uvicorn.Server):
    """Ends the streams of the browsers at a signal: uvicorn would wait for their responses."""

    def __init__(self, app: Starlette, signal: ChangeSignal) -> None:
        super().__init__(uvicorn.Config(app, log_level="error", access_log=False, server_header=False, ws="none"))
        self._signal = signal

    def handle_exit(self, sig: int, frame: object) -> None:
        self.end_streams()
        super().handle_exit(sig, frame)  # type: ignore[arg-type]

    def end_streams(self) -> None:
        self._signal.is_stopping = True
        self._signal.notify()


def listen(port: int) -> socket.socket:
    """Returns a socket on ADDRESS. A browser may connect at once, and waits for the server. Raises NodeError if the port cannot be used.

    port: 0 selects an unused port.
    """
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((ADDRESS, port))
        listener.listen()
    except OSError as error:
        listener.close()
        why = os.strerror(error.errno or 0).lower()
        raise NodeError(f"cannot listen on {ADDRESS}:{port}: {why}", hint="choose another --port") from error
    return listener
