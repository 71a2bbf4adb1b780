"""The processes of a fleet. Each has a part of the nodes, and receives calls over a socket, see worker.py."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from benchmarks.procfs import count_threads, read_pss
from benchmarks.scale.fleet import Place

ROOT = Path(__file__).parents[2]
COMMAND = ("-m", "gevent.monkey", "--module", "benchmarks.scale.worker")


class Worker:
    """Raises SystemExit if the process has ended."""

    def __init__(self, place: Place, names: Sequence[str]) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, *COMMAND, str(theirs.fileno())],
                pass_fds=[theirs.fileno()], cwd=ROOT,
            )  # fmt: skip
        with ours:
            self._lines = ours.makefile("rw")
        self._send([place.url, str(place.account), list(names)])

    @property
    def pid(self) -> int:
        return self._process.pid

    def call(self, method: str, *arguments: Any) -> Any:
        try:
            self._send([method, arguments])
            line = self._lines.readline()
        except OSError:
            line = ""
        if not line:
            raise SystemExit(f"a process of the agents ended with status {self._process.wait()}")
        return json.loads(line)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        with suppress(OSError):  # calls that the process did not read
            self._lines.close()

    def _send(self, content: object) -> None:
        self._lines.write(json.dumps(content) + "\n")
        self._lines.flush()


class Workers:
    def __init__(self, workers: Sequence[Worker]) -> None:
        self._workers = workers

    def __len__(self) -> int:
        return len(self._workers)

    def call(self, method: str, *arguments: Any) -> list[Any]:
        """Calls a method of each fleet at the same time. Returns the results."""
        with ThreadPoolExecutor(len(self._workers)) as executor:
            return list(executor.map(lambda worker: worker.call(method, *arguments), self._workers))

    def memory(self) -> tuple[float, int]:
        """Returns the MiB (PSS) and the threads of all workers."""
        pids = [worker.pid for worker in self._workers]
        return sum(map(read_pss, pids)), sum(map(count_threads, pids))


@contextmanager
def open_workers(place: Place, names: Sequence[str], count: int) -> Iterator[Workers]:
    workers: list[Worker] = []
    try:
        for number in range(count):
            workers.append(Worker(place, names[number::count]))  # noqa: PERF401 - those that have started must end
        yield Workers(workers)
    finally:
        for worker in workers:
            worker.kill()
