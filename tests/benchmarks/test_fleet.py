"""The simulated agents of `make scale` send the requests of real agents, and no others."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.scale.__main__ import MATCH, RULE
from benchmarks.scale.fleet import Fleet, Place
from nfd_lite import collector
from node_core.kube import cluster, informer
from simulation.apiserver import ApiServer
from simulation.apiserver.resources import resource_named
from simulation.apiserver.writes import Target, Writer

NAMES = ("one", "two")
RULES = resource_named("nodefeaturerules.nfd.k8s-sigs.io")


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiServer]:
    for name in ("WATCH_SECONDS", "WATCH_SPREAD_SECONDS"):
        monkeypatch.setattr(informer, name, getattr(informer, name))
    monkeypatch.setattr(cluster, "SERVICE_ACCOUNT", tmp_path)
    monkeypatch.setitem(collector.__dict__, "collect", collector.__dict__["collect"])
    for name in ("KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"):
        monkeypatch.setenv(name, "")
    with ApiServer() as server:
        for name, text in (("token", server.token), ("ca.crt", server.certificate), ("namespace", "gpunode")):
            (tmp_path / name).write_text(text)
        for name in NAMES:
            server.add_node(name)
        yield server


@pytest.fixture
def fleet(server: ApiServer, tmp_path: Path) -> Iterator[Fleet]:
    fleet = Fleet(Place(url=server.url, account=tmp_path), NAMES)
    fleet.start(0.0)
    wait_for(fleet.is_published)
    server.forget_requests()
    yield fleet
    fleet.stop()


def wait_for(is_true: Callable[[], bool]) -> None:
    while not is_true():
        time.sleep(0.01)


def test_agents_that_restart_write_nothing(server: ApiServer, fleet: Fleet) -> None:
    fleet.restart(len(NAMES))
    assert fleet.is_published()
    assert server.writes == 0
    assert server.requests["list", "/api/v1/nodes"] == len(NAMES)


def test_a_rule_is_one_write_of_each_node(server: ApiServer, fleet: Fleet) -> None:
    spec = {"rules": [{"name": "all", "labels": {"scale": "true"}, "matchFeatures": MATCH}]}
    rule = {"metadata": {"name": RULE}, "spec": spec}
    server.api.create(Target(resource=RULES), rule, Writer(manager="kubectl"))
    wait_for(lambda: fleet.is_labelled("true"))
    assert server.requests["patch", "/api/v1/nodes/{name}"] == len(NAMES)


def test_passes_without_a_change_send_nothing(server: ApiServer, fleet: Fleet) -> None:
    fleet.rest(0.3, 3)
    assert not server.requests
