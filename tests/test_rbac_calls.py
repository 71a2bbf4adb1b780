"""The requests of the agents and of the commands for people, recorded by the simulated API server, equal the permissions of their roles."""

import contextlib
import fcntl
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from device_plugin.__main__ import parse as plugin
from dra_driver.agent import NAME as DRA_DRIVER
from gfd.__main__ import parse as gfd
from gpu_core.clients.pause import DEPLOY, Pause
from gpu_exporter.__main__ import parse as exporter
from gpu_validator.__main__ import parse as gpu_validator
from gpunode.cluster.feed import ClusterFeed
from gpunode.labels.rule_objects import list_cluster_rules
from mig_manager.__main__ import parse as mig_manager
from nfd_lite.__main__ import parse as nfd
from nfd_lite.topology.__main__ import parse as topology
from node_core.domain.labels import MIG_CONFIG
from node_core.host.flock import open_locked
from node_core.kube.client import NodeApi
from node_core.kube.events import EventApi
from node_core.kube.node_feature import NodeFeatureApi
from node_core.runtime.instance_lock import instance_lock_path
from node_core.runtime.process import ProcessRunner, Program
from simulation.apiserver import ApiServer
from simulation.kubelet.kubelet import Kubelet
from tests.gpunode.recorded import load_cluster
from tests.gpunode.verbs import run_verb
from tests.nfd_lite.topology.conftest import FakeKubelet
from tests.nfd_lite.topology.test_publisher import NAME as TOPOLOGY_RESOURCE
from tests.test_rbac import TOPOLOGY, Grant, granted, grants_of
from tests.waiting import until

ROOT = Path(__file__).parent.parent
NODE = "n1"
PRESENT = {"nvidia.com/gpu.present": "true"}
SCENARIO = """
driver: {version: "550.54.15", cuda: "12.4"}
gpus: [{model: NVIDIA H100 80GB HBM3, count: 1, memory: 81559Mi, compute: "9.0", device_id: "2330"}]
faults: [{at: 1, gpu: 0, kind: xid, code: 79}]
"""
RULE: dict[str, Any] = {
    "apiVersion": "nfd.k8s-sigs.io/v1alpha1",
    "kind": "NodeFeatureRule",
    "metadata": {"name": "all"},
    "spec": {
        "rules": [
            {
                "name": "a",
                "labels": {"kubernetes.io/refused": "1", "example.com/a": "1"},
                "extendedResources": {"example.com/seats": "4"},
                "taints": [{"key": "example.com/t", "effect": "NoSchedule"}],
            }
        ]
    },
}
CONFIG = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "configs", "namespace": "default"},
    "data": {"default": "version: v1"},
}
APPLY_CREATES = ("nfd.k8s-sigs.io", "nodefeatures")
"""The server-side apply of a new object is recorded as a patch, and also needs the verb create."""

NAMESPACED = ("nodefeatures", "configmaps")

Parse = Callable[[list[str]], Program | None]


class Cluster:
    """A cluster with one Node."""

    def __init__(self, directory: Path, server: ApiServer, stack: contextlib.ExitStack) -> None:
        self.directory, self.server, self._stack = directory, server, stack
        self.kubeconfig = str(directory / "kubeconfig")
        server.write_kubeconfig(directory / "kubeconfig")
        (directory / "scenario.yaml").write_text(SCENARIO)
        self.api = NodeApi(NODE, kubeconfig=self.kubeconfig, user_agent="test")

    def run(self, parse: Parse, *flags: str) -> None:
        program = parse([
            "--node-name", NODE, "--kubeconfig", self.kubeconfig, "--simulate", str(self.directory / "scenario.yaml"),
            "--lock-dir", str(self.directory), "--http-address", "", *flags,
        ])  # fmt: skip
        assert program is not None
        running = ProcessRunner(program)
        running.start()
        self._stack.callback(running.stop)

    def write(self, path: str, obj: dict[str, Any]) -> None:
        """Creates an object as another client."""
        self.api.request("POST", path, body=obj, content="application/json")
        self.server.forget_requests()

    def wait_for(self, *requests: tuple[str, str]) -> None:
        """Waits for a request with each verb and path."""
        until(lambda: all(self.server.requests[each] for each in requests))

    def read_again(self) -> None:
        """Reads the objects, as agents do after a conflict and with --oneshot."""
        self.api.get()
        NodeFeatureApi(self.api, namespace="default").get()

    def requested(self, *, namespaced: bool) -> dict[Grant, set[str]]:
        """Returns the requested verbs by group and resource, in the agents' namespace or elsewhere."""
        found: dict[Grant, set[str]] = {}
        for verb, template in self.server.requests:
            grant, is_own_namespace = _grant(template)
            if is_own_namespace == namespaced:
                found.setdefault(grant, set()).add(verb)
        return found


def _grant(template: str) -> tuple[Grant, bool]:
    """Returns the grant for a path template, and whether it concerns only the agents' namespace."""
    parts = template.strip("/").split("/")
    group, rest = ("", parts[2:]) if parts[0] == "api" else (parts[1], parts[3:])
    in_namespace = rest[0] == "namespaces"
    rest = rest[2:] if in_namespace else rest
    return (group, "/".join(part for part in rest if part != "{name}")), in_namespace and rest[0] in NAMESPACED


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rbac-")))
        server = stack.enter_context(ApiServer())
        server.add_node(NODE, labels=PRESENT)
        yield Cluster(directory, server, stack)


NODES, STATUS = "/api/v1/nodes", "/api/v1/nodes/{name}/status"
EVENTS = "/api/v1/namespaces/{namespace}/events"
FEATURES = "/apis/nfd.k8s-sigs.io/v1alpha1/namespaces/{namespace}/nodefeatures"
WATCHED = (("list", NODES), ("watch", NODES), ("patch", f"{NODES}/{{name}}"))
TOPOLOGIES = "/apis/topology.node.k8s.io/v1alpha2/noderesourcetopologies"
CONFIGS = "/api/v1/namespaces/{namespace}/configmaps"
CONFIG_MAP = "--config-map=default/configs"
FOLLOWED = (("list", CONFIGS), ("watch", CONFIGS))
OWN_OBJECT = (("patch", f"{FEATURES}/{{name}}"), ("watch", FEATURES))


def test_nfd_lite(cluster: Cluster) -> None:
    cluster.write("/apis/nfd.k8s-sigs.io/v1alpha1/nodefeaturerules", RULE)
    cluster.run(nfd, "--enable-taints=true", "--merge-node-features=true", "--sleep-interval=1h")
    rules, features = (f"/apis/nfd.k8s-sigs.io/v1alpha1/{kind}" for kind in ("nodefeaturerules", "nodefeatures"))
    openshift = ("watch", "/apis/nfd.openshift.io/v1alpha1/nodefeaturerules")
    cluster.wait_for(*WATCHED, ("patch", STATUS), ("create", EVENTS), ("watch", rules), openshift, ("watch", features))
    cluster.read_again()
    cluster.run(nfd, "--publish=node-feature", f"--lock-dir={cluster.directory / 'other'}")
    cluster.wait_for(*OWN_OBJECT)
    assert cluster.requested(namespaced=False) == granted("nfd-lite", "Cluster")
    check_object(cluster.requested(namespaced=True), granted("nfd-lite", ""))


def test_gfd(cluster: Cluster) -> None:
    cluster.run(gfd)
    cluster.wait_for(*WATCHED)
    cluster.read_again()
    cluster.run(gfd, "--publish=node-feature", f"--lock-dir={cluster.directory / 'other'}")
    cluster.run(gfd, CONFIG_MAP, f"--lock-dir={cluster.directory / 'third'}")
    cluster.wait_for(*OWN_OBJECT, *FOLLOWED)
    assert cluster.requested(namespaced=False) == granted("gfd", "Cluster")
    check_object(cluster.requested(namespaced=True), granted("gfd", ""))


def check_object(requested: dict[Grant, set[str]], roles: dict[Grant, set[str]]) -> None:
    requested[APPLY_CREATES].add("create")
    assert requested == roles


def test_the_device_plugin(cluster: Cluster) -> None:
    kubelet = Kubelet(cluster.directory / "dp")
    kubelet.start()
    cluster.write("/api/v1/namespaces/default/configmaps", CONFIG)
    taint = "--startup-taint=nvidia.com/gpu-not-ready:NoSchedule"
    taints = [
        {"key": "nvidia.com/gpu-not-ready", "effect": "NoSchedule"}
    ]  # as with the kubelet's --register-with-taints
    cluster.server.store.mutate("nodes", NODE, lambda node: {**node, "spec": {"taints": taints}})
    cluster.run(
        plugin, f"--kubelet-socket={kubelet.socket}", f"--cdi-dir={cluster.directory / 'cdi'}", taint, CONFIG_MAP
    )
    cluster.wait_for(*WATCHED, *FOLLOWED, ("patch", STATUS), ("create", EVENTS))
    api = NodeApi(NODE, kubeconfig=cluster.kubeconfig, user_agent="test")
    assert EventApi(api).pod_uid("default", "gone") is None  # as for a pod that the pod-resources API lists
    assert api.get().name == NODE  # after a conflict about the startup taint
    kubelet.stop()
    assert cluster.requested(namespaced=False) == granted("gpu-device-plugin", "Cluster")
    assert cluster.requested(namespaced=True) == granted("gpu-device-plugin", "")


def test_nfd_lite_topology(cluster: Cluster) -> None:
    """The agent reads the object after a deletion, and the Node with --oneshot. It reads nodes/configz from the kubelet itself."""
    kubelet = FakeKubelet(cluster.directory)
    kubelet.start()
    (cluster.directory / "config.yaml").write_text("{}")
    flags = (f"--podresources-socket={kubelet.socket}", f"--kubelet-state-dir={cluster.directory}")
    cluster.run(topology, *flags)
    cluster.wait_for(("patch", f"{TOPOLOGIES}/{{name}}"), ("watch", TOPOLOGIES), ("watch", NODES))
    until(lambda: cluster.server.store.list(TOPOLOGY_RESOURCE)[0])
    cluster.server.store.delete(TOPOLOGY_RESOURCE, NODE)
    cluster.wait_for(("get", f"{TOPOLOGIES}/{{name}}"))
    assert cluster.api.get().name == NODE
    kubelet.stop()
    topologies = ("topology.node.k8s.io", "noderesourcetopologies")
    found = cluster.requested(namespaced=False)
    found[topologies] |= {"create"}  # by the server-side apply of a new object
    assert found | {("", "nodes/configz"): {"get"}} == TOPOLOGY
    assert cluster.requested(namespaced=True) == {}


def test_gpu_exporter_only_lists_and_watches_pods_and_only_for_their_labels_or_uids(cluster: Cluster) -> None:
    """The chart grants exactly this, see tests/manifests/test_chart.py."""
    flags = ("--address=127.0.0.1:0", f"--pod-resources-kubelet-socket={cluster.directory / 'missing.sock'}")
    cluster.run(exporter, *flags)
    cluster.run(exporter, *flags, "--kubernetes-enable-pod-labels", f"--lock-dir={cluster.directory / 'other'}")
    cluster.wait_for(("watch", "/api/v1/pods"))
    assert cluster.requested(namespaced=False) == {("", "pods"): {"list", "watch"}}
    assert cluster.requested(namespaced=True) == {}


def test_mig_manager_needs_the_rights_of_its_role(cluster: Cluster) -> None:
    """Evictions, deletions and pauses need a setting; see tests/manifests/test_chart.py. The end of a pause needs none."""
    labels = {MIG_CONFIG: "all-1g.10gb", f"{DEPLOY}dcgm": str(Pause.MIG_CHANGE)}
    record = {Pause.MIG_CHANGE.annotation: json.dumps({f"{DEPLOY}dcgm": "true"})}
    cluster.server.store.mutate(
        "nodes", NODE, lambda node: {**node, "metadata": {**node["metadata"], "labels": labels, "annotations": record}}
    )
    cluster.run(mig_manager, "--state-dir", str(cluster.directory / "state"))
    cluster.wait_for(*WATCHED, ("patch", STATUS), ("create", EVENTS))
    until(lambda: cluster.api.get().labels.get(f"{DEPLOY}dcgm") == "true")
    role = yaml.safe_load_all((ROOT / "manifests/overlays/mig-manager/mig-manager.yaml").read_text())
    rules = next(each["rules"] for each in role if each["kind"] == "ClusterRole")
    allowed = {("", rule["resources"][0]): set(rule["verbs"]) for rule in rules}
    assert cluster.requested(namespaced=False) == allowed


def test_gpu_validator_needs_the_rights_of_its_role(cluster: Cluster) -> None:
    """On a node of gpu-dra-driver, which has its lock."""
    lock = open_locked(instance_lock_path(cluster.directory, DRA_DRIVER, NODE), fcntl.LOCK_EX)
    assert lock is not None
    cluster.run(
        gpu_validator, "--validations-dir", "", "--podresources-socket", str(cluster.directory / "missing.sock")
    )
    slices = ("list", "/apis/resource.k8s.io/v1/resourceslices")
    cluster.wait_for(("list", NODES), ("watch", NODES), ("patch", STATUS), ("create", EVENTS), slices)
    os.close(lock)
    role = yaml.safe_load_all((ROOT / "manifests/overlays/gpu-validator/gpu-validator.yaml").read_text())
    rules = next(each["rules"] for each in role if each["kind"] == "ClusterRole")
    allowed = {(rule["apiGroups"][0], rule["resources"][0]): set(rule["verbs"]) for rule in rules}
    assert cluster.requested(namespaced=False) == allowed


COMMANDS = (
    ("nodes",),
    ("node", "gpu-h100-2"),
    ("why", "big-train-0", "-n", "research"),
    ("why", "missing", "-n", "research"),
    ("doctor", "--node", "gpu-h100-2"),
    ("doctor", "--all"),
)


def test_the_commands_for_people(cluster: Cluster) -> None:
    load_cluster(cluster.server, "mixed")
    cluster.server.forget_requests()
    for arguments in COMMANDS:
        result = run_verb(*arguments, environment={"KUBECONFIG": cluster.kubeconfig})
        assert "not permitted" not in result.stderr
    load_cluster(cluster.server, "dra")
    run_verb("node", "dra-1", environment={"KUBECONFIG": cluster.kubeconfig})
    run_verb("why", "wants-two", "-n", "team", environment={"KUBECONFIG": cluster.kubeconfig})
    list_cluster_rules(cluster.api)
    feed = ClusterFeed(cluster.api)  # of `nodes --watch` and `ui`
    feed.start()
    watched = (f"/apis/resource.k8s.io/v1/{each}" for each in ("resourceslices", "resourceclaims"))
    cluster.wait_for(("watch", NODES), ("watch", "/api/v1/pods"), *(("watch", each) for each in watched))
    feed.stop()
    requested = cluster.requested(namespaced=False)
    assert requested == grants_of("ClusterRole", "gpunode-viewer")
