"""Observes how many Nodes are unavailable at the same time, without a gap between two states."""

import threading
from typing import Any

from node_core.errors import KubeError
from node_core.kube.http import ApiClient, EventStream

Obj = dict[str, Any]
WATCH_S = 300


class UnavailableWatch:
    """selector: of labels. most: the largest number of Nodes that were unschedulable or not Ready at the same time."""

    def __init__(self, api: ApiClient, selector: str) -> None:
        self._api, self._query = api, {"labelSelector": selector}
        self._unavailable: set[str] = set()
        self.most = 0
        self.seen: set[str] = set()
        self._stream: EventStream | None = None
        self._thread = threading.Thread(target=self._run, name="node-watch", daemon=True)

    def start(self) -> None:
        listed = self._api.request("GET", "/api/v1/nodes", query=self._query)
        for node in listed["items"]:
            self._observe(node)
        version = {"resourceVersion": listed["metadata"]["resourceVersion"]}
        self._stream = self._api.watch("/api/v1/nodes", {**self._query, **version}, seconds=WATCH_S)
        self._thread.start()

    def stop(self) -> None:
        if self._stream is not None:
            self._stream.shutdown()
            self._thread.join()

    def _run(self) -> None:
        assert self._stream is not None
        try:
            for event in self._stream:
                if event["type"] != "BOOKMARK":
                    self._observe(event["object"])
        except KubeError:
            return  # the end of the scenario

    def _observe(self, node: Obj) -> None:
        name = node["metadata"]["name"]
        conditions = {each["type"]: each["status"] for each in node.get("status", {}).get("conditions", ())}
        is_unavailable = node["spec"].get("unschedulable") or conditions.get("Ready") != "True"
        (self._unavailable.add if is_unavailable else self._unavailable.discard)(name)
        self.seen |= {name} if is_unavailable else set()
        self.most = max(self.most, len(self._unavailable))
