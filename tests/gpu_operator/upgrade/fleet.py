"""A small cluster in memory: the API that the upgrade uses, a DaemonSet controller and kubelets. Each write checks the budget."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from gpu_operator.upgrade.apply import Applied, apply_steps
from gpu_operator.upgrade.budget import parse_limit
from gpu_operator.upgrade.driver_pod import REVISION
from gpu_operator.upgrade.keys import BUSY, STATE
from gpu_operator.upgrade.plan import plan_upgrades
from gpu_operator.upgrade.steps import Steps
from gpu_operator.view import (
    COMPONENT,
    DRIVER_COMPONENT,
    OWNER,
    ClusterView,
    is_driver_pod,
    labels_of,
    node_of,
    upgrading_nodes,
)
from node_core.domain.label_selector import parse_label_selector
from node_core.errors import KubeError

Obj = dict[str, Any]
DRIVER, DAEMON_SET, NAMESPACE = "default", "nvidia-driver-daemonset-ubuntu22.04", "gpu-operator"
POOL = "pool"
"""The nodeSelector of the DaemonSet, with the value `a`."""
START = 1_764_430_000.0
GUARDED = "guarded"
"""A label of pods that a disruption budget never lets go."""


class KilledError(BaseException):
    """The controller dies at a write."""


class Fleet:
    """before, after: called with the number of each write, before and after its effect. They may raise."""

    def __init__(self, *nodes: Obj, policy: Mapping[str, Any] | None = None) -> None:
        self.now = START
        self.working_since = START
        self.nodes = {each["metadata"]["name"]: each for each in nodes}
        self.policy = dict(policy or {})
        self.pods: dict[str, Obj] = {}
        self.revisions = ["rev-1"]
        self.writes: list[tuple[str, str, Any]] = []
        self.reads = 0
        self.broken: set[str] = set()
        self.claimants: set[str] = set()
        self.before: Callable[[int], None] = lambda _: None
        self.after: Callable[[int], None] = lambda _: None
        self._version = 0
        self.settle()

    # the API

    def request(self, verb: str, path: str, **more: Any) -> Obj:
        if verb == "GET":
            self.reads += 1
            return self._list(more["query"]["labelSelector"])
        number = len(self.writes)
        self.before(number)
        self.writes.append((verb, path, copied(more["body"])))
        self._write(path, more["body"])
        self.after(number)
        return {}

    def _list(self, selector: str) -> Obj:
        needs = parse_label_selector(selector)
        return {"items": [each for each in self.nodes.values() if all(need.matches(labels_of(each)) for need in needs)]}

    def _write(self, path: str, body: Obj) -> None:
        *_, kind, name = path.removesuffix("/eviction").split("/")
        if kind == "nodes":
            self._patch(name, body)
        elif kind == "pods":
            self._remove(path, body)

    def _patch(self, name: str, body: Obj) -> None:
        if name not in self.nodes:
            raise KubeError("not found", status=404)
        node = self.nodes[name]
        if node["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"]:
            raise KubeError("conflict", status=409)
        started, was_unavailable = state(node) in BUSY, is_unavailable(node)
        merge(node, {**body, "metadata": {**body["metadata"], "resourceVersion": self._next_version()}})
        if state(node) in BUSY and not started:
            self._check_budget(name, was_unavailable)

    def _check_budget(self, name: str, was_unavailable: bool) -> None:
        nodes = self.nodes.values()
        limit = parse_limit(self.policy.get("maxUnavailable", "25%"), len(self.nodes))
        parallel = self.policy.get("maxParallelUpgrades", 1)
        assert was_unavailable or sum(map(is_unavailable, nodes)) <= limit, name
        assert not parallel or sum(state(each) in BUSY for each in nodes) <= parallel, name

    def _remove(self, path: str, body: Obj) -> None:
        is_eviction = path.endswith("/eviction")
        key = "/".join(path.removesuffix("/eviction").split("/")[-3::2])
        pod = self.pods.get(key)
        options = body.get("deleteOptions", body)
        if pod is None or pod["metadata"]["uid"] != options["preconditions"]["uid"]:
            raise KubeError("gone", status=404 if pod is None else 409)
        if is_eviction and GUARDED in labels_of(pod):
            raise KubeError(
                f"POST {path}: HTTP 429: Cannot evict pod. The disruption budget guard needs 1 healthy pods", status=429
            )
        pod["metadata"]["deletionTimestamp"] = "now"

    def _next_version(self) -> str:
        self._version += 1
        return str(self._version)

    # the rest of the cluster

    def release(self, revision: str) -> None:
        """The DaemonSet gets another version of the driver."""
        self.revisions.append(revision)

    def settle(self) -> None:
        """All controllers and kubelets do what they can."""
        self.end_pods()
        self.create_driver_pods()
        self.start_driver_pods()

    def end_pods(self) -> None:
        for key, pod in list(self.pods.items()):
            node = self.nodes.get(node_of(pod))
            if node is None or (pod["metadata"].get("deletionTimestamp") and is_ready(node)):
                del self.pods[key]

    def create_driver_pods(self) -> None:
        have = {node_of(each) for each in self.pods.values() if is_driver_pod(each)}
        for name, node in self.nodes.items():
            if name not in have and labels_of(node).get(POOL) == "a":
                self._create_driver_pod(name)

    def _create_driver_pod(self, node: str) -> None:
        revision, number = self.revisions[-1], self._next_version()
        labels = {COMPONENT: DRIVER_COMPONENT, OWNER: DRIVER, REVISION: revision}
        self.add_pod(f"driver-{node}-{number}", node, namespace=NAMESPACE, labels=labels, owner="DaemonSet")

    def start_driver_pods(self) -> None:
        for pod in filter(is_driver_pod, self.pods.values()):
            name, ready = node_of(pod), {"conditions": [{"type": "Ready", "status": "True"}]}
            if labels_of(pod)[REVISION] != "rev-1" and name in self.broken:
                waiting = {"reason": "ImagePullBackOff", "message": "no such image"}
                pod["status"] = {"containerStatuses": [{"name": "driver", "state": {"waiting": waiting}}]}
            elif name in self.nodes and is_ready(self.nodes[name]):
                pod["status"] = ready

    def add_pod(
        self,
        name: str,
        node: str,
        *,
        namespace: str = "ml",
        labels: Mapping[str, str] | None = None,
        owner: str = "ReplicaSet",
        **spec: Any,
    ) -> Obj:
        owners = [{"kind": owner, "name": "o", "uid": "ds" if owner == "DaemonSet" else "rs", "controller": True}]
        metadata: Obj = {"name": name, "namespace": namespace, "labels": dict(labels or {})}
        metadata |= {"uid": f"{name}-{self._next_version()}"} | ({"ownerReferences": owners} if owner else {})
        limits = {"nvidia.com/gpu": 1} if namespace == "ml" else {}
        containers = [{"name": "c", "resources": {"limits": limits}}]
        pod = {"metadata": metadata, "spec": {"nodeName": node, "containers": containers, **spec}, "status": {}}
        self.pods[f"{namespace}/{name}"] = pod
        return pod

    # the controller

    def view(self) -> ClusterView:
        busy = upgrading_nodes(self.nodes)
        pods = {key: each for key, each in self.pods.items() if is_driver_pod(each) or node_of(each) in busy}
        return ClusterView(
            nodes=copied(self.nodes),
            drivers={DRIVER: {"metadata": {"name": DRIVER}, "spec": {"version": "1", "upgradePolicy": self.policy}}},
            daemon_sets={f"{NAMESPACE}/{DAEMON_SET}": self._daemon_set()},
            pods=copied(pods),
            controller_revisions=dict(self._revisions()),
            claimants=self.claimants,
        )

    def _daemon_set(self) -> Obj:
        metadata = {"name": DAEMON_SET, "namespace": NAMESPACE, "uid": "ds", "labels": {OWNER: DRIVER}}
        generation = len(self.revisions)
        template = {"spec": {"nodeSelector": {POOL: "a"}}}
        return {
            "metadata": {**metadata, "generation": generation},
            "spec": {"template": template},
            "status": {"observedGeneration": generation},
        }

    def _revisions(self) -> Iterator[tuple[str, Obj]]:
        """A ControllerRevision of an older version gets a new number when its version returns."""
        for number, label in enumerate(self.revisions):
            owners = [{"kind": "DaemonSet", "uid": "ds", "controller": True}]
            yield (
                label,
                {
                    "metadata": {"name": label, "labels": {REVISION: label}, "ownerReferences": owners},
                    "revision": number,
                },
            )

    def plan(self, view: ClusterView | None = None) -> Steps:
        return plan_upgrades(view or self.view(), self.now, self.working_since)

    def reconcile(self, view: ClusterView | None = None) -> Applied:
        """One pass of the controller, from this view."""
        return apply_steps(self.plan(view), self)  # type: ignore[arg-type]

    def run(self, passes: int, *, seconds: float = 1.0) -> None:
        """Passes until nothing changes any more."""
        for _ in range(passes):
            before = self.snapshot()
            self.reconcile()
            self.settle()
            if self.snapshot() == before and self.plan().after_s is None:
                return
            self.now += seconds
        raise AssertionError(f"not finished after {passes} passes: {self.states()}")

    def snapshot(self) -> str:
        return json.dumps([self.nodes, self.pods])

    def states(self) -> dict[str, str]:
        return {name: state(node) for name, node in self.nodes.items()}


def node(name: str, *, cordoned: bool = False, ready: bool = True, labels: Mapping[str, str] | None = None) -> Obj:
    metadata = {"name": name, "resourceVersion": "0", "labels": {POOL: "a", **(labels or {})}, "annotations": {}}
    conditions = [{"type": "Ready", "status": str(ready)}]
    return {
        "metadata": metadata,
        "spec": {"unschedulable": True} if cordoned else {},
        "status": {"conditions": conditions},
    }


def nodes(count: int) -> Iterable[Obj]:
    return (node(f"n{number:02}") for number in range(count))


def state(node: Obj) -> str:
    return labels_of(node).get(STATE, "")


def is_ready(node: Obj) -> bool:
    return any(each["type"] == "Ready" and each["status"] == "True" for each in node["status"]["conditions"])


def is_cordoned(node: Obj) -> bool:
    return bool(node["spec"].get("unschedulable"))


def is_unavailable(node: Obj) -> bool:
    return is_cordoned(node) or not is_ready(node) or state(node) in BUSY


def set_ready(node: Obj, ready: bool) -> None:
    node["status"]["conditions"] = [{"type": "Ready", "status": str(ready)}]


def copied(obj: Obj) -> Obj:
    """Copies JSON, faster than copy.deepcopy."""
    copy: Obj = json.loads(json.dumps(obj))
    return copy


def merge(target: Obj, patch: Mapping[str, Any]) -> None:
    """Source: RFC 7396."""
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(value, Mapping):
            merge(target.setdefault(key, {}), value)
        else:
            target[key] = value
