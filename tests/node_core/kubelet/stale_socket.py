"""The socket of a terminated process."""

import socket
from pathlib import Path


def leave_stale_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
