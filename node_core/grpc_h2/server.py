"""A gRPC server on a listening socket. The server runs one thread, which sleeps until an event occurs.

The thread runs the method of every call, so methods must not block. A client that does not read responses or does not complete a
request uses one file descriptor and a bounded buffer.
"""

import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import structlog

from node_core.grpc_h2.connection import Connection
from node_core.grpc_h2.methods import Methods

MAX_CONNECTIONS = 256
ACCEPT_AGAIN = 1.0
"""Seconds for which the server accepts no client after the process has no file descriptor left."""

log = structlog.get_logger(__name__)


class Server:
    """A server. Can be started only once. listener: a listening socket, which the server closes."""

    def __init__(self, listener: socket.socket, methods: Methods, *, name: str = "rpc") -> None:
        self._listener = listener
        self._methods = methods
        self._posts: deque[Callable[[], None]] = deque()
        self._connections: dict[Connection, int] = {}
        self._accept_at: float | None = None
        self._stop_at: float | None = None
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def connections(self) -> int:
        """The number of connected clients."""
        return len(self._connections)

    def start(self) -> None:
        for each in (self._listener, self._wake_read, self._wake_write):
            each.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        self._selector.register(self._wake_read, selectors.EVENT_READ, self._drain)
        self._thread.start()

    def stop(self, grace: float, wait: float) -> None:
        """Stops the server when every call has ended, at the latest after `grace` seconds. Waits up to `grace + wait` seconds."""
        self._send(partial(self._begin_stop, time.monotonic() + grace))
        self._thread.join(grace + wait)

    def _send(self, function: Callable[[], None]) -> None:
        """Runs the function in the server's thread."""
        self._posts.append(function)
        with suppress(
            OSError
        ):  # if the buffer is full, the thread wakes up anyway; if the socket is closed, the server has ended
            self._wake_write.send(b"\0")

    def _post(self, connection: Connection, function: Callable[[], None]) -> None:
        self._send(partial(self._do, connection, function))

    def _do(self, connection: Connection, function: Callable[[], None]) -> None:
        function()
        self._serve(connection, connection.write)

    def _run(self) -> None:
        try:
            while self._stop_at is None or (self._has_work() and time.monotonic() < self._stop_at):
                self._step()
        finally:
            self._end()

    def _step(self) -> None:
        deadline = self._next_deadline()
        wait = None if deadline is None else max(0.0, deadline - time.monotonic())
        for key, events in self._selector.select(wait):
            if not isinstance(key.data, Connection):
                key.data()
                continue
            if events & selectors.EVENT_READ:
                self._serve(key.data, key.data.read)
            if events & selectors.EVENT_WRITE:
                self._serve(key.data, key.data.write)
        while self._posts:
            self._posts.popleft()()
        if deadline is not None and deadline <= (now := time.monotonic()):
            self._expire(now)

    def _has_work(self) -> bool:
        return any(connection.calls or connection.wants_write for connection in self._connections)

    def _next_deadline(self) -> float | None:
        """Returns the next deadline, or None without a deadline. Clock: time.monotonic()."""
        deadlines = [at for connection in self._connections for at in connection.deadlines()]
        deadlines += [at for at in (self._accept_at, self._stop_at) if at is not None]
        return min(deadlines, default=None)

    def _expire(self, now: float) -> None:
        for connection in [each for each in self._connections if any(at <= now for at in each.deadlines())]:
            self._serve(connection, partial(connection.expire, now))
        if self._accept_at is not None and now >= self._accept_at:
            self._accept_at = None
            self._selector.register(self._listener, selectors.EVENT_READ, self._accept)

    def _serve(self, connection: Connection, action: Callable[[], None]) -> None:
        """Runs the action if the connection is registered. Then updates the events that the selector waits for."""
        if connection not in self._connections:
            return
        try:
            action()
        except Exception:
            log.exception("rpc_connection_failed")
            connection.close()
        if connection.is_closed:
            self._forget(connection)
            return
        events = connection.wants_read * selectors.EVENT_READ | connection.wants_write * selectors.EVENT_WRITE
        if self._connections[connection] != events:
            self._connections[connection] = events
            self._selector.modify(connection.peer, events, connection)

    def _forget(self, connection: Connection) -> None:
        del self._connections[connection]
        self._selector.unregister(connection.peer)

    def _accept(self) -> None:
        try:
            peer, _ = self._listener.accept()
        except (BlockingIOError, ConnectionError):
            return
        except OSError as error:  # without a pause, the pending client would wake the thread in a loop
            log.warning("rpc_accept_failed", error=error.strerror)
            self._selector.unregister(self._listener)
            self._accept_at = time.monotonic() + ACCEPT_AGAIN
            return
        peer.setblocking(False)
        connection = Connection(peer, self._methods, self._post)
        self._make_room()
        self._connections[connection] = selectors.EVENT_READ
        self._selector.register(peer, selectors.EVENT_READ, connection)
        self._serve(connection, connection.write)

    def _make_room(self) -> None:
        """Closes a connection if the limit is reached: the oldest connection without a call, else the oldest connection."""
        if len(self._connections) >= MAX_CONNECTIONS:
            idle = (connection for connection in self._connections if not connection.calls)
            oldest = next(idle, next(iter(self._connections)))
            oldest.close()
            self._forget(oldest)

    def _drain(self) -> None:
        with suppress(BlockingIOError):
            self._wake_read.recv(4096)

    def _begin_stop(self, deadline: float) -> None:
        self._stop_at = deadline
        self._accept_at = None
        with suppress(KeyError):  # the listener is not registered during the pause
            self._selector.unregister(self._listener)
        self._listener.close()

    def _end(self) -> None:
        for connection in self._connections:
            connection.go_away()
        for each in (self._selector, self._listener, self._wake_read, self._wake_write):
            each.close()
