"""The program without drivers: groups and garbage against the simulated API server, without NVIDIADrivers and without kopf."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gpu_operator.__main__ import parse
from node_core.errors import SettingsError
from node_core.runtime.process import ProcessRunner
from simulation.apiserver import ApiServer
from simulation.apiserver.resources import resource_named
from simulation.apiserver.writes import Target, Writer
from tests.gpu_operator.feature_groups.objects import KERNEL, NAMESPACE, group_object, node_feature, rule, term
from tests.waiting import until

GROUPS, FEATURES = "nodefeaturegroups.nfd.k8s-sigs.io", "nodefeatures.nfd.k8s-sigs.io"
FLAGS = ("--operator-namespace", NAMESPACE, "--drivers=false", "--http-address", "127.0.0.1:0")


class Place:
    def __init__(self, server: ApiServer, kubeconfig: Path) -> None:
        self.server, self.kubeconfig = server, kubeconfig

    def create(self, resource: str, obj: dict[str, Any], namespace: str = NAMESPACE) -> None:
        self.server.api.create(
            Target(resource=resource_named(resource), namespace=namespace), obj, Writer(manager="test")
        )

    def nodes_of(self, name: str) -> list[str] | None:
        found = {each["metadata"]["name"]: each for each in self.server.store.list(GROUPS)[0]}
        status = found[name].get("status")
        return None if not status else [each["name"] for each in status["nodes"]]

    @contextmanager
    def running(self, *flags: str) -> Iterator[ProcessRunner]:
        program = parse(["--kubeconfig", str(self.kubeconfig), *FLAGS, *flags])
        assert program is not None
        runner = ProcessRunner(program)
        runner.start()
        try:
            yield runner
        finally:
            runner.stop()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with ApiServer() as server:
        server.write_kubeconfig(tmp_path / "kubeconfig")
        made = Place(server, tmp_path / "kubeconfig")
        made.create("namespaces", {"metadata": {"name": NAMESPACE}}, namespace="")
        yield made


def test_groups_follow_nodes_and_features(place: Place) -> None:
    place.server.add_node("a", labels={"team": "blue"})
    place.create(FEATURES, node_feature("a", KERNEL))
    place.create(GROUPS, group_object(rule(matchFeatures=[term("kernel.version", major=("Gt", "5"))]), name="kernel"))
    place.create(GROUPS, group_object(rule(matchFeatures=[term("node.label", team=("In", "blue"))]), name="label"))
    with place.running("--feature-groups"):
        until(lambda: place.nodes_of("kernel") == ["a"])
        until(lambda: place.nodes_of("label") == ["a"])
        place.server.add_node("b", labels={"team": "blue"})
        until(lambda: place.nodes_of("label") == ["a", "b"])
        place.server.api.delete(Target(resource=resource_named("nodes"), name="a"))
        until(lambda: place.nodes_of("label") == ["b"])
        until(lambda: place.nodes_of("kernel") == [])


def test_without_drivers_no_image_is_needed() -> None:
    assert parse(["--operator-namespace", NAMESPACE, "--drivers=false", "--gc-interval", "1h"]) is not None
    with pytest.raises(SettingsError, match="--driver-manager-image"):
        parse(["--operator-namespace", NAMESPACE])


def test_the_parts_that_run(place: Place) -> None:
    program = parse(["--kubeconfig", str(place.kubeconfig), *FLAGS, "--gc-interval", "1h", "--feature-groups"])
    assert program is not None
    runner = ProcessRunner(program)
    assert [agent.name for agent in runner._built.agents] == ["feature-groups", "garbage-collector"]


def test_the_requests_need_only_the_rights_of_the_chart(place: Place) -> None:
    """See the roles gpunode-operator-nfd, -groups and -lease in the chart."""
    place.server.add_node("a")
    place.create(FEATURES, node_feature("a", KERNEL))
    broken = {"feature": "kernel.version", "matchExpressions": {"major": {"op": "Gt", "value": ["x"]}}}
    place.create(GROUPS, group_object(rule(matchFeatures=[broken])))
    place.server.forget_requests()
    with place.running("--feature-groups"):
        until(lambda: place.nodes_of("g") == [])
        until(lambda: place.server.store.list("events")[0])
    requests = {
        (verb, path.rpartition("/")[2] if "{" not in path.rpartition("/")[2] else path.split("/")[-2])
        for verb, path in place.server.requests
    }
    assert requests <= {
        *((verb, kind) for verb in ("list", "watch") for kind in ("nodes", "nodefeatures", "nodefeaturegroups")),
        ("patch", "status"),
        ("create", "events"),
        *((verb, "leases") for verb in ("get", "create", "update")),
    }
    assert (
        "patch",
        "/apis/nfd.k8s-sigs.io/v1alpha1/namespaces/{namespace}/nodefeaturegroups/{name}/status",
    ) in place.server.requests
