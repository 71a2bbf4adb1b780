"""A process with a part of the nodes of a fleet: `python -m gevent.monkey --module benchmarks.scale.worker DESCRIPTOR`.

gevent replaces threads by greenlets and blocking sockets by one event loop, so the code of the agents runs as it is, and thousands of
their threads cost neither a thread of the system each nor a wait for the interpreter lock. The descriptor is a socket, over which the
calls and the results are lines of JSON.
"""

import json
import signal
import socket
import sys
from pathlib import Path

from benchmarks.scale.fleet import Fleet, Place


def serve(calls: socket.socket) -> None:
    """Runs calls until the other side closes the socket. The first line has the place and the names of the nodes."""
    lines = calls.makefile("rw")
    url, account, names = json.loads(lines.readline())
    fleet = Fleet(Place(url=url, account=Path(account)), names)
    for line in lines:
        method, arguments = json.loads(line)
        lines.write(json.dumps(fleet.handle(method, arguments)) + "\n")
        lines.flush()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process ends this one
    serve(socket.socket(fileno=int(sys.argv[1])))
