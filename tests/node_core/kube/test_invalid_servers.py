"""Informers of servers that send invalid responses, end each watch, or are not API servers: the delay grows, and the informer continues."""

import http.server
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from node_core.domain.backoff import Backoff
from node_core.errors import KubeError
from node_core.kube.client import NodeApi
from node_core.kube.informer import HEALTHY_SECONDS, Informer
from node_core.kube.resources import Resource
from tests.node_core.kube.scripted_api import ScriptedApi

NODES = Resource(description="Node n1", path="/api/v1/nodes", parse=lambda obj, _: str(obj["metadata"]["name"]))
NODE = {"metadata": {"name": "n1", "resourceVersion": "8"}}
LIST = {"metadata": {"resourceVersion": "7"}, "items": [NODE]}


def event(kind: str, obj: Any) -> bytes:
    return json.dumps({"type": kind, "object": obj}).encode() + b"\n"


def fail(error: Exception) -> Any:
    raise error


class Pauses:
    """A back-off that records the arguments in `failures`. `done` is set at the sixth call. From then on, the delay is long."""

    def __init__(self) -> None:
        self.failures: list[int] = []
        self.done = threading.Event()

    def delay(self, failures: int, chance: float) -> float:
        self.failures.append(failures)
        if len(self.failures) == 6:
            self.done.set()
        return 30.0 if self.done.is_set() else 0.001


def run(api: ScriptedApi, **options: Any) -> tuple[Informer[str], Pauses]:
    """Returns an informer that has failed six times and was stopped."""
    pauses: Any = Pauses()
    options = {"on_change": lambda _: None, "on_error": lambda _: None} | options
    informer = Informer(api, NODES, backoff=pauses, **options)
    informer.start()
    assert pauses.done.wait(60)
    informer.stop()
    return informer, pauses


@pytest.mark.parametrize(
    ("lists", "watches"),
    [
        (dict, lambda: b""),
        (lambda: {"metadata": {"resourceVersion": "7"}, "items": [{}]}, lambda: b""),
        (lambda: fail(RuntimeError("a fault of the test")), lambda: b""),
        (lambda: LIST, lambda: b""),
        (lambda: LIST, lambda: b'{"type": "MODIFIED", "obj'),
        (lambda: LIST, lambda: b'{"type": "MODIFIED", "obj\n'),
        (lambda: LIST, lambda: b"[]\n"),
        (lambda: LIST, lambda: event("MODIFIED", {"metadata": {"name": "n1"}})),
        (lambda: LIST, lambda: event("MODIFIED", {"metadata": {"name": ["n1"], "resourceVersion": "9"}})),
        (lambda: LIST, lambda: event("ERROR", {})),
        (lambda: LIST, lambda: event("ERROR", {"code": 410, "reason": "Expired", "message": "too old"})),
        (lambda: LIST, lambda: event("MODIFIED", NODE) + event("ERROR", {"code": 410})),
        (lambda: LIST, lambda: fail(KubeError("forbidden", status=403))),
    ],
    ids=[
        "no list", "invalid object", "fault of the client", "empty", "cut", "no JSON", "a list", "no version", "invalid name",
        "invalid error", "always expired", "an event, then expired", "forbidden",
    ],
)  # fmt: skip
def test_an_invalid_server_is_retried_with_growing_delays(
    lists: Callable[[], Any], watches: Callable[[], bytes]
) -> None:
    api = ScriptedApi(lists, watches)
    informer, pauses = run(api)
    assert not informer._thread.is_alive()
    assert pauses.failures == sorted(pauses.failures), "each pause is longer than the one before"
    assert pauses.failures[-1] >= 6
    assert api.lists + api.watches <= 2 * len(pauses.failures) + 3
    assert all(response.is_closed for response in api.responses)


def test_a_watch_that_fails_slowly_is_a_failure_and_the_delay_grows() -> None:
    now = [0.0]

    def slow() -> bytes:
        now[0] += 10 * HEALTHY_SECONDS
        raise KubeError("HTTP 504: gateway timeout", status=504)

    _, pauses = run(ScriptedApi(lambda: LIST, slow), clock=lambda: now[0])
    assert pauses.failures == [1, 2, 3, 4, 5, 6]


def test_each_watch_that_ends_at_once_increases_the_delay() -> None:
    _, pauses = run(ScriptedApi(lambda: LIST, lambda: b""), clock=lambda: 0.0)
    assert pauses.failures == [2, 3, 4, 5, 6, 7]


def test_a_watch_that_stayed_open_resets_the_delay() -> None:
    now = [0.0]
    api = ScriptedApi(lambda: LIST, lambda: event("MODIFIED", NODE) + event("ERROR", {"code": 500}))

    def changed(_: Any) -> None:
        now[0] += HEALTHY_SECONDS

    _, pauses = run(api, on_change=changed, clock=lambda: now[0])
    assert pauses.failures == [1] * 6


@pytest.mark.parametrize("callback", ["on_change", "on_error"])
def test_an_exception_of_a_callback_does_not_end_the_informer(callback: str) -> None:
    calls: list[Any] = []

    def broken(argument: Any) -> None:
        calls.append(argument)
        raise RuntimeError("a fault of the consumer")

    api = ScriptedApi(lambda: LIST, lambda: fail(KubeError("no", status=500)))
    run(api, **{callback: broken})
    assert len(calls) == 6, "it is called again after each list, or each failure"


@pytest.mark.parametrize(("status", "is_absent"), [(404, True), (403, False), (0, False)])
def test_a_missing_kind_is_listed_with_its_own_back_off(status: int, is_absent: bool) -> None:
    done = threading.Event()

    class Chosen(Backoff):
        def delay(self, failures: int, chance: float) -> float:
            done.set()
            return 30.0

    class Other(Backoff):
        def delay(self, failures: int, chance: float) -> float:
            raise AssertionError("the wrong back-off was used")

    backoff, absent = (Other(), Chosen()) if is_absent else (Chosen(), Other())
    informer = Informer(
        ScriptedApi(lambda: fail(KubeError("no", status=status)), lambda: b""),
        NODES,
        on_change=lambda _: None,
        on_error=lambda _: None,
        backoff=backoff,
        missing_backoff=absent,
    )
    informer.start()
    assert done.wait(60)
    informer.stop()


@pytest.mark.parametrize("body", [b"{}", b"[]", b'"text"', b'{"metadata": 5}', b"null", b"<html>"])
def test_a_response_that_is_not_a_node_is_a_kube_error(body: bytes, tmp_path: Path) -> None:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header(
                "Content-Length", str(len(body) + (1 if body == b"null" else 0))
            )  # the body `null` ends too early
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None: ...

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        write_kubeconfig(tmp_path / "k", f"http://127.0.0.1:{server.server_port}")
        with pytest.raises(KubeError):
            NodeApi("n1", kubeconfig=str(tmp_path / "k"), user_agent="t").get()
        server.shutdown()


def write_kubeconfig(path: Path, server: str) -> None:
    context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
    clusters = [{"name": "c", "cluster": {"server": server}}]
    users = [{"name": "u", "user": {"token": "t"}}]
    path.write_text(json.dumps({"clusters": clusters, "contexts": [context], "users": users, "current-context": "c"}))
