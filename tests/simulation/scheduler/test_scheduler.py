"""The simulated scheduler on a store."""

from collections.abc import Iterator
from typing import Any

import pytest

from simulation.apiserver.api import Api
from simulation.apiserver.resources import resource_named
from simulation.apiserver.store import Store
from simulation.apiserver.writes import Target, Writer
from simulation.scheduler.scheduler import Scheduler
from tests.waiting import until

NODES = Target(resource=resource_named("nodes"))
PODS = Target(resource=resource_named("pods"), namespace="default")
TEST = Writer(manager="test")


@pytest.fixture
def store() -> Store:
    made = Store()
    Api(made).create(Target(resource=resource_named("namespaces")), {"metadata": {"name": "default"}}, TEST)
    return made


@pytest.fixture
def scheduler(store: Store) -> Iterator[Scheduler]:
    running = Scheduler(store)
    yield running
    running.stop()


def add_node(store: Store, gpus: str) -> None:
    resources = {"cpu": "4", "memory": "8Gi", "pods": "10", "nvidia.com/gpu": gpus}
    status = {"allocatable": resources, "conditions": [{"type": "Ready", "status": "True"}]}
    Api(store).create(NODES, {"metadata": {"name": "n1"}, "status": status}, TEST)


def add_pod(store: Store, name: str, **spec: Any) -> None:
    container = {"name": "c", "image": "i", "resources": {"limits": {"nvidia.com/gpu": "1"}}}
    Api(store).create(PODS, {"metadata": {"name": name}, "spec": {"containers": [container], **spec}}, TEST)


def set_gpus(store: Store, gpus: str) -> None:
    def change(node: dict[str, Any]) -> dict[str, Any]:
        allocatable = {**node["status"]["allocatable"], "nvidia.com/gpu": gpus}
        return {**node, "status": {**node["status"], "allocatable": allocatable}}

    target = Target(resource=NODES.resource, name="n1", subresource="status")
    Api(store).update(target, change, TEST)


def node_of(store: Store, name: str) -> Any:
    return store.get("pods", name, "default")["spec"].get("nodeName")


def scheduled(store: Store, name: str) -> dict[str, Any]:
    conditions = store.get("pods", name, "default")["status"].get("conditions", [])
    return next((each for each in conditions if each["type"] == "PodScheduled"), {})


def events(store: Store) -> list[tuple[str, str]]:
    found = store.list("events", "default")[0]
    return sorted((event["reason"], event["involvedObject"]["name"]) for event in found)


def test_a_pod_with_a_suitable_node_is_bound_with_condition_and_event(store: Store, scheduler: Scheduler) -> None:
    add_node(store, "1")
    add_pod(store, "p")
    scheduler.schedule_waiting()
    assert (node_of(store, "p"), scheduled(store, "p")["status"]) == ("n1", "True")
    assert events(store) == [("Scheduled", "p")]


def test_two_pods_do_not_get_the_same_gpu_in_one_pass(store: Store, scheduler: Scheduler) -> None:
    add_node(store, "1")
    add_pod(store, "a")
    add_pod(store, "b")
    scheduler.schedule_waiting()
    assert (node_of(store, "a"), node_of(store, "b")) == ("n1", None)


def test_an_unschedulable_pod_gets_the_reason_once(store: Store, scheduler: Scheduler) -> None:
    add_node(store, "0")
    add_pod(store, "p")
    for _ in range(3):
        scheduler.schedule_waiting()
    condition = scheduled(store, "p")
    assert (condition["status"], condition["reason"]) == ("False", "Unschedulable")
    assert condition["message"] == "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."
    assert events(store) == [("FailedScheduling", "p")]


def test_pods_of_other_schedulers_and_gated_pods_are_ignored(store: Store, scheduler: Scheduler) -> None:
    add_node(store, "2")
    add_pod(store, "theirs", schedulerName="other")
    add_pod(store, "gated", schedulingGates=[{"name": "g"}])
    scheduler.schedule_waiting()
    assert (node_of(store, "theirs"), node_of(store, "gated")) == (None, None)


def test_a_malformed_pod_does_not_stop_the_scheduler(store: Store, scheduler: Scheduler) -> None:
    add_node(store, "2")
    add_pod(
        store,
        "broken",
        affinity={
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": 3}]}
            }
        },
    )
    add_pod(store, "sound")
    scheduler.schedule_waiting()
    assert (node_of(store, "broken"), node_of(store, "sound")) == (None, "n1")


def test_a_pending_pod_is_bound_when_a_gpu_appears(store: Store, scheduler: Scheduler) -> None:
    add_node(store, "0")
    scheduler.start()
    add_pod(store, "p")
    until(lambda: scheduled(store, "p").get("status") == "False")
    set_gpus(store, "1")
    until(lambda: node_of(store, "p") == "n1")


def test_a_pending_pod_is_bound_when_another_pod_is_deleted(store: Store, scheduler: Scheduler) -> None:
    add_node(store, "1")
    scheduler.start()
    add_pod(store, "a")
    until(lambda: node_of(store, "a") == "n1")
    add_pod(store, "b")
    until(lambda: scheduled(store, "b").get("status") == "False")
    store.delete("pods", "a", namespace="default")
    until(lambda: node_of(store, "b") == "n1")


def test_the_scheduler_can_be_restarted(store: Store, scheduler: Scheduler) -> None:
    scheduler.start()
    scheduler.stop()
    add_node(store, "1")
    add_pod(store, "p")
    scheduler.start()
    until(lambda: node_of(store, "p") == "n1")


def test_a_pass_without_changes_writes_nothing(store: Store, scheduler: Scheduler) -> None:
    add_node(store, "0")
    add_pod(store, "p")
    scheduler.schedule_waiting()
    before = store.version
    scheduler.schedule_waiting()
    assert store.version == before


def test_pods_of_the_same_second_are_scheduled_in_the_order_of_their_creation(
    scheduler: Scheduler, store: Store
) -> None:
    add_node(store, "1")
    add_pod(store, "second-by-name")
    add_pod(store, "first-by-name")
    scheduler.schedule_waiting()
    assert node_of(store, "second-by-name") == "n1"
    assert node_of(store, "first-by-name") is None
