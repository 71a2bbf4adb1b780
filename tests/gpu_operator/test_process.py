"""gpu-operator with kopf, against the simulated API server."""

import gc
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gpu_operator.__main__ import parse
from gpu_operator.view import Obj
from node_core.runtime.process import ProcessRunner
from simulation.apiserver.resources import resource_named
from simulation.apiserver.server import ApiServer
from simulation.apiserver.writes import Target, Writer
from tests.gpu_operator.clusters import NAMESPACE, driver, node
from tests.gpu_operator.test_rights import rights
from tests.waiting import until

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
"""kopf leaves connections to the garbage collector when it ends."""
NODES, DRIVERS, SETS = "nodes", "nvidiadrivers.nvidia.com", "daemonsets.apps"


def collect_connections(running: list[threading.Thread]) -> None:
    """Collects the connections that kopf leaves open, without the warnings about them. running: the threads that do not end."""
    for thread in threading.enumerate():
        if thread.name == "kopf" and thread not in running:
            thread.join()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


class Place:
    def __init__(self, server: ApiServer, kubeconfig: Path) -> None:
        self.server, self._kubeconfig = server, kubeconfig
        self.create("namespaces", {"metadata": {"name": NAMESPACE}})

    def create(self, resource: str, obj: Obj) -> None:
        body: Any = obj
        self.server.api.create(Target(resource=resource_named(resource)), body, Writer(manager="test"))

    def delete(self, resource: str, name: str) -> None:
        self.server.api.delete(Target(resource=resource_named(resource), name=name), {})

    def names(self) -> set[str]:
        return {
            each["metadata"]["name"].removeprefix("nvidia-driver-daemonset-")
            for each in self.server.store.list(SETS)[0]
        }

    def set_status_of_daemon_sets(self) -> None:
        """Does what the DaemonSet controller does: each DaemonSet is observed, and has no pods."""

        def observe(old: Any) -> Any:
            return {**old, "status": {"observedGeneration": old["metadata"]["generation"]}}

        for each in self.server.store.list(SETS)[0]:
            name, resource = each["metadata"]["name"], resource_named(SETS)
            target = Target(resource=resource, namespace=NAMESPACE, name=name, subresource="status")
            self.server.api.update(target, observe, Writer(manager="test"))

    @contextmanager
    def running(self) -> Iterator[ProcessRunner]:
        flags = ["--operator-namespace", NAMESPACE, "--driver-manager-image", "i", "--http-address", "127.0.0.1:0"]
        before = threading.enumerate()
        program = parse(["--kubeconfig", str(self._kubeconfig), *flags])
        assert program is not None
        runner = ProcessRunner(program)
        runner.start()
        try:
            yield runner
        finally:
            runner.stop()
            collect_connections(before)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with ApiServer() as server:
        kubeconfig = tmp_path / "kubeconfig"
        server.write_kubeconfig(kubeconfig)
        yield Place(server, kubeconfig)


def test_objects_become_daemon_sets_and_a_steady_state_sends_no_request(place: Place) -> None:
    place.create(NODES, node("a"))
    place.create(DRIVERS, driver())
    with place.running() as runner:
        until(lambda: place.names() == {"ubuntu22.04"})
        place.create(NODES, node("b", os="ubuntu24.04"))
        until(lambda: place.names() == {"ubuntu22.04", "ubuntu24.04"})
        until(lambda: set(runner.services.readiness.problems().values()) == {None})


def test_the_controller_sends_only_requests_that_its_roles_allow(place: Place) -> None:
    place.create(NODES, node("a"))
    place.create(DRIVERS, {**driver(), "spec": {"version": ""}})
    with place.running():
        until(lambda: place.server.requests["create", "/api/v1/namespaces/{namespace}/events"])
        place.create(DRIVERS, driver("other"))
        until(place.names)
    everywhere = rights("ClusterRole", "gpunode-operator")
    own = rights("Role", "gpunode-operator") | rights("Role", "gpunode-operator-lease")
    for verb, template in place.server.requests:
        grant = grant_of(template)
        assert verb in everywhere.get(grant, set()) | own.get(grant, set()), f"{verb} {template}"


def grant_of(template: str) -> tuple[str, str]:
    """Returns the group and the resource of a path template."""
    parts = template.strip("/").split("/")
    group, rest = ("", parts[2:]) if parts[0] == "api" else (parts[1], parts[3:])
    rest = rest[2:] if rest[0] == "namespaces" else rest
    return group, "/".join(part for part in rest if part != "{name}")


@pytest.mark.exhaustive
def test_what_was_deleted_during_an_outage_is_gone_afterwards(place: Place) -> None:
    """kopf does not report objects that were deleted before it lists again."""
    for name, system in (("a", "ubuntu22.04"), ("b", "ubuntu24.04")):
        place.create(NODES, node(name, os=system))
    place.create(DRIVERS, driver())
    with place.running() as runner:
        until(lambda: place.names() == {"ubuntu22.04", "ubuntu24.04"})
        place.set_status_of_daemon_sets()
        place.server.stop()
        place.delete(NODES, "b")
        place.server.store.compact()
        place.server.start()
        until(lambda: place.names() == {"ubuntu22.04"}, runner.services.readiness.problems)


@pytest.mark.exhaustive
def test_an_api_server_that_comes_back_is_used_again(place: Place) -> None:
    place.create(DRIVERS, driver())
    place.create(NODES, node("a"))
    with place.running():
        until(lambda: place.names() == {"ubuntu22.04"})
        place.server.stop()
        place.create(NODES, node("b", os="ubuntu24.04"))
        place.server.start()
        until(lambda: place.names() == {"ubuntu22.04", "ubuntu24.04"})


@pytest.mark.exhaustive
def test_a_second_controller_waits_and_takes_over_at_once_after_the_end_of_the_first(place: Place) -> None:
    place.create(DRIVERS, driver())
    place.create(NODES, node("a"))
    with place.running():
        until(lambda: place.names() == {"ubuntu22.04"})
        with place.running() as second:
            until(lambda: set(second.services.readiness.problems().values()) == {None})
            place.server.forget_requests()
            place.create(NODES, node("b", os="ubuntu24.04"))
            until(lambda: place.names() == {"ubuntu22.04", "ubuntu24.04"})
            patched = ("patch", "/apis/apps/v1/namespaces/{namespace}/daemonsets/{name}")
            assert place.server.requests[patched] == 1, "only the first controller writes"
    with place.running():
        place.create(NODES, node("c", os="debian12"))
        until(lambda: "debian12" in place.names())
