"""The pods of the agents on each Node, as the API server has them."""

from typing import Any

import pytest

from gpunode.cluster.connection import Connection
from gpunode.doctor.deployed import read_deployed
from node_core.errors import KubeError
from simulation.apiserver import ApiServer
from tests.gpunode.recorded import NOON, store_objects

WALL = NOON.timestamp()
PLUGIN = {
    "kind": "DaemonSet",
    "metadata": {"name": "plugin", "namespace": "kube-system"},
    "spec": {
        "selector": {"matchLabels": {"app": "plugin"}},
        "template": {"spec": {"containers": [{"name": "c", "command": ["gpu-device-plugin"]}]}},
    },
}


def pod(name: str, node: str, *, phase: str = "Running", app: str = "plugin", target: str = "") -> dict[str, Any]:
    field = {"key": "metadata.name", "operator": "In", "values": [target]}
    terms = {"nodeSelectorTerms": [{"matchFields": [field]}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}} if target else {}
    status = {"name": "c", "ready": True, "state": {"running": {}}}
    return {
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "kube-system", "labels": {"app": app}},
        "spec": {"nodeName": node, "affinity": affinity},
        "status": {"phase": phase, "containerStatuses": [status]},
    }


def test_each_node_has_the_pods_of_its_agents(server: ApiServer, connection: Connection) -> None:
    store_objects(
        server, [PLUGIN, pod("a", "n1"), pod("b", "n2"), pod("c", "n1", app="x"), pod("d", "n3", phase="Failed")]
    )
    deployed = read_deployed(connection.api, WALL)
    assert {name: dict(pods.names) for name, pods in deployed.pods.items()} == {
        "n1": {"kube-system/plugin": "a"},
        "n2": {"kube-system/plugin": "b"},
    }
    assert deployed.pods_on("n1").running == {"kube-system/plugin"}
    assert deployed.pods_on("n3").names == {}


def test_a_pod_that_is_not_scheduled_belongs_to_the_node_of_its_affinity(
    server: ApiServer, connection: Connection
) -> None:
    waiting = [pod("a", "", phase="Pending", target="n1"), pod("b", "", phase="Pending", target="n2"), pod("c", "")]
    store_objects(server, [PLUGIN, *waiting])
    assert set(read_deployed(connection.api, WALL).pods) == {"n1", "n2"}
    assert set(read_deployed(connection.api, WALL, node="n1").pods) == {"n1"}


def test_a_missing_right_is_a_note_and_another_failure_an_error(server: ApiServer, connection: Connection) -> None:
    server.fail_next(1, 403)
    deployed = read_deployed(connection.api, WALL)
    assert not deployed.deployment.is_known
    assert "daemonsets.apps" in deployed.notes[0].sentence
    server.fail_next(1, 500)
    with pytest.raises(KubeError):
        read_deployed(connection.api, WALL)
