"""A config that a label of the Node selects, with all agents in one process: labels and devices agree."""

from typing import Any

import pytest

from simulation.apiserver.resources import resource_named
from simulation.apiserver.writes import Target, Writer

CONFIG = "nvidia.com/device-plugin.config"
SHARED = "sharing: {timeSlicing: {resources: [{name: gpu, replicas: %d}]}}"


def test_a_config_folder_determines_labels_and_devices(cluster: Any) -> None:
    configs = cluster.directory / "configs"
    configs.mkdir()
    for name, count in {"default": 2, "four": 4}.items():
        (configs / name).write_text(SHARED % count)
    cluster.start("gpunode", "run", "--simulate", "h100x8", "--config-dir", str(configs))
    cluster.until(lambda: replicas(cluster) == ("16", "2"))
    cluster.server.store.mutate("nodes", "n1", select_config)
    cluster.until(lambda: replicas(cluster) == ("32", "4"))


@pytest.mark.exhaustive
def test_one_watch_of_a_configmap_determines_labels_and_devices(cluster: Any) -> None:
    data = {name: SHARED % count for name, count in {"default": 2, "four": 4}.items()}
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "configs"}, "data": data}
    target = Target(resource=resource_named("configmaps"), namespace="kube-system")
    cluster.server.api.create(target, body, Writer(manager="kubectl"))
    cluster.start("gpunode", "run", "--simulate", "h100x8", "--config-map", "kube-system/configs")
    cluster.until(lambda: replicas(cluster) == ("16", "2"))
    cluster.server.store.mutate("nodes", "n1", select_config)
    cluster.until(lambda: replicas(cluster) == ("32", "4"))
    path = "/api/v1/namespaces/{namespace}/configmaps"
    assert (cluster.server.requests["list", path], cluster.server.requests["watch", path]) == (1, 1)


def replicas(cluster: Any) -> tuple[str | None, str | None]:
    return cluster.gpus, cluster.labels.get("nvidia.com/gpu.replicas")


def select_config(node: dict[str, Any]) -> dict[str, Any]:
    node["metadata"]["labels"][CONFIG] = "four"
    return node
