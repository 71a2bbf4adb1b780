"""The methods of a server by path. A method is a function from bytes to bytes."""

from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec


class ResponseStream(Protocol):
    """The interface through which a method sends the responses of one streaming call."""

    def send(self, message: bytes) -> None:
        """Sends the message. Thread-safe; never blocks. The message replaces an older message that is not sent yet."""
        ...

    def close(self) -> None:
        """Ends the call after the newest message is sent. Thread-safe."""
        ...

    def abort(self, code: str, message: str) -> None:
        """Ends the call with an error. Drops the data that is not sent yet. Thread-safe."""
        ...

    def on_end(self, callback: Callable[[], None]) -> None:
        """Sets the function that the server's thread calls when the call ends. Must be set before the method returns."""
        ...


class Unary(msgspec.Struct, frozen=True):
    """A method with one request and one response. respond: runs in the server's thread; may raise CallError."""

    respond: Callable[[bytes], bytes]


class Streaming(msgspec.Struct, frozen=True):
    """A method with one request and many responses. start: runs in the server's thread and returns immediately; may raise CallError."""

    start: Callable[[bytes, ResponseStream], None]


Method = Unary | Streaming
Methods = Mapping[str, Method]
