"""An API client whose lists and watches are functions of the test."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from node_core.kube.http import ApiClient, EventStream


class Response:
    """The response of a watch, with the interface of urllib3."""

    status = 200

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.is_closed = False

    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self.content

    def shutdown(self) -> None: ...

    def close(self) -> None:
        self.is_closed = True


class ScriptedApi(ApiClient):
    """lists: returns the response of a list. watches: returns the content of a watch. Counts both. responses: of the watches."""

    def __init__(self, lists: Callable[[], Any], watches: Callable[[], bytes]) -> None:
        super().__init__(kubeconfig=None, user_agent="t")
        self.lists = 0
        self.watches = 0
        self.responses: list[Response] = []
        self._list = lists
        self._watch = watches

    def request(self, verb: str, path: str, **request: Any) -> Any:
        self.lists += 1
        return self._list()

    def watch(self, path: str, query: Mapping[str, str], *, seconds: int, **request: Any) -> EventStream:
        self.watches += 1
        self.responses.append(Response(self._watch()))
        return EventStream(self.responses[-1], path)
