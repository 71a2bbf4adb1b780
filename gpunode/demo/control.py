"""Commands to a running demo: from another terminal through a Unix socket, and from the demo's own terminal."""

import json
import os
import select
import shlex
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import get_args

from node_core.decode import Document, parse_yaml
from node_core.errors import SettingsError
from simulation.scenarios.file_format import FaultKind

SOCKET = "control.sock"
PREFIX = "gpunode-demo-"
"""Of the demo's temporary directory."""
MAX_BYTES = 1 << 16
CLIENT_SECONDS = 60.0
"""How long a client waits for the reply: the demo may have to stop and start the agents."""
KINDS = get_args(FaultKind)
EXAMPLES = {
    "fault lost gpu=3 for=30": "GPU 3 is lost for 30 seconds.",
    "fault xid gpu=0 code=79": "GPU 0 reports Xid 79.",
    "scenario": "Start the scenario again, without your faults.",
    "scenario a100x8": "Simulate other GPUs: a name, or the path of a YAML file.",
}
"""Commands with their effects."""
EXAMPLE = "Example: fault lost gpu=3 for=30"

RunCommand = Callable[[Sequence[str]], str]
"""Runs a command in words and returns the reply. Raises SettingsError."""


class ControlSocket:
    """The demo's end of the socket. The demo polls it, so no thread is necessary."""

    def __init__(self, path: Path) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(8)
        self._listener.setblocking(False)

    def close(self) -> None:
        self._listener.close()

    def poll(self, run: RunCommand) -> None:
        """Runs the commands of all waiting clients. A client that does not send its command is ignored."""
        while True:
            try:
                connection, _ = self._listener.accept()
            except BlockingIOError:
                return
            with connection, suppress(OSError, ValueError):
                connection.settimeout(1.0)
                connection.sendall(json.dumps(_reply(run, json.loads(_receive(connection)))).encode())


class Terminal:
    """The lines that the user types in the demo's terminal. Nothing is read in a background job, which the read would stop."""

    def __init__(self) -> None:
        self._is_open = sys.stdin is not None and sys.stdin.isatty()

    def lines(self) -> Iterator[Sequence[str]]:
        """Yields the words of the lines that the user has typed since the last call."""
        while self._is_open and self._is_in_foreground() and select.select([sys.stdin], [], [], 0)[0]:
            line = sys.stdin.readline()
            if not line:  # Ctrl-D
                return
            try:
                words = shlex.split(line)
            except ValueError:
                words = line.split()
            if words:
                yield words

    def _is_in_foreground(self) -> bool:
        try:
            return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
        except OSError:
            return False


def parse_fault_words(words: Sequence[str]) -> Mapping[str, object]:
    """Parses `lost gpu=3 for=30`. The keys and values are those of a scenario file. Raises SettingsError."""
    if not words or words[0] not in KINDS:
        problem = f"{words[0]!r} is not a kind of fault" if words else "the kind of the fault is missing"
        raise SettingsError([f"{problem}. Use one of {', '.join(KINDS)}. {EXAMPLE}"])
    fault: dict[str, object] = {"kind": words[0]}
    for word in words[1:]:
        key, equals, value = word.partition("=")
        if not key or not equals or not value:
            raise SettingsError([f"{word!r} is not KEY=VALUE. {EXAMPLE}"])
        if key in fault:
            raise SettingsError([f"{key} is specified twice"])
        fault[key], *_ = parse_yaml(Document(source=key, content=f"- {value}".encode(errors="replace")))
    return fault


def send_command(words: Sequence[str]) -> str:
    """Sends a command to the running demo and returns the reply.

    Raises SettingsError if the demo refuses the command, and OSError without a demo.
    """
    with _connect() as connection:
        connection.settimeout(CLIENT_SECONDS)
        try:
            connection.sendall(json.dumps(list(words)).encode())
            connection.shutdown(socket.SHUT_WR)
            reply = json.loads(_receive(connection))
        except TimeoutError:
            raise ConnectionError(
                "the demo does not respond. Check whether it is stopped, for example by Ctrl-Z."
            ) from None
        except (ValueError, OSError):
            raise ConnectionError("the demo has ended.") from None
    if reply["problems"]:
        raise SettingsError(reply["problems"])
    return str(reply["text"])


def _connect() -> socket.socket:
    """Connects to the demo of KUBECONFIG, otherwise to the newest demo."""
    own = [Path(path).parent / SOCKET for path in os.environ.get("KUBECONFIG", "").split(os.pathsep) if path]
    others = [path for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/{SOCKET}") if _age(path) is not None]
    for path in (*own, *sorted(others, key=lambda path: _age(path) or 0.0, reverse=True)):
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(str(path))
        except OSError:
            connection.close()
        else:
            return connection
    raise ConnectionError(
        "no demo is running, or its tour has not finished. Start one with `make demo` or `gpunode demo`."
    )


def _age(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except OSError:
        return None


def _receive(connection: socket.socket) -> bytes:
    content = b""
    while len(content) < MAX_BYTES and (part := connection.recv(MAX_BYTES)):
        content += part
    return content


def _reply(run: RunCommand, words: object) -> dict[str, object]:
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        return {"text": "", "problems": ["a command is a list of words"]}
    try:
        return {"text": run(words), "problems": []}
    except SettingsError as error:
        return {"text": "", "problems": list(error.problems)}
