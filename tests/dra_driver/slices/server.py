"""An API server with ResourceSlices in memory, which drops and defaults fields as kube-apiserver does."""

import copy
import json
from collections.abc import Mapping
from typing import Any

from node_core.domain.quantity import canonical_quantity
from node_core.errors import KubeError
from node_core.kube.client import NodeApi
from node_core.kube.resource_claims import VERSIONS

NODE = "n1"


class SliceServer(NodeApi):
    """served: versions of the API. writes, reads: the requests since the start. fail: the statuses of the next writes."""

    def __init__(self, *, served: tuple[str, ...] = VERSIONS, counters: bool = True, taints: bool = True) -> None:
        super().__init__(NODE, kubeconfig=None, user_agent="t")
        self.served, self.counters, self.taints, self.combined = served, counters, taints, False
        self.slices: dict[str, dict[str, Any]] = {}
        self.writes: list[tuple[str, str]] = []
        self.reads: list[str] = []
        self.fail: list[int] = []
        self.rewrites: dict[str, Any] = {}
        self._version = 0

    def request(self, verb: str, path: str, **request: Any) -> Mapping[str, Any]:
        json.dumps(request)
        if verb == "GET":
            return self._read(path, request)
        if request.get("query", {}).get("dryRun"):
            self.reads.append("dry run")
            return self._stored(request["body"])
        self.writes.append((verb, path.rpartition("/")[2]))
        if self.fail:
            raise KubeError("refused", status=self.fail.pop(0))
        return self._write(verb, path, request["body"])

    def _read(self, path: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        self.reads.append(path)
        if path == "/apis/resource.k8s.io":
            if not self.served:
                raise KubeError("not found", status=404)
            return {"versions": [{"version": version} for version in self.served]}
        if path.startswith("/api/v1/nodes/"):
            return {"metadata": {"name": NODE, "uid": "uid-of-n1"}}
        assert request["query"] == {"fieldSelector": "spec.nodeName=n1,spec.driver=gpu.nvidia.com"}
        return {"items": copy.deepcopy(list(self.slices.values()))}

    def _write(self, verb: str, path: str, body: dict[str, Any]) -> Mapping[str, Any]:
        name = path.rpartition("/")[2] if verb != "POST" else body["metadata"]["name"]
        if verb == "DELETE":
            if name not in self.slices:
                raise KubeError("not found", status=404)
            return self.slices.pop(name)
        if (verb == "POST") == (name in self.slices):
            raise KubeError("conflict", status=409)
        if verb == "PUT" and body["metadata"]["resourceVersion"] != self.slices[name]["metadata"]["resourceVersion"]:
            raise KubeError("conflict", status=409)
        self.slices[name] = self._stored(body)
        return copy.deepcopy(self.slices[name])

    def _stored(self, body: dict[str, Any]) -> dict[str, Any]:
        obj = copy.deepcopy(body)
        spec = obj["spec"]
        if not self.counters:
            spec.pop("sharedCounters", None)
        elif spec.get("sharedCounters") and spec.get("devices") and not self.combined:
            raise KubeError("counters and devices in one slice", status=422)
        for device in spec.get("devices", ()):
            self._store_device(device.get("basic", device))
        spec.update(self.rewrites)
        self._version += 1
        obj["metadata"] |= {"resourceVersion": str(self._version), "uid": f"uid-{obj['metadata'].get('name')}"}
        del obj["apiVersion"], obj["kind"]
        return obj

    def _store_device(self, content: dict[str, Any]) -> None:
        if not self.counters:
            content.pop("consumesCounters", None)
        if not self.taints:
            content.pop("taints", None)
        for taint in content.get("taints", ()):
            taint.setdefault("timeAdded", f"time-{self._version}")
        for amount in content.get("capacity", {}).values():
            amount["value"] = canonical_quantity(amount["value"])
