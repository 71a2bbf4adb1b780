"""A stand-in for urllib3's answers."""

from collections.abc import Iterator
from typing import Any


class Answer:
    """A watch's answer, as urllib3 streams it."""

    status = 200

    def __init__(self, content: bytes) -> None:
        self.content = content

    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self.content

    def close(self) -> None: ...

    def release_conn(self) -> None: ...
