"""What the cluster is told, by a stand-in for its API, and what happens when it does not listen."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from device_plugin.devices import DeviceId
from device_plugin.health.cluster import NodeCluster
from device_plugin.health.news import Condition, News
from device_plugin.health.teller import MOST_NEWS, Teller
from node_core.domain.inventory import GpuUuid
from node_core.errors import KubeError, KubeletError
from node_core.runtime.node_link import NodeLink
from node_core.runtime.services import Services
from node_core.simulate.apiserver import ApiServer
from tests.node_core.runtime.test_process import until

NEWS = News(reason="GPUUnhealthy", note="GPU-0 gets no new pods: Xid 79.", gpu=GpuUuid("GPU-0"), at=1_700_000_000.0)
READY = Condition(is_ready=True, reason="GPUsReady", message="8 of 8 devices can be allocated")
BROKEN = Condition(is_ready=False, reason="NoDriver", message="there is no driver")


class Fake:
    """Remembers what it is told. refuse: the status of every answer."""

    def __init__(self) -> None:
        self.refuse: int | None = None
        self.events: list[Mapping[str, Any]] = []
        self.patches: list[Mapping[str, Any]] = []
        self.asked = 0

    def _check(self) -> None:
        self.asked += 1
        if self.refuse is not None:
            raise KubeError("no", status=self.refuse)

    def read_node(self) -> Mapping[str, Any]:
        self._check()
        return self.patches[-1] if self.patches else {}

    def patch_status(self, patch: Mapping[str, Any]) -> None:
        self._check()
        self.patches.append(patch)

    def create_event(self, event: Mapping[str, Any]) -> None:
        self._check()
        self.events.append(event)

    def pod_uid(self, namespace: str, name: str) -> str | None:
        return None if name == "gone" else f"uid-{name}"


def holders(devices: frozenset[str]) -> Iterator[tuple[str, str]]:
    if "broken" in devices:
        raise KubeletError("the kubelet does not say")
    return iter([("a", "one"), ("b", "gone")])


@pytest.fixture
def fake() -> Fake:
    return Fake()


@pytest.fixture
def teller(fake: Fake) -> Teller:
    return Teller(fake, holders, Services(wall=lambda: 1_700_000_100.0), agent="gpu-device-plugin", node_name="n1")


def about(event: Mapping[str, Any]) -> str:
    return f"{event['involvedObject']['kind']}/{event['involvedObject']['name']}"


def test_the_node_and_the_pods_that_hold_the_device_are_told(fake: Fake, teller: Teller) -> None:
    teller.news(replace(NEWS, devices=frozenset({DeviceId("GPU-0")})))
    assert teller.step()
    assert [about(event) for event in fake.events] == ["Node/n1", "Pod/one"]
    node, pod = fake.events
    assert node["metadata"]["namespace"] == "default"
    assert node["involvedObject"]["uid"] == "n1"
    assert pod["metadata"]["namespace"] == pod["involvedObject"]["namespace"] == "a"
    assert (pod["involvedObject"]["uid"], pod["type"], pod["reason"]) == ("uid-one", "Warning", "GPUUnhealthy")
    assert pod["firstTimestamp"] == "2023-11-14T22:13:20Z"
    assert node["metadata"]["name"] != pod["metadata"]["name"]


def test_a_kubelet_that_does_not_answer_costs_only_the_pods_events(fake: Fake, teller: Teller) -> None:
    teller.news(replace(NEWS, devices=frozenset({DeviceId("broken")})))
    assert teller.step()
    assert [about(event) for event in fake.events] == ["Node/n1"]


@pytest.mark.parametrize("status", [0, 429, 500, 503])
def test_what_gets_no_answer_is_kept_and_said_once(fake: Fake, teller: Teller, status: int) -> None:
    fake.refuse = status
    teller.news(NEWS)
    teller.condition(READY)
    with capture_logs() as logs:
        assert [teller.step() for _ in range(5)] == [False] * 5
    assert [entry["event"] for entry in logs] == ["cluster_not_told"]
    fake.refuse = None
    assert teller.step()
    assert (len(fake.events), len(fake.patches)) == (1, 1)


@pytest.mark.parametrize("status", [400, 403, 404, 422])
def test_what_is_refused_is_said_and_given_up(fake: Fake, teller: Teller, status: int) -> None:
    fake.refuse = status
    teller.news(NEWS)
    teller.condition(READY)
    with capture_logs() as logs:
        assert [teller.step() for _ in range(3)] == [True] * 3
    assert sorted(entry["event"] for entry in logs) == ["condition_not_written", "event_not_written"]


def test_a_flood_of_news_keeps_the_newest(fake: Fake, teller: Teller) -> None:
    for number in range(MOST_NEWS * 3):
        teller.news(replace(NEWS, note=str(number)))
    teller.step()
    assert [event["message"] for event in fake.events] == [str(MOST_NEWS * 2 + each) for each in range(MOST_NEWS)]


def test_a_condition_is_written_when_it_says_something_else(fake: Fake, teller: Teller) -> None:
    for condition in (READY, READY, BROKEN, replace(BROKEN, message="still none"), READY):
        teller.condition(condition)
        teller.step()
    said = [patch["status"]["conditions"][0] for patch in fake.patches]
    assert [each["status"] for each in said] == ["True", "False", "False", "True"]
    asked = fake.asked
    teller.step()
    assert fake.asked == asked


def test_another_process_that_finds_its_condition_writes_nothing(fake: Fake, teller: Teller) -> None:
    teller.condition(READY)
    teller.step()
    other = Teller(fake, holders, Services(), agent="gpu-device-plugin", node_name="n1")
    other.condition(READY)
    other.step()
    assert len(fake.patches) == 1


def test_a_status_that_stays_keeps_the_time_of_its_transition(fake: Fake, teller: Teller) -> None:
    teller.condition(BROKEN)
    teller.step()
    first = fake.patches[0]["status"]["conditions"][0]["lastTransitionTime"]
    later = Teller(fake, holders, Services(wall=lambda: 1_800_000_000.0), agent="a", node_name="n1")
    later.condition(replace(BROKEN, message="still none"))
    later.step()
    later.condition(READY)
    later.step()
    times = [patch["status"]["conditions"][0]["lastTransitionTime"] for patch in fake.patches]
    assert times == [first, first, "2027-01-15T08:00:00Z"]


def test_a_node_that_was_made_anew_is_told_again(fake: Fake, teller: Teller) -> None:
    teller.condition(READY)
    teller.step()
    fake.patches.clear()
    teller.forget()
    teller.step()
    assert len(fake.patches) == 1


def test_its_thread_tells_and_ends(fake: Fake, teller: Teller) -> None:
    teller.start()
    teller.news(NEWS)
    teller.condition(READY)
    until(lambda: bool(fake.events and fake.patches))
    teller.stop()
    assert not teller._thread.is_alive()


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer() as running:
        running.add_node("n1")
        yield running


def test_a_real_request_adds_a_condition_beside_those_of_the_kubelet(server: ApiServer, tmp_path: Path) -> None:
    server.write_kubeconfig(tmp_path / "kubeconfig")
    link = NodeLink("n1", kubeconfig=str(tmp_path / "kubeconfig"), user_agent="test")
    cluster = NodeCluster(link, "gpu-device-plugin")
    before = {each["type"] for each in cluster.read_node()["status"]["conditions"]}
    teller = Teller(cluster, holders, Services(), agent="gpu-device-plugin", node_name="n1")
    for condition in (BROKEN, READY):
        teller.condition(condition)
        assert teller.step()
    conditions = {each["type"]: each for each in cluster.read_node()["status"]["conditions"]}
    assert conditions.keys() == before | {"GPUReady"}
    assert (conditions["GPUReady"]["status"], conditions["GPUReady"]["reason"]) == ("True", "GPUsReady")
    teller.news(NEWS)
    assert teller.step()
    assert cluster.pod_uid("default", "none") is None
