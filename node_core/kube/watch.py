"""Follows one Node: one list, then one watch that resumes where it broke. No periodic reads."""

import random
import threading
from collections.abc import Callable

import structlog
import urllib3.exceptions
from kubernetes.client import ApiException
from kubernetes.watch import Watch

from node_core.domain.backoff import Backoff
from node_core.domain.node import NodeView, parse_node
from node_core.errors import KubeError
from node_core.kube.client import NodeApi, no_answer

log = structlog.get_logger(__name__)

WATCH_SECONDS = 540
"""How long a watch is asked to last. It resumes from its last resourceVersion, which is no read of the API."""


class NodeWatch:
    """Calls `seen` with each new state of the Node and `failed` when it cannot be followed. Runs in its own daemon thread."""

    def __init__(
        self,
        api: NodeApi,
        *,
        seen: Callable[[NodeView], None],
        failed: Callable[[KubeError], None],
        backoff: Backoff | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self._api = api
        self._seen = seen
        self._failed = failed
        self._backoff = backoff or Backoff()
        self._rng = rng or random.Random()
        self._stopping = threading.Event()
        self._watch = Watch(return_type="object")
        self._thread = threading.Thread(target=self._run, name="node-watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends the watch; an answer that is being waited for is cut off, again if it was only being opened when we tried."""
        self._stopping.set()
        for _ in range(20):
            self._watch.stop()
            self._thread.join(timeout=0.05)
            if not self._thread.is_alive():
                return

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            try:
                self._follow()
                failures = 0
            except KubeError as error:
                if self._stopping.is_set():
                    return
                failures = 1 if self._saw_something else failures + 1
                if error.status != 410:  # the history is gone: list again at once
                    self._failed(error)
                    self._stopping.wait(self._backoff.delay(failures, self._rng.random()))

    def _follow(self) -> None:
        self._saw_something = False
        view = self._api.get()
        self._deliver(view)
        version: str | None = view.resource_version
        while version is not None and not self._stopping.is_set():
            version = self._watch_from(version)

    def _watch_from(self, version: str) -> str | None:
        """One watch request; the version to resume from, or None when the Node was deleted."""
        self._watch.resource_version = version
        seconds = WATCH_SECONDS + self._rng.randrange(60)
        try:
            for event in self._watch.stream(self._api.open_watch, resource_version=version, timeout_seconds=seconds):
                if event["type"] == "DELETED":
                    raise KubeError(f"Node {self._api.node_name} was deleted", status=404)
                if event["type"] != "BOOKMARK":
                    self._deliver(parse_node(event["object"]))
        except ApiException as error:
            raise KubeError(
                f"watch of Node {self._api.node_name} ended: {error.reason}", status=error.status or 0
            ) from error
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise no_answer("GET", "/api/v1/nodes?watch=true", error) from error
        return str(self._watch.resource_version)

    def _deliver(self, view: NodeView) -> None:
        self._saw_something = True
        self._seen(view)
