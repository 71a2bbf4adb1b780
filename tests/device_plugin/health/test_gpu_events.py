"""Events about a GPU for the Node and for the pods that use its devices."""

from collections.abc import Iterator, Mapping
from typing import Any

from structlog.testing import capture_logs

from device_plugin.devices import DeviceId
from device_plugin.health.gpu_events import GpuEvent, GpuEventRecorder
from gpu_core.domain.inventory import GpuUuid
from node_core.errors import KubeError, KubeletError
from node_core.runtime.event_recorder import EventRecorder
from node_core.runtime.services import Services
from node_core.values import replace

LOST = GpuEvent(reason="GPUUnhealthy", note="GPU-0 gets no new pods: Xid 79.", gpu=GpuUuid("GPU-0"), at=1_700_000_000.0)
USED = replace(LOST, devices=frozenset({DeviceId("GPU-0")}))


class Api:
    """outages: how many requests for a pod fail."""

    def __init__(self) -> None:
        self.outages = 0
        self.events: dict[str, Mapping[str, Any]] = {}

    def create(self, event: Mapping[str, Any]) -> None:
        self.events.setdefault(event["metadata"]["name"], event)

    def pod_uid(self, namespace: str, name: str) -> str | None:
        if self.outages:
            self.outages -= 1
            raise KubeError("no response")
        return None if name == "gone" else f"uid-{name}"

    @property
    def about(self) -> list[str]:
        objects = [event["involvedObject"] for event in self.events.values()]
        return [f"{each['kind']}/{each['name']}" for each in objects]


def pods_of(devices: frozenset[str]) -> Iterator[tuple[str, str]]:
    if "broken" in devices:
        raise KubeletError("the kubelet does not respond")
    return iter([("a", "one"), ("b", "gone")])


def make(api: Api) -> tuple[EventRecorder, GpuEventRecorder]:
    recorder = EventRecorder(lambda: api, Services())
    return recorder, GpuEventRecorder(recorder, lambda: api, pods_of, agent="gpu-device-plugin", node_name="n1")


def test_the_node_and_the_pods_that_use_the_device_get_the_event() -> None:
    api = Api()
    recorder, events = make(api)
    events.record(USED)
    assert recorder.step()
    assert api.about == ["Node/n1", "Pod/one"]
    node, pod = api.events.values()
    assert (node["involvedObject"]["uid"], pod["involvedObject"]["uid"]) == ("n1", "uid-one")
    assert pod["metadata"]["namespace"] == "a"


def test_without_the_kubelet_only_the_events_of_pods_are_missing() -> None:
    api = Api()
    recorder, events = make(api)
    events.record(replace(LOST, devices=frozenset({DeviceId("broken")})))
    assert recorder.step()
    assert api.about == ["Node/n1"]


def test_after_an_outage_in_the_middle_each_event_exists_once() -> None:
    api = Api()
    api.outages = 2
    recorder, events = make(api)
    events.record(USED)
    assert [recorder.step() for _ in range(3)] == [False, False, True]
    assert api.about == ["Node/n1", "Pod/one"]


def test_a_kubelet_that_does_not_respond_is_logged_once_until_it_responds_again() -> None:
    recorder, events = make(Api())
    with capture_logs() as lines:
        for number, device in enumerate(("broken", "broken", "x", "x", "broken")):
            events.record(replace(LOST, at=LOST.at + number, devices=frozenset({DeviceId(device)})))
            assert recorder.step()
    assert [line["event"] for line in lines] == [
        "pod_assignments_unknown", "pod_assignments_known", "pod_assignments_unknown",
    ]  # fmt: skip
