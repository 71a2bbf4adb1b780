"""Events and the uids of Pods, with the simulated API server."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from node_core.errors import KubeError
from node_core.kube.events import EventApi
from node_core.kube.http import ApiClient
from simulation.apiserver import ApiServer
from simulation.apiserver.resources import resource_named
from simulation.apiserver.writes import NO_WRITER, Target

EVENT = {"metadata": {"name": "e", "namespace": "default"}, "involvedObject": {"kind": "Node", "name": "n1"}}


@pytest.fixture
def events(kubeconfig: Path) -> EventApi:
    return EventApi(ApiClient(kubeconfig=str(kubeconfig), user_agent="t"))


def test_an_event_that_exists_is_not_an_error(server: ApiServer, events: EventApi) -> None:
    events.create(EVENT)
    events.create(EVENT | {"message": "of another node"})
    (event,) = server.store.list("events")[0]
    assert "message" not in event


def test_an_event_that_cannot_be_created_is_an_error(events: EventApi) -> None:
    with pytest.raises(KubeError) as caught:
        events.create(EVENT | {"metadata": {"name": "no name", "namespace": "default"}})
    assert caught.value.status == 422


def test_a_pod_has_a_uid_until_it_is_deleted(server: ApiServer, events: EventApi) -> None:
    spec: Mapping[str, Any] = {"containers": [{"name": "c", "image": "i"}]}
    server.api.create(
        Target(resource=resource_named("pods"), namespace="default"),
        {"metadata": {"name": "p"}, "spec": spec},
        NO_WRITER,
    )
    pod = Target(resource=resource_named("pods"), namespace="default", name="p")
    assert events.pod_uid("default", "p") == server.api.get(pod)["metadata"]["uid"]
    server.api.delete(pod)
    assert events.pod_uid("default", "p") is None


def test_a_pod_that_cannot_be_read_is_an_error(server: ApiServer, events: EventApi) -> None:
    server.reject_token(server.token)
    with pytest.raises(KubeError) as caught:
        events.pod_uid("default", "p")
    assert caught.value.status == 401
