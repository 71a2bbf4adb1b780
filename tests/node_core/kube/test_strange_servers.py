"""Servers that answer nonsense, end every watch, or are none: asked ever slower, never a crash, never a watch that is gone for good."""

import http.server
import json
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from node_core.domain.backoff import Backoff
from node_core.errors import KubeError
from node_core.kube.client import NodeApi
from node_core.kube.watch import ObjectWatch
from tests.node_core.kube.answer import Answer


class Strange:
    """A subject whose server misbehaves in the given way, and how often it was asked."""

    shown = "Node n1"
    path = "/api/v1/nodes"

    def __init__(self, look: Callable[[], tuple[str, str]], watch: Callable[[], Any]) -> None:
        self.looks = 0
        self.watches = 0
        self._look = look
        self._watch = watch

    def look(self) -> tuple[str, str]:
        self.looks += 1
        return self._look()

    def open_watch(self, **_: Any) -> Any:
        self.watches += 1
        return self._watch()

    def state(self, event: str, obj: Mapping[str, Any]) -> str:
        return str(obj["metadata"]["name"])


def answer(content: bytes) -> Any:
    return Answer(content)


def fail(error: Exception) -> Any:
    raise error


@pytest.mark.parametrize(
    ("look", "watch"),
    [
        (lambda: fail(KeyError("metadata")), lambda: answer(b"")),
        (lambda: fail(RuntimeError("a fault of ours")), lambda: answer(b"")),
        (lambda: ("n1", "7"), lambda: answer(b"")),
        (lambda: ("n1", "7"), lambda: answer(b'{"type": "MODIFIED", "obj')),
        (lambda: ("n1", "7"), lambda: answer(b'{"type": "MODIFIED", "obj\n')),
        (lambda: ("n1", "7"), lambda: answer(b'{"type": "ERROR", "object": {}}\n')),
        (
            lambda: ("n1", "7"),
            lambda: answer(b'{"type": "ERROR", "object": {"code": 410, "reason": "Gone", "message": ""}}\n'),
        ),
        (lambda: ("n1", "7"), lambda: fail(KubeError("forbidden", status=403))),
    ],
    ids=["odd-object", "our-fault", "empty", "cut", "no-json", "odd-error", "always-gone", "forbidden"],
)
def test_a_strange_server_is_asked_ever_slower_and_never_ends_the_watch(
    look: Callable[[], tuple[str, str]], watch: Callable[[], Any]
) -> None:
    subject = Strange(look, watch)
    pauses: list[int] = []
    done = threading.Event()

    class Counted(Backoff):
        def delay(self, failures: int, chance: float) -> float:
            pauses.append(failures)
            if len(pauses) == 6:
                done.set()
            return 30.0 if done.is_set() else 0.001

    followed = ObjectWatch[str](subject, seen=lambda _: None, failed=lambda _: None, backoff=Counted())
    followed.start()
    assert done.wait(10)
    followed.stop()
    assert not followed._thread.is_alive()
    assert pauses == sorted(pauses), "each pause is longer than the one before"
    assert pauses[-1] >= 6
    assert subject.looks + subject.watches <= 2 * len(pauses) + 3


@pytest.mark.parametrize(("status", "slow"), [(404, True), (403, False), (0, False)])
def test_what_is_absent_is_looked_for_at_a_pace_of_its_own(status: int, slow: bool) -> None:
    done = threading.Event()

    class Chosen(Backoff):
        def delay(self, failures: int, chance: float) -> float:
            done.set()
            return 30.0

    class Other(Backoff):
        def delay(self, failures: int, chance: float) -> float:
            raise AssertionError("the other pace was asked for")

    subject = Strange(lambda: fail(KubeError("no", status=status)), lambda: answer(b""))
    paces = (Other(), Chosen()) if slow else (Chosen(), Other())
    followed = ObjectWatch[str](subject, seen=lambda _: None, failed=lambda _: None, backoff=paces[0], absent=paces[1])
    followed.start()
    assert done.wait(10)
    followed.stop()


@pytest.mark.parametrize("body", [b"{}", b"[]", b'"text"', b'{"metadata": 5}', b"null", b"<html>"])
def test_an_answer_that_is_no_node_is_an_error_and_no_crash(body: bytes, tmp_path: Path) -> None:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header(
                "Content-Length", str(len(body) + (1 if body == b"null" else 0))
            )  # one of them is cut short
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None: ...

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as odd:
        threading.Thread(target=odd.serve_forever, args=(0.01,), daemon=True).start()
        cluster = {"name": "c", "cluster": {"server": f"http://127.0.0.1:{odd.server_port}"}}
        context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
        config = {
            "clusters": [cluster],
            "contexts": [context],
            "users": [{"name": "u", "user": {}}],
            "current-context": "c",
        }
        (tmp_path / "k").write_text(json.dumps(config))
        with pytest.raises(KubeError):
            NodeApi("n1", kubeconfig=str(tmp_path / "k"), user_agent="t").get()
        odd.shutdown()


def test_a_pipe_is_no_kubeconfig(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(KubeError, match="not a regular file"):
        NodeApi("n1", kubeconfig=str(tmp_path / "pipe"), user_agent="t").get()
