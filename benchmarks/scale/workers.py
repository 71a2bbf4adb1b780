"""The processes of a fleet. Each has a part of the nodes, and receives calls over a pipe."""

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.procfs import count_threads, read_rss
from benchmarks.scale.fleet import Fleet, Place


def serve(connection: Connection, place: Place, names: Sequence[str]) -> None:
    """Runs in a worker until the pipe is closed."""
    fleet = Fleet(place, names)
    try:
        while True:
            method, arguments = connection.recv()
            connection.send(fleet.handle(method, arguments))
    except EOFError:
        return


class Workers:
    def __init__(self, connections: Sequence[Connection], pids: Sequence[int]) -> None:
        self._connections = connections
        self._pids = pids

    def call(self, method: str, *arguments: Any) -> list[Any]:
        """Calls a method of each fleet at the same time. Returns the results."""

        def one(connection: Connection) -> Any:
            connection.send((method, arguments))
            return connection.recv()

        with ThreadPoolExecutor(len(self._connections)) as executor:
            return list(executor.map(one, self._connections))

    def count(self, method: str, *arguments: Any) -> int:
        return sum(self.call(method, *arguments))

    def memory(self) -> tuple[float, int]:
        """Returns the resident MiB and the threads of all workers."""
        return sum(map(read_rss, self._pids)), sum(map(count_threads, self._pids))


@contextmanager
def open_workers(place: Place, names: Sequence[str], count: int) -> Iterator[Workers]:
    spawn = multiprocessing.get_context("spawn")
    connections, processes = [], []
    for number in range(count):
        ours, theirs = spawn.Pipe()
        process = spawn.Process(target=serve, args=(theirs, place, names[number::count]), daemon=True)
        process.start()
        theirs.close()
        connections.append(ours)
        processes.append(process)
    try:
        yield Workers(connections, [process.pid or 0 for process in processes])
    finally:
        for process in processes:
            process.kill()
            process.join()
