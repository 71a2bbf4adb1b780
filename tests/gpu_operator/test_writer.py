"""The plan is written, and a refused write is named in the status without preventing the others."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from gpu_core.pods.claimants import ClaimantFinder
from gpu_operator.cluster.client import NotLeaderError
from gpu_operator.cluster.writer import ClusterWriter
from gpu_operator.plan.status import ERROR, find_condition
from gpu_operator.view import ClusterView, Obj
from gpu_operator.workloads import add_workloads
from node_core.domain.events import Event
from node_core.errors import KubeError
from node_core.runtime.services import Services
from node_core.values import replace
from tests.gpu_operator.clusters import NAMESPACE, NOW, applied, driver, node, owned, plan, pod, view


@dataclass
class FakeApi:
    """errors: part of a path -> raised in place of a response."""

    errors: dict[str, KubeError] = field(default_factory=dict)
    sent: list[tuple[str, str, Any]] = field(default_factory=list)
    response: Obj = field(default_factory=dict)

    def request(self, verb: str, path: str, *, query: Any = None, body: Any = None, content: str | None = None) -> Obj:
        for part, error in self.errors.items():
            if part in path:
                raise error
        self.sent.append((verb, path, body if verb != "GET" else query))
        return self.response

    @property
    def paths(self) -> list[str]:
        return [f"{verb} {path.rpartition('/v1alpha1')[2].rpartition('/api/v1')[2]}" for verb, path, _ in self.sent]


@dataclass
class Writing:
    api: FakeApi
    is_complete: bool
    relists: int
    events: list[Event]

    def status(self, name: str = "default") -> Any:
        return next(body["status"] for _, path, body in self.api.sent if path.endswith(f"{name}/status"))


def write(found: Any, state: ClusterView, **errors: KubeError) -> Writing:
    api: Any = FakeApi(errors={key.replace("_", "/"): error for key, error in errors.items()})
    events: list[Event] = []
    relists: list[int] = []
    writer = ClusterWriter(api, Services(), on_unknown=lambda: relists.append(1), record=events.append)
    return Writing(api, writer.apply(found, state, now=NOW), len(relists), events)


def test_daemon_sets_exist_before_the_labels_of_the_nodes_and_the_status_is_last() -> None:
    done = write(plan(node("a"), drivers=[driver()]), view([node("a")], [driver()]))
    assert done.api.paths == [
        f"PATCH /apis/apps/v1/namespaces/{NAMESPACE}/daemonsets/nvidia-driver-daemonset-ubuntu22.04",
        "PATCH /nodes/a",
        "PATCH /nvidiadrivers/default/status",
    ]
    assert done.is_complete


def test_nothing_is_sent_when_everything_is_as_planned() -> None:
    first = plan(node("a"), drivers=[driver()])
    status = write(first, view([node("a")], [driver()])).status()
    nodes, drivers, sets = [owned(node("a"), "default")], [{**driver(), "status": status}], applied(first)
    assert write(plan(*nodes, drivers=drivers, daemon_sets=sets), view(nodes, drivers, sets)).api.sent == []


def test_fields_of_the_status_that_others_write_cause_no_write() -> None:
    done = write(plan(drivers=[driver()]), view([], [driver()]))
    drivers = [{**driver(), "status": {**done.status(), "upgrade": {"done": 3}}}]
    assert write(plan(drivers=drivers), view([], drivers)).api.sent == []


class PruningApi(FakeApi):
    """Has NVIDIA's CRD: of a status, only these fields are stored."""

    fields: tuple[str, ...] = ("state", "conditions")
    stored: Obj

    def request(self, verb: str, path: str, *, query: Any = None, body: Any = None, content: str | None = None) -> Obj:
        super().request(verb, path, body=body)
        self.stored = {**driver(), "status": {name: body["status"][name] for name in self.fields}}
        return self.stored


@pytest.mark.parametrize("fields", [("state", "conditions"), ("state",)], ids=["with conditions", "without conditions"])
def test_an_api_server_that_removes_fields_of_the_status_gets_each_status_once(fields: tuple[str, ...]) -> None:
    api, events = PruningApi(), list[Event]()
    api.fields, api.stored = fields, driver()
    sender: Any = api
    writer = ClusterWriter(sender, Services(), on_unknown=lambda: None, record=events.append)

    def passes(*nodes: Obj) -> int:
        """Makes three passes at different times. Returns the number of writes."""
        before = len(api.sent)
        for now in (NOW, "2030-01-01T00:00:00Z", "2030-01-01T00:00:01Z"):
            state = view(list(nodes), [api.stored])
            writer.apply(replace(plan(*nodes, drivers=[api.stored]), daemon_sets={}, owners={}), state, now=now)
        return len(api.sent) - before

    assert passes() == 1
    assert len(events) == 1
    assert passes(owned(node("a"), "default")) == 1, "another status is written"
    api.stored = {**api.stored, "status": {**api.stored["status"], "state": "ignored"}}
    assert passes(owned(node("a"), "default")) == 1, "a status that another program has changed is written"
    api.stored = driver()
    assert passes() == 1, "the object was created again"


@pytest.mark.parametrize("status", [422, 500], ids=["not valid", "fields that are not in the schema"])
def test_a_refused_daemon_set_is_named_in_the_status_of_its_object_and_others_are_written(status: int) -> None:
    drivers = [driver(), driver("other", nodeSelector={"a": "b"})]
    nodes = [node("a"), node("b", {"a": "b"})]
    refused = KubeError("spec: Invalid value", status=status)
    done = write(plan(*nodes, drivers=drivers), view(nodes, drivers), ubuntu22=refused)
    assert not done.is_complete
    errors = {name: find_condition({"status": done.status(name)}, ERROR)["reason"] for name in ("default", "other")}
    assert errors == {"default": "WriteFailed", "other": "WriteFailed"}
    assert [path for path in done.api.paths if "nodes" in path] == ["PATCH /nodes/a", "PATCH /nodes/b"]
    assert [each.reason for each in done.events] == ["WriteFailed", "WriteFailed"]


@pytest.mark.parametrize("status", [0, 429, 502, 503, 504])
def test_an_api_server_that_does_not_respond_ends_the_pass(status: int) -> None:
    with pytest.raises(KubeError):
        write(plan(node("a"), drivers=[driver()]), view([node("a")], [driver()]), nodes=KubeError("no", status=status))


def test_a_lost_lead_ends_the_pass() -> None:
    with pytest.raises(NotLeaderError):
        write(
            plan(node("a"), drivers=[driver()]), view([node("a")], [driver()]), nodes=NotLeaderError("no", status=403)
        )


def test_a_node_that_has_vanished_causes_a_new_list_and_nothing_else() -> None:
    done = write(plan(node("a"), drivers=[driver()]), view([node("a")], [driver()]), nodes=KubeError("no", status=404))
    assert (done.relists, done.is_complete) == (1, False)
    assert done.status()["pools"], "the rest is written"


def test_a_daemon_set_is_deleted_only_in_the_state_that_was_seen() -> None:
    sets = applied(plan(node("a"), drivers=[driver()]))
    done = write(plan(drivers=[driver()], daemon_sets=sets), view([], [driver()], sets))
    ((verb, _, body),) = [each for each in done.api.sent if "daemonsets" in each[1]]
    assert (verb, body["propagationPolicy"]) == ("DELETE", "Background")
    assert body["preconditions"] == {"uid": sets[0]["metadata"]["uid"], "resourceVersion": "7"}


def test_the_pods_of_nodes_that_are_upgraded_are_read() -> None:
    other = {**pod("b", name="job"), "metadata": {"name": "job", "namespace": "team", "managedFields": []}}
    api = FakeApi(response={"items": [other]})
    nodes = [node("a"), node("b", {"nvidia.com/gpu-driver-upgrade-state": "drain-required"})]
    found = add_workloads(view(nodes, pods=[pod("a")]), api, ClaimantFinder(api))  # type: ignore[arg-type]
    assert [body for _, _, body in api.sent] == [{"fieldSelector": "spec.nodeName=b"}]
    assert set(found.pods) == {f"{NAMESPACE}/driver-a", "team/job"}
    assert "managedFields" not in found.pods["team/job"]["metadata"]


def test_the_claims_of_pods_on_nodes_that_are_upgraded_are_read() -> None:
    job: Obj = {
        "metadata": {"name": "job", "namespace": "team"},
        "spec": {"nodeName": "b", "resourceClaims": [{"name": "gpu", "resourceClaimName": "gpu"}]},
    }
    allocation = {"devices": {"results": [{"driver": "gpu.nvidia.com"}]}}
    api = FakeApi(response={"items": [job], "versions": [{"version": "v1"}], "status": {"allocation": allocation}})
    nodes = [node("b", {"nvidia.com/gpu-driver-upgrade-state": "pod-deletion-required"})]
    assert add_workloads(view(nodes), api, ClaimantFinder(api)).claimants == {"team/job"}  # type: ignore[arg-type]


def test_without_an_upgrade_no_pods_are_read() -> None:
    api, before = FakeApi(), view([node("a", {"nvidia.com/gpu-driver-upgrade-state": "upgrade-done"})])
    assert add_workloads(before, api, ClaimantFinder(api)) is before  # type: ignore[arg-type]
    assert api.sent == []
