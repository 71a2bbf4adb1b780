"""Pausing DaemonSets through the API."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gpu_core.clients.daemon_sets import DaemonSetPause
from gpu_core.clients.pause import DEPLOY, Pause
from node_core.errors import KubeError
from node_core.kube.client import NodeApi
from node_core.scheduling.objects import Metadata, OwnerReference, Pod, PodSpec
from simulation.apiserver import ApiServer

PLUGIN, DCGM = f"{DEPLOY}device-plugin", f"{DEPLOY}dcgm"
COMPONENTS = ("device-plugin", "dcgm")
POD = Pod(
    metadata=Metadata(name="dcgm-1", namespace="gpu", owner_references=(OwnerReference(kind="DaemonSet", name="d"),)),
    spec=PodSpec(node_selector={DCGM: "true"}),
)


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer() as running:
        running.add_node("n1")
        yield running


@pytest.fixture
def api(server: ApiServer, tmp_path: Path) -> NodeApi:
    server.write_kubeconfig(tmp_path / "kubeconfig")
    api = NodeApi("n1", kubeconfig=str(tmp_path / "kubeconfig"), user_agent="test")
    api.apply_labels("gpu-operator", {DCGM: "true"}, force=False)
    return api


def clients(api: Any, *pods: Pod) -> DaemonSetPause:
    return DaemonSetPause(api=api, list_pods=lambda _: pods, manager="m", pause=Pause.MIG_CHANGE)


def deploy_labels(api: NodeApi) -> dict[str, str]:
    return {key: value for key, value in api.get().labels.items() if key.startswith(DEPLOY)}


def test_a_later_process_ends_the_pause(api: NodeApi) -> None:
    clients(api).begin(COMPONENTS)
    assert deploy_labels(api) == dict.fromkeys((DCGM, PLUGIN), "paused-for-mig-change")
    clients(api).end()
    assert deploy_labels(api) == {DCGM: "true"}
    assert Pause.MIG_CHANGE.annotation not in api.get().annotations


def test_nothing_is_written_twice(api: NodeApi) -> None:
    clients(api).begin(COMPONENTS)
    version = api.get().resource_version
    clients(api).begin(COMPONENTS)
    assert api.get().resource_version == version
    clients(api).end()
    version = api.get().resource_version
    clients(api).end()
    assert api.get().resource_version == version


def test_the_pods_that_have_not_ended_are_found(api: NodeApi) -> None:
    assert clients(api, POD).find_leaving() == ()
    assert clients(api, POD).find_selected(COMPONENTS) == (POD,)
    assert deploy_labels(api) == {DCGM: "true"}
    clients(api).begin(COMPONENTS)
    assert clients(api, POD).find_leaving() == (POD,)
    assert clients(api).find_leaving() == ()


def conflicting(api: NodeApi, count: int) -> NodeApi:
    """The Node changes between the read and the write of the first requests."""
    patch, left = api.patch_metadata, [None] * count

    def patch_late(manager: str, **more: Any) -> Any:
        if left:
            left.pop()
            api.apply_labels("other", {"a/a": str(len(left))}, force=True)
        return patch(manager, **more)

    api.patch_metadata = patch_late  # type: ignore[method-assign]
    return api


def test_a_node_that_changes_in_between_is_planned_again(api: NodeApi) -> None:
    clients(conflicting(api, 2)).begin(COMPONENTS)
    assert len(deploy_labels(api)) == 2


def test_a_node_that_changes_all_the_time_is_an_error(api: NodeApi) -> None:
    with pytest.raises(KubeError) as caught:
        clients(conflicting(api, 9)).begin(COMPONENTS)
    assert caught.value.status == 409
    assert deploy_labels(api) == {DCGM: "true"}
