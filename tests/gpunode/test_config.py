"""A config that the Node's label names, where all agents are one process: labels and devices say the same."""

from typing import Any

from node_core.simulate.apiserver.resources import resource_named
from node_core.simulate.apiserver.writes import Target, Writer

CONFIG = "nvidia.com/device-plugin.config"
SHARED = "sharing: {timeSlicing: {resources: [{name: gpu, replicas: %d}]}}"


def test_one_set_of_flags_makes_labels_and_devices_follow(cluster: Any) -> None:
    configs = cluster.directory / "configs"
    configs.mkdir()
    for name, replicas in {"default": 2, "four": 4}.items():
        (configs / name).write_text(SHARED % replicas)
    cluster.start("gpunode", "run", "--simulate", "h100x8", "--config-dir", str(configs))
    cluster.until(lambda: said(cluster) == ("16", "2"))
    cluster.server.store.mutate("nodes", "n1", named)
    cluster.until(lambda: said(cluster) == ("32", "4"))


def test_a_configmap_is_followed_by_one_watch_for_labels_and_devices(cluster: Any) -> None:
    data = {name: SHARED % replicas for name, replicas in {"default": 2, "four": 4}.items()}
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "configs"}, "data": data}
    target = Target(resource=resource_named("configmaps"), namespace="kube-system")
    cluster.server.api.create(target, body, Writer(manager="kubectl"))
    cluster.start("gpunode", "run", "--simulate", "h100x8", "--config-map", "kube-system/configs")
    cluster.until(lambda: said(cluster) == ("16", "2"))
    cluster.server.store.mutate("nodes", "n1", named)
    cluster.until(lambda: said(cluster) == ("32", "4"))
    path = "/api/v1/namespaces/{namespace}/configmaps"
    assert (cluster.server.requests["list", path], cluster.server.requests["watch", path]) == (1, 1)


def said(cluster: Any) -> tuple[str | None, str | None]:
    return cluster.gpus, cluster.labels.get("nvidia.com/gpu.replicas")


def named(node: dict[str, Any]) -> dict[str, Any]:
    node["metadata"]["labels"][CONFIG] = "four"
    return node
