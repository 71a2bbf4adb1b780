"""What the agents ask the API server for while they do all that they can, recorded by the stand-in, is what their roles grant."""

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from device_plugin.__main__ import parse as plugin
from device_plugin.health.cluster import NodeCluster
from gfd.__main__ import parse as gfd
from nfd_lite.__main__ import parse as nfd
from node_core.kube.client import NodeApi
from node_core.kube.node_feature import NodeFeatureApi
from node_core.runtime.node_link import NodeLink
from node_core.runtime.process import Program, Running
from node_core.simulate.apiserver import ApiServer
from node_core.simulate.kubelet import Kubelet
from tests.node_core.runtime.test_process import until
from tests.test_rbac import Grant, granted

NODE = "n1"
PRESENT = {"nvidia.com/gpu.present": "true"}
SCENARIO = """
driver: {version: "550.54.15", cuda: "12.4"}
gpus: [{model: NVIDIA H100 80GB HBM3, count: 1, memory: 81559Mi, compute: "9.0", device_id: "2330"}]
faults: [{at: 1, gpu: 0, kind: xid, code: 79}]
"""
PREMIUM = """
version: v1
premium: [{name: big, match: {}, taint: {key: nvidia.com/premium, effect: NoSchedule}}]
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
"""A server-side apply of what is not there is recorded as a patch, and needs the verb create too."""

OF_OUR_NAMESPACE = ("nodefeatures", "configmaps")

Parse = Callable[[list[str]], Program | None]


class Place:
    """A cluster with one Node."""

    def __init__(self, directory: Path, server: ApiServer, stack: contextlib.ExitStack) -> None:
        self.directory, self.server, self._stack = directory, server, stack
        self.kubeconfig = str(directory / "kubeconfig")
        server.write_kubeconfig(directory / "kubeconfig")
        (directory / "scenario.yaml").write_text(SCENARIO)
        (directory / "config.yaml").write_text(PREMIUM)
        self.api = NodeApi(NODE, kubeconfig=self.kubeconfig, user_agent="test")

    def run(self, parse: Parse, *flags: str) -> None:
        program = parse([
            "--node-name", NODE, "--kubeconfig", self.kubeconfig, "--simulate", str(self.directory / "scenario.yaml"),
            "--lock-dir", str(self.directory), "--http-address", "", *flags,
        ])  # fmt: skip
        assert program is not None
        running = Running(program)
        running.start()
        self._stack.callback(running.stop)

    def write(self, path: str, obj: dict[str, Any]) -> None:
        """As somebody else would."""
        self.api.request("POST", path, body=obj, content="application/json")
        self.server.forget_requests()

    def comes(self, *asked: tuple[str, str]) -> None:
        """Each verb and path has been asked for."""
        until(lambda: all(self.server.requests[each] for each in asked), 20)

    def read_anew(self) -> None:
        """As agents do after a conflict, and where they look once."""
        self.api.get()
        NodeFeatureApi(self.api, namespace="default").get()

    def asked(self, *, namespaced: bool) -> dict[Grant, set[str]]:
        """By group and resource: in the agents' namespace, or anywhere else."""
        found: dict[Grant, set[str]] = {}
        for verb, template in self.server.requests:
            grant, is_ours = _grant(template)
            if is_ours == namespaced:
                found.setdefault(grant, set()).add(verb)
        return found


def _grant(template: str) -> tuple[Grant, bool]:
    """Of a path template, and whether it is about objects of the agents' own namespace alone."""
    parts = template.strip("/").split("/")
    group, rest = ("", parts[2:]) if parts[0] == "api" else (parts[1], parts[3:])
    in_namespace = rest[0] == "namespaces"
    rest = rest[2:] if in_namespace else rest
    return (group, "/".join(part for part in rest if part != "{name}")), in_namespace and rest[0] in OF_OUR_NAMESPACE


@pytest.fixture
def place() -> Iterator[Place]:
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rbac-")))
        server = stack.enter_context(ApiServer())
        server.add_node(NODE, labels=PRESENT)
        made = Place(directory, server, stack)
        yield made


NODES, STATUS = "/api/v1/nodes", "/api/v1/nodes/{name}/status"
EVENTS = "/api/v1/namespaces/{namespace}/events"
FEATURES = "/apis/nfd.k8s-sigs.io/v1alpha1/namespaces/{namespace}/nodefeatures"
WATCHED = (("watch", NODES), ("patch", f"{NODES}/{{name}}"))
CONFIGS = "/api/v1/namespaces/{namespace}/configmaps"
CONFIG_MAP = "--config-map=default/configs"
FOLLOWED = (("list", CONFIGS), ("watch", CONFIGS))
OWN_OBJECT = (("patch", f"{FEATURES}/{{name}}"), ("watch", FEATURES))


def test_nfd_lite(place: Place) -> None:
    place.write("/apis/nfd.k8s-sigs.io/v1alpha1/nodefeaturerules", RULE)
    place.run(nfd, "--enable-taints=true", "--merge-node-features=true", "--sleep-interval=1h")
    rules, features = (f"/apis/nfd.k8s-sigs.io/v1alpha1/{kind}" for kind in ("nodefeaturerules", "nodefeatures"))
    place.comes(*WATCHED, ("patch", STATUS), ("create", EVENTS), ("watch", rules), ("watch", features))
    place.read_anew()
    place.run(nfd, "--publish=node-feature", f"--lock-dir={place.directory / 'other'}")
    place.comes(*OWN_OBJECT)
    assert place.asked(namespaced=False) == granted("nfd-lite", "Cluster")
    check_object(place.asked(namespaced=True), granted("nfd-lite", ""))


def test_gfd(place: Place) -> None:
    place.run(gfd, f"--config-file={place.directory / 'config.yaml'}")
    place.comes(*WATCHED)
    place.read_anew()
    place.run(gfd, "--publish=node-feature", f"--lock-dir={place.directory / 'other'}")
    place.run(gfd, CONFIG_MAP, f"--lock-dir={place.directory / 'third'}")
    place.comes(*OWN_OBJECT, *FOLLOWED)
    assert place.asked(namespaced=False) == granted("gfd", "Cluster")
    check_object(place.asked(namespaced=True), granted("gfd", ""))


def check_object(asked: dict[Grant, set[str]], roles: dict[Grant, set[str]]) -> None:
    asked[APPLY_CREATES].add("create")
    assert asked == roles


def test_the_device_plugin(place: Place) -> None:
    kubelet = Kubelet(place.directory / "dp")
    kubelet.start()
    place.write("/api/v1/namespaces/default/configmaps", CONFIG)
    taint = "--startup-taint=nvidia.com/gpu-not-ready:NoSchedule"
    place.run(plugin, f"--kubelet-socket={kubelet.socket}", f"--cdi-dir={place.directory / 'cdi'}", taint, CONFIG_MAP)
    place.comes(*WATCHED, *FOLLOWED, ("get", f"{NODES}/{{name}}"), ("patch", STATUS), ("create", EVENTS))
    cluster = NodeCluster(NodeLink(NODE, kubeconfig=place.kubeconfig, user_agent="test"), "gpu-device-plugin")
    assert cluster.pod_uid("default", "gone") is None  # what a kubelet's PodResources say of who holds a device
    kubelet.stop()
    assert place.asked(namespaced=False) == granted("gpu-device-plugin", "Cluster")
    assert place.asked(namespaced=True) == granted("gpu-device-plugin", "")
