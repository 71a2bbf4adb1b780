"""A stand-in for urllib3's answers, and for the API server that gives them."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from node_core.kube.http import ApiClient, EventStream


class Answer:
    """A watch's answer, as urllib3 streams it."""

    status = 200

    def __init__(self, content: bytes) -> None:
        self.content = content

    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self.content

    def shutdown(self) -> None: ...

    def close(self) -> None: ...


class ScriptedApi(ApiClient):
    """lists: answers a list; watches: opens a watch, whose content it returns. Counts both."""

    def __init__(self, lists: Callable[[], Any], watches: Callable[[], bytes]) -> None:
        super().__init__(kubeconfig=None, user_agent="t")
        self.lists = 0
        self.watches = 0
        self._list = lists
        self._watch = watches

    def request(self, verb: str, path: str, **request: Any) -> Any:
        self.lists += 1
        return self._list()

    def watch(self, path: str, query: Mapping[str, str], *, seconds: int) -> EventStream:
        self.watches += 1
        return EventStream(Answer(self._watch()), path)
