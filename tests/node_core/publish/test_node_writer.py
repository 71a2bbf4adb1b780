"""Taints and extended resources on a Node of the simulated API server, with those of other managers, and with two agents."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from node_core.domain.desired import Outputs
from node_core.domain.extended_resources import ResourcePlan
from node_core.domain.node import NodeView
from node_core.domain.reconcile import FieldOwner
from node_core.domain.taints import GFD_TAINTS_ANNOTATION, RULE_TAINTS_ANNOTATION, Taint
from node_core.errors import KubeError
from node_core.kube.client import NodeApi
from node_core.publish.node import NodeWriter
from node_core.publish.writer import ATTEMPTS, write_outputs
from node_core.values import replace
from simulation.apiserver import ApiServer
from simulation.apiserver.patch import merge_patch
from simulation.apiserver.resources import resource_named
from simulation.apiserver.writes import Target, Writer
from tests.node_core.publish.publishing import Publishing

FPGA = "example.com/fpga"
BIG = Taint(key="example.com/big", effect="NoSchedule")
OURS = Taint(key="example.com/ours", value="1", effect="NoExecute")
STATUS = ("patch", "/api/v1/nodes/{name}/status")
NODE = ("patch", "/api/v1/nodes/{name}")
GET = ("get", "/api/v1/nodes/{name}")


NFD = FieldOwner(manager="nfd-lite", taints_annotation=RULE_TAINTS_ANNOTATION)
GFD = FieldOwner(manager="gfd", taints_annotation=GFD_TAINTS_ANNOTATION)


def wanted(**amounts: str) -> Outputs:
    return Outputs(extended_resources={f"example.com/{name}": amount for name, amount in amounts.items()})


def taints(*wanted: Taint) -> Outputs:
    return Outputs(taints={taint.identity: taint for taint in wanted})


class One:
    """An agent that has just read the Node."""

    def __init__(self, api: NodeApi, owner: FieldOwner = NFD) -> None:
        self.writer = NodeWriter(api, owner)
        self.writer.refresh()

    def apply(self, outputs: Outputs) -> bool:
        return write_outputs(self.writer, outputs)


class Bench:
    """A Node of the simulated API server, and its other writers."""

    def __init__(self, server: ApiServer, kubeconfig: Path) -> None:
        self.server = server
        self.kubeconfig = str(kubeconfig)
        self.api = NodeApi("n1", kubeconfig=self.kubeconfig, user_agent="nfd-lite/test")

    def resources(self) -> One:
        return One(self.api)

    @property
    def capacity(self) -> Mapping[str, str]:
        return {name: amount for name, amount in self.api.get().capacity.items() if "/" in name}

    def kubelet_sets(self, **amounts: str | None) -> None:
        target = Target(resource=resource_named("nodes"), name="n1", subresource="status")
        patch = {"status": {"capacity": {f"example.com/{name}": amount for name, amount in amounts.items()}}}
        self.server.api.update(target, lambda node: merge_patch(node, patch), Writer(manager="kubelet"))

    @property
    def taints(self) -> list[str]:
        return [f"{taint['key']}:{taint['effect']}" for taint in self.api.get().taints]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with ApiServer() as server:
        server.add_node("n1")
        server.write_kubeconfig(tmp_path / "kubeconfig")
        server.forget_requests()
        yield Bench(server, tmp_path / "kubeconfig")


def test_a_resource_is_added_owned_in_the_status_and_removed(bench: Bench) -> None:
    keeper = bench.resources()
    assert keeper.apply(wanted(fpga="4"))
    assert bench.api.get().capacity_by("nfd-lite") == {FPGA: "4"}
    assert keeper.apply(wanted())
    assert bench.capacity == {}
    assert "cpu" in bench.api.get().capacity


def test_writes_of_labels_and_resources_do_not_affect_each_other(bench: Bench) -> None:
    bench.resources().apply(wanted(fpga="4"))
    view = bench.api.apply_labels("nfd-lite", {"a": "1"}, annotations={"example.com/b": "2"}, force=False)
    assert (view.capacity_by("nfd-lite"), view.annotations_by("nfd-lite")) == ({FPGA: "4"}, {"example.com/b": "2"})
    view = bench.api.set_capacity("nfd-lite", ResourcePlan(resources={}))
    assert (view.labels_by("nfd-lite"), view.annotations_by("nfd-lite")) == ({"a": "1"}, {"example.com/b": "2"})


def test_an_annotation_that_is_no_longer_applied_is_removed_and_others_remain(bench: Bench) -> None:
    bench.api.apply_labels("other", {}, annotations={"example.com/theirs": "1"}, force=False)
    bench.api.apply_labels("nfd-lite", {"a": "1"}, annotations={"example.com/b": "2"}, force=False)
    view = bench.api.apply_labels("nfd-lite", {"a": "1"}, force=False)
    assert (view.annotations_by("nfd-lite"), view.annotations_by("other")) == ({}, {"example.com/theirs": "1"})
    assert view.labels_by("nfd-lite") == {"a": "1"}


def test_a_thousand_passes_cause_one_read_and_one_write(bench: Bench) -> None:
    keeper = bench.resources()
    assert [keeper.apply(wanted(fpga="1000")) for _ in range(1000)].count(True) == 1
    assert bench.server.requests == {STATUS: 1, GET: 1}


def test_a_restart_writes_nothing_for_an_equal_amount_in_another_notation(bench: Bench) -> None:
    bench.resources().apply(wanted(fpga="1000"))
    assert not bench.resources().apply(wanted(fpga="1k"))
    assert bench.server.writes == 1


def test_a_resource_of_the_kubelet_remains_and_is_reported(bench: Bench) -> None:
    bench.kubelet_sets(fpga="8")
    one, resources = bench.resources(), wanted(fpga="2", other="1")
    assert [one.apply(resources) for _ in range(5)].count(True) == 1
    assert bench.capacity == {FPGA: "8", "example.com/other": "1"}
    assert [(each.event, each.name) for each in one.writer.blocked_outputs(resources)] == [("resource_not_set", FPGA)]
    assert one.apply(wanted())
    assert bench.capacity == {FPGA: "8"}


def test_a_resource_that_the_kubelet_takes_over_belongs_to_the_kubelet(bench: Bench) -> None:
    bench.resources().apply(wanted(fpga="2"))
    bench.kubelet_sets(fpga="8")
    keeper = bench.resources()
    assert not keeper.apply(wanted(fpga="2"))
    assert not keeper.apply(wanted())
    assert bench.capacity == {FPGA: "8"}


def test_a_resource_that_a_starting_kubelet_zeroed_is_set_again(bench: Bench) -> None:
    bench.resources().apply(wanted(fpga="2"))
    bench.kubelet_sets(fpga="0")
    assert bench.api.get().capacity_by("nfd-lite") == {}
    keeper = bench.resources()
    assert [keeper.apply(wanted(fpga="2")) for _ in range(3)] == [True, False, False]
    assert bench.api.get().capacity_by("nfd-lite") == {FPGA: "2"}
    assert keeper.apply(wanted())
    assert bench.capacity == {}


def test_a_resource_that_a_device_plugin_registers_during_the_clearing_remains(bench: Bench) -> None:
    bench.kubelet_sets(fpga="0")
    api = Interfered(bench, 1)
    assert not One(api).apply(wanted(fpga="2"))
    assert bench.capacity == {FPGA: "8"}


class Interfered(NodeApi):
    """The kubelet registers the same resource between the read and the write of the agent, for the first `times` writes."""

    def __init__(self, bench: Bench, times: int) -> None:
        super().__init__("n1", kubeconfig=bench.kubeconfig, user_agent="t")
        self.bench = bench
        self.times = times
        self.tried = 0

    def set_capacity(self, manager: str, plan: ResourcePlan) -> NodeView:
        self.tried += 1
        if self.tried <= self.times:
            self.bench.kubelet_sets(fpga="8")
        return super().set_capacity(manager, plan)


def test_a_conflict_causes_a_new_plan_and_no_force(bench: Bench) -> None:
    api = Interfered(bench, 1)
    assert One(api).apply(wanted(fpga="2", other="1"))
    assert api.tried == 2
    assert bench.capacity == {FPGA: "8", "example.com/other": "1"}


def test_the_error_names_another_manager_of_a_resource(bench: Bench) -> None:
    for manager in ("other", "nfd-lite"):
        bench.api.set_capacity(manager, ResourcePlan(resources={FPGA: "2"}))
    bench.server.forget_requests()
    with pytest.raises(KubeError, match=r'conflict with "other" with subresource "status".*example.com/fpga'):
        bench.resources().apply(wanted(fpga="3"))
    assert bench.server.requests[STATUS] == ATTEMPTS
    assert bench.resources().apply(wanted())
    assert bench.capacity == {FPGA: "2"}


def test_two_agents_own_separate_taints(bench: Bench) -> None:
    One(bench.api, GFD).apply(taints(BIG))
    One(bench.api).apply(taints(OURS, BIG))
    annotations = bench.api.get().annotations
    assert annotations[GFD_TAINTS_ANNOTATION] == "example.com/big:NoSchedule"
    assert annotations[RULE_TAINTS_ANNOTATION] == "example.com/ours=1:NoExecute"
    One(bench.api).apply(Outputs())
    assert bench.taints == ["example.com/big:NoSchedule"]
    One(bench.api, GFD).apply(Outputs())
    assert bench.taints == []


def test_two_agents_on_one_node_stop_writing(bench: Bench) -> None:
    agents = {One(bench.api, GFD): taints(BIG), One(bench.api): taints(OURS)}
    bench.server.forget_requests()
    for _ in range(20):
        for agent, outputs in agents.items():
            agent.writer.observe(bench.api.get())
            agent.apply(outputs)
    assert bench.server.requests[NODE] == len(agents)


def test_taints_are_planned_again_if_the_node_has_changed(bench: Bench) -> None:
    first, second = One(bench.api, GFD), One(bench.api)
    assert first.apply(taints(BIG))
    assert second.apply(taints(OURS)), "the plan starts from a Node without the first taint"
    assert bench.taints == ["example.com/big:NoSchedule", "example.com/ours:NoExecute"]


ALL = Outputs(annotations={"example.com/a": "1"}, extended_resources={FPGA: "2"}, taints={OURS.identity: OURS})
LABELS = {"feature.node.kubernetes.io/x": "true"}


def publisher(bench: Bench, outputs: Outputs) -> Publishing:
    """A writer that has read the present Node."""
    made = Publishing(NodeWriter(bench.api, NFD), outputs)
    made.writer.observe(bench.api.get())
    bench.server.forget_requests()
    return made


def everything(bench: Bench) -> Any:
    view = bench.api.get()
    mine = view.labels_by("nfd-lite"), view.annotations_by("nfd-lite"), view.capacity_by("nfd-lite")
    return *mine, [taint["key"] for taint in view.taints]


def test_all_outputs_need_three_requests_and_then_none(bench: Bench) -> None:
    made = publisher(bench, ALL)
    assert made.publish(LABELS)
    assert [made.publish(LABELS) for _ in range(1000)].count(True) == 0
    assert bench.server.requests == {NODE: 2, STATUS: 1}
    assert everything(bench) == (LABELS, dict(ALL.annotations), dict(ALL.extended_resources), [OURS.key])


def test_states_of_own_writes_from_the_watch_cause_no_write(bench: Bench) -> None:
    made = publisher(bench, ALL)
    made.publish(LABELS)
    made.writer.observe(bench.api.get())
    assert made.is_current(LABELS)
    assert not made.publish(LABELS)


def test_outputs_that_are_no_longer_desired_are_removed(bench: Bench) -> None:
    publisher(bench, ALL).publish(LABELS)
    made = publisher(bench, Outputs())
    assert made.publish(LABELS)
    assert everything(bench) == (LABELS, {}, {}, [])
    assert not made.publish(LABELS)


def test_disabled_taints_are_removed_alone(bench: Bench) -> None:
    publisher(bench, ALL).publish(LABELS)
    made = publisher(bench, replace(ALL, taints={}))
    assert made.publish(LABELS)
    assert bench.server.requests == {NODE: 1}
    assert everything(bench) == (LABELS, dict(ALL.annotations), dict(ALL.extended_resources), [])


@pytest.mark.parametrize("failing", [0, 1, 2], ids=["taints", "resources", "labels"])
def test_a_failed_write_does_not_block_other_writes_and_only_it_is_retried(bench: Bench, failing: int) -> None:
    class Failing(NodeApi):
        writes = 0

        def request(self, verb: str, path: str, **request: Any) -> Mapping[str, Any]:
            self.writes += verb == "PATCH"
            if self.writes == failing + 1 and verb == "PATCH":
                raise KubeError("forbidden", status=403)
            return super().request(verb, path, **request)

    api = Failing("n1", kubeconfig=bench.kubeconfig, user_agent="t")
    made = Publishing(NodeWriter(api, NFD), ALL)
    made.writer.observe(bench.api.get())
    with pytest.raises(KubeError, match="forbidden"):
        made.publish(LABELS)
    assert api.writes == 3
    made.writer.observe(bench.api.get())
    assert made.publish(LABELS)
    assert api.writes == 4
    assert everything(bench) == (LABELS, dict(ALL.annotations), dict(ALL.extended_resources), [OURS.key])


def test_all_outputs_are_written_again_to_a_restored_cluster(bench: Bench) -> None:
    made = publisher(bench, ALL)
    before = replace(bench.api.get(), list_number=1)
    made.writer.observe(before)
    made.publish(LABELS)
    made.writer.observe(before)
    assert made.is_current(LABELS), "a late state of the same list"
    made.writer.observe(replace(before, list_number=2))
    assert not made.is_current(LABELS)
