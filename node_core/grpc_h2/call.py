"""The server side of one call: the received request and the response to send. Only the server's thread uses the call."""

import time
from collections.abc import Callable

from node_core.grpc_h2 import messages
from node_core.grpc_h2.status import CallError, Status


class Call:
    """One call. output: response bytes that flow control has not allowed yet. ending: the status to send after the output."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.path = ""
        self.deadline: float | None = None
        self.output = memoryview(b"")
        self.has_begun = False
        self.is_request_over = False
        self.ending: tuple[Status, str] | None = None
        self.on_end: Callable[[], None] = lambda: None
        self._newest: bytes | None = None
        self._decoder = messages.Decoder()
        self._requests: list[bytes] = []

    @property
    def buffered(self) -> int:
        """The number of received request bytes."""
        return len(self._decoder) + sum(map(len, self._requests))

    def limit(self, seconds: float | None) -> None:
        """Sets the deadline. seconds: from now; None for no deadline."""
        self.deadline = None if seconds is None else time.monotonic() + seconds

    def receive(self, data: bytes) -> None:
        """Accepts data of the request. Raises CallError."""
        self._requests += self._decoder.feed(data)
        if len(self._requests) > 1:
            raise CallError("UNIMPLEMENTED", "the method accepts only one request message")

    def pop_request(self) -> bytes:
        """Returns the request after the client has ended the stream. Raises CallError if the request is not complete."""
        if len(self._requests) != 1 or len(self._decoder):
            raise CallError("INTERNAL", "the client ended the call before the request was complete")
        return self._requests.pop()

    def offer(self, message: bytes) -> None:
        """Sets the next message to send. Replaces an older message of which no byte is sent yet."""
        if self.ending is None:
            self._newest = message

    def end(self) -> None:
        """Ends the call after the newest message is sent."""
        self.ending = self.ending or (Status.OK, "")

    def abort(self, code: str, message: str) -> None:
        """Ends the call with an error. Drops the data that is not sent yet."""
        self.output, self._newest = memoryview(b""), None
        self._decoder, self._requests = messages.Decoder(), []
        self.ending = (Status[code], message)

    def has_output(self) -> bool:
        """Returns whether the call has output. Encodes the newest message if the previous output is sent."""
        if not self.output and self._newest is not None:
            self.output, self._newest = memoryview(messages.encode(self._newest)), None
        return bool(self.output)
