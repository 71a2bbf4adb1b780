"""Taints and extended resources on a Node of the stand-in API server, among those of others, by one agent and by two."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from node_core.domain.node import NodeView
from node_core.domain.outputs import NodeOutputs, ResourcePlan, WantedResources
from node_core.domain.taints import RULE_TAINTS_ANNOTATION, TAINTS_ANNOTATION, Taint, WantedTaints
from node_core.errors import KubeError
from node_core.kube.client import NodeApi
from node_core.publish.keeper import ATTEMPTS
from node_core.publish.node import NodePublisher
from node_core.publish.outputs import OutputsPublisher
from node_core.publish.resources import ResourceKeeper
from node_core.publish.taints import TaintKeeper
from node_core.simulate.apiserver import ApiServer
from node_core.simulate.apiserver.patch import merge_patch
from node_core.simulate.apiserver.resources import resource_named
from node_core.simulate.apiserver.writes import Target, Writer

FPGA = "example.com/fpga"
BIG = Taint(key="example.com/big", effect="NoSchedule")
OURS = Taint(key="example.com/ours", value="1", effect="NoExecute")
STATUS = ("patch", "/api/v1/nodes/{name}/status")
NODE = ("patch", "/api/v1/nodes/{name}")
GET = ("get", "/api/v1/nodes/{name}")


def wanted(**amounts: str) -> WantedResources:
    return WantedResources(resources={f"example.com/{name}": amount for name, amount in amounts.items()})


class Bench:
    """A Node on a stand-in, and others who write to it."""

    def __init__(self, server: ApiServer, kubeconfig: Path) -> None:
        self.server = server
        self.kubeconfig = str(kubeconfig)
        self.api = NodeApi("n1", kubeconfig=self.kubeconfig, user_agent="nfd-lite/test")

    def resources(self) -> ResourceKeeper:
        return ResourceKeeper(self.api, "nfd-lite")

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


def test_a_resource_is_added_owned_in_the_status_and_taken_back(bench: Bench) -> None:
    keeper = bench.resources()
    assert keeper.apply(wanted(fpga="4"))
    assert bench.api.get().capacity_by("nfd-lite") == {FPGA: "4"}
    assert keeper.apply(wanted())
    assert bench.capacity == {}
    assert "cpu" in bench.api.get().capacity


def test_labels_and_resources_of_one_manager_do_not_take_each_other_away(bench: Bench) -> None:
    bench.resources().apply(wanted(fpga="4"))
    view = bench.api.apply_labels("nfd-lite", {"a": "1"}, annotations={"example.com/b": "2"}, force=False)
    assert (view.capacity_by("nfd-lite"), view.annotations_by("nfd-lite")) == ({FPGA: "4"}, {"example.com/b": "2"})
    bench.resources().apply(wanted())
    view = bench.api.get()
    assert (view.applied_by("nfd-lite"), view.annotations_by("nfd-lite")) == ({"a": "1"}, {"example.com/b": "2"})


def test_an_annotation_that_is_not_applied_any_more_disappears_and_those_of_others_stay(bench: Bench) -> None:
    bench.api.apply_labels("other", {}, annotations={"example.com/theirs": "1"}, force=False)
    bench.api.apply_labels("nfd-lite", {"a": "1"}, annotations={"example.com/b": "2"}, force=False)
    view = bench.api.apply_labels("nfd-lite", {"a": "1"}, force=False)
    assert (view.annotations_by("nfd-lite"), view.annotations_by("other")) == ({}, {"example.com/theirs": "1"})
    assert view.applied_by("nfd-lite") == {"a": "1"}


def test_a_thousand_passes_write_once_and_read_once(bench: Bench) -> None:
    keeper = bench.resources()
    assert [keeper.apply(wanted(fpga="1000")) for _ in range(1000)].count(True) == 1
    assert bench.server.requests == {STATUS: 1, GET: 1}


def test_a_restart_writes_nothing_when_the_amount_is_the_same_in_other_words(bench: Bench) -> None:
    bench.resources().apply(wanted(fpga="1000"))
    assert not bench.resources().apply(wanted(fpga="1k"))
    assert bench.server.writes == 1


def test_a_resource_of_the_kubelet_stays_and_is_said_once(bench: Bench) -> None:
    bench.kubelet_sets(fpga="8")
    keeper = bench.resources()
    with capture_logs() as logs:
        for _ in range(5):
            keeper.apply(wanted(fpga="2", other="1"))
    assert bench.capacity == {FPGA: "8", "example.com/other": "1"}
    assert [entry["event"] for entry in logs] == ["resources_written", "resource_not_set"]
    assert keeper.apply(wanted())
    assert bench.capacity == {FPGA: "8"}


def test_a_resource_that_the_kubelet_took_over_is_the_kubelets(bench: Bench) -> None:
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


def test_a_resource_that_a_device_plugin_registers_while_we_clear_its_zero_is_left_to_it(bench: Bench) -> None:
    bench.kubelet_sets(fpga="0")
    api = Interfered(bench, 1)
    assert not ResourceKeeper(api, "nfd-lite").apply(wanted(fpga="2"))
    assert bench.capacity == {FPGA: "8"}


class Interfered(NodeApi):
    """The kubelet registers the same resource between our look and our write, each of the first `times` times."""

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


def test_a_conflict_is_not_forced_but_planned_anew(bench: Bench) -> None:
    api = Interfered(bench, 1)
    assert ResourceKeeper(api, "nfd-lite").apply(wanted(fpga="2", other="1"))
    assert api.tried == 2
    assert bench.capacity == {FPGA: "8", "example.com/other": "1"}


def test_a_resource_that_another_manager_applied_too_cannot_be_changed_and_says_who(bench: Bench) -> None:
    for manager in ("other", "nfd-lite"):
        bench.api.set_capacity(manager, ResourcePlan(resources={FPGA: "2"}))
    bench.server.forget_requests()
    with pytest.raises(KubeError, match=r'conflict with "other" with subresource "status".*example.com/fpga'):
        bench.resources().apply(wanted(fpga="3"))
    assert bench.server.requests[STATUS] == ATTEMPTS
    assert bench.resources().apply(wanted())
    assert bench.capacity == {FPGA: "2"}


def test_two_agents_keep_their_taints_apart(bench: Bench) -> None:
    gfd = TaintKeeper(bench.api, "gfd")
    nfd = TaintKeeper(bench.api, "nfd-lite", claim=RULE_TAINTS_ANNOTATION)
    gfd.apply(WantedTaints(taints=(BIG,)))
    nfd.apply(WantedTaints(taints=(OURS, BIG)))
    annotations = bench.api.get().annotations
    assert annotations[TAINTS_ANNOTATION] == "example.com/big:NoSchedule"
    assert annotations[RULE_TAINTS_ANNOTATION] == "example.com/ours=1:NoExecute"
    nfd.apply(WantedTaints())
    assert bench.taints == ["example.com/big:NoSchedule"]
    gfd.apply(WantedTaints())
    assert bench.taints == []


def test_two_agents_that_run_side_by_side_come_to_rest(bench: Bench) -> None:
    keepers = {
        TaintKeeper(bench.api, "gfd"): WantedTaints(taints=(BIG,)),
        TaintKeeper(bench.api, "nfd-lite", claim=RULE_TAINTS_ANNOTATION): WantedTaints(taints=(OURS,)),
    }
    for _ in range(20):
        for keeper, taints in keepers.items():
            keeper.observe(bench.api.get())
            keeper.apply(taints)
    assert bench.server.requests[NODE] == len(keepers)


class Outputs:
    """What a look decided, which the test changes."""

    now: NodeOutputs | None = None

    def __call__(self) -> NodeOutputs | None:
        return self.now


ALL = NodeOutputs(annotations={"example.com/a": "1"}, extended_resources={FPGA: "2"}, taints=(OURS,))
LABELS = {"feature.node.kubernetes.io/x": "true"}


def publisher(
    bench: Bench, outputs: NodeOutputs | None, *, enable_taints: bool = True
) -> tuple[OutputsPublisher, Outputs]:
    """One that knows the Node as it is."""
    holder = Outputs()
    holder.now = outputs
    made = OutputsPublisher(
        NodePublisher(bench.api, "nfd-lite", outputs=holder),
        outputs=holder,
        taints=TaintKeeper(bench.api, "nfd-lite", claim=RULE_TAINTS_ANNOTATION),
        resources=bench.resources(),
        enable_taints=enable_taints,
    )
    made.observe(bench.api.get())
    bench.server.forget_requests()
    return made, holder


def everything(bench: Bench) -> Any:
    view = bench.api.get()
    mine = view.applied_by("nfd-lite"), view.annotations_by("nfd-lite"), view.capacity_by("nfd-lite")
    return *mine, [taint["key"] for taint in view.taints]


def test_all_outputs_go_out_in_three_requests_and_then_in_none(bench: Bench) -> None:
    made, _ = publisher(bench, ALL)
    assert made.publish(LABELS)
    assert [made.publish(LABELS) for _ in range(1000)].count(True) == 0
    assert bench.server.requests == {NODE: 2, STATUS: 1}
    assert everything(bench) == (LABELS, dict(ALL.annotations), dict(ALL.extended_resources), [OURS.key])


def test_the_states_that_a_watch_brings_of_our_own_writes_are_no_reason_to_write(bench: Bench) -> None:
    made, _ = publisher(bench, ALL)
    made.publish(LABELS)
    made.observe(bench.api.get())
    assert made.is_current(LABELS)
    assert not made.publish(LABELS)


def test_a_restart_before_anything_is_decided_leaves_all_as_it_is(bench: Bench) -> None:
    publisher(bench, ALL)[0].publish(LABELS)
    made, _ = publisher(bench, None)
    assert made.is_current(LABELS)
    assert not made.publish(LABELS)
    assert bench.server.requests == {}


def test_a_partial_look_takes_nothing_away_and_a_whole_one_all_that_is_not_wanted(bench: Bench) -> None:
    publisher(bench, ALL)[0].publish(LABELS)
    made, holder = publisher(bench, NodeOutputs(partial=True))
    assert not made.publish(LABELS)
    holder.now = NodeOutputs()
    assert not made.is_current(LABELS)
    assert made.publish(LABELS)
    assert everything(bench) == (LABELS, {}, {}, [])
    assert not made.publish(LABELS)


@pytest.mark.parametrize(
    "outputs", [None, ALL, replace(ALL, partial=True)], ids=["nothing decided", "whole look", "partial look"]
)
def test_taints_that_are_switched_off_go_at_once_and_alone(bench: Bench, outputs: NodeOutputs | None) -> None:
    publisher(bench, ALL)[0].publish(LABELS)
    made, _ = publisher(bench, outputs, enable_taints=False)
    assert not made.is_current(LABELS)
    assert made.publish(LABELS)
    assert bench.server.requests == {NODE: 1}
    assert everything(bench) == (LABELS, dict(ALL.annotations), dict(ALL.extended_resources), [])
    assert not made.publish(LABELS)


@pytest.mark.parametrize("failing", [0, 1, 2], ids=["taints", "resources", "labels"])
def test_what_can_go_out_does_when_another_part_cannot_and_the_next_attempt_writes_just_the_rest(
    bench: Bench, failing: int
) -> None:
    class Failing(NodeApi):
        writes = 0

        def request(self, verb: str, path: str, **request: Any) -> Mapping[str, Any]:
            self.writes += verb == "PATCH"
            if self.writes == failing + 1 and verb == "PATCH":
                raise KubeError("forbidden", status=403)
            return super().request(verb, path, **request)

    api = Failing("n1", kubeconfig=bench.kubeconfig, user_agent="t")
    made = OutputsPublisher(
        NodePublisher(api, "nfd-lite", outputs=lambda: ALL),
        outputs=lambda: ALL,
        taints=TaintKeeper(api, "nfd-lite", claim=RULE_TAINTS_ANNOTATION),
        resources=ResourceKeeper(api, "nfd-lite"),
    )
    made.observe(bench.api.get())
    with pytest.raises(KubeError, match="forbidden"):
        made.publish(LABELS)
    assert api.writes == 3
    made.observe(bench.api.get())
    assert made.publish(LABELS)
    assert api.writes == 4
    assert everything(bench) == (LABELS, dict(ALL.annotations), dict(ALL.extended_resources), [OURS.key])


def test_a_restored_cluster_gets_everything_again(bench: Bench) -> None:
    made, _ = publisher(bench, ALL)
    before = replace(bench.api.get(), look=1)
    made.observe(before)
    made.publish(LABELS)
    made.observe(before)
    assert made.is_current(LABELS), "a lagging state of the same look"
    made.observe(replace(before, look=2))
    assert not made.is_current(LABELS)
