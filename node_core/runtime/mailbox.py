"""The queue of messages to the thread that owns the state of an agent."""

import threading
from collections import deque
from typing import Generic, TypeVar

Message = TypeVar("Message")


class Mailbox(Generic[Message]):
    """A queue that retains only the newest message of each type. Therefore a slow reader never has a backlog."""

    def __init__(self) -> None:
        self._messages: deque[Message] = deque()
        self._arrived = threading.Condition()

    def post(self, message: Message) -> None:
        """Queues a message. Callable from any thread. Does not block for long."""
        with self._arrived:
            self._messages = deque(waiting for waiting in self._messages if type(waiting) is not type(message))
            self._messages.append(message)
            self._arrived.notify()

    def wait_for(self, kind: type[Message], timeout: float) -> bool:
        """Waits at most `timeout` seconds for a message of this type. Returns whether the queue contains one. Removes no message."""
        with self._arrived:
            return self._arrived.wait_for(lambda: any(isinstance(each, kind) for each in self._messages), timeout)

    def get(self, timeout: float | None = None) -> Message | None:
        """Removes and returns the oldest message, or returns None after `timeout` seconds."""
        with self._arrived:
            self._arrived.wait_for(lambda: bool(self._messages), timeout)
            return self._messages.popleft() if self._messages else None
