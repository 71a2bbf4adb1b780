"""How threads talk to the one that owns an agent's state."""

import threading
from collections import deque
from typing import Generic, TypeVar

Message = TypeVar("Message")


class Mailbox(Generic[Message]):
    """A queue that keeps only the newest message of each type, so a slow owner wakes to the present and never to a backlog."""

    def __init__(self) -> None:
        self._messages: deque[Message] = deque()
        self._arrived = threading.Condition()

    def post(self, message: Message) -> None:
        """Callable from any thread and from signal handlers' threads; never blocks for long."""
        with self._arrived:
            self._messages = deque(waiting for waiting in self._messages if type(waiting) is not type(message))
            self._messages.append(message)
            self._arrived.notify()

    def holds(self, kind: type[Message], timeout: float) -> bool:
        """Whether a message of this type is there within `timeout` seconds. Nothing is taken out."""
        with self._arrived:
            return self._arrived.wait_for(lambda: any(isinstance(each, kind) for each in self._messages), timeout)

    def take(self, timeout: float | None = None) -> Message | None:
        """The oldest message, or None after `timeout` seconds."""
        with self._arrived:
            self._arrived.wait_for(lambda: bool(self._messages), timeout)
            return self._messages.popleft() if self._messages else None
