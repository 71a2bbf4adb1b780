"""Premium taints on a Node of the stand-in API server, over processes, people and competing writers."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from node_core.domain.inventory import ComputeCapability, Gpu, GpuUuid, Inventory
from node_core.domain.labels import Collected
from node_core.domain.node import NodeView
from node_core.domain.premium import PremiumMatch, PremiumRule, PremiumTaint
from node_core.domain.taints import TAINTS_ANNOTATION, Taint, TaintPlan, WantedTaints
from node_core.errors import KubeError
from node_core.kube.client import NodeApi
from node_core.publish.keeper import ATTEMPTS
from node_core.publish.node import NodePublisher
from node_core.publish.outputs import OutputsPublisher
from node_core.publish.taints import TaintKeeper
from node_core.runtime.labelling import LabelAgent
from node_core.runtime.messages import NodeSeen, Pass
from node_core.runtime.premium import Premium
from node_core.runtime.readiness import Readiness
from node_core.runtime.services import Services
from node_core.simulate.apiserver import ApiServer
from node_core.simulate.apiserver.resources import resource_named
from node_core.simulate.apiserver.writes import Target, Writer

BIG = Taint(key="nvidia.com/gpu.premium", value="true", effect="NoSchedule")
WANTED = WantedTaints(taints=(BIG,))
LIVE_BIG = {"key": "nvidia.com/gpu.premium", "value": "true", "effect": "NoSchedule"}
PERSONS = {"key": "example.com/night", "effect": "NoExecute"}
PATCH = ("patch", "/api/v1/nodes/{name}")
RULE = PremiumRule(
    name="big",
    match=PremiumMatch(count_at_least=2),
    taint=PremiumTaint(key=BIG.key, value="true", effect="NoSchedule"),
    labels={"nvidia.com/tier": "premium"},
)


def gpus(count: int) -> Inventory:
    each = [
        Gpu(
            index=index,
            uuid=GpuUuid(f"GPU-{index}"),
            minor=index,
            model="H100",
            memory_bytes=1,
            compute=ComputeCapability(major=9, minor=0),
            address=None,
        )
        for index in range(count)
    ]
    return Inventory(driver=None, gpus=tuple(each))


class Bench:
    """A Node on a stand-in, a person who edits its taints, and keepers that come and go as processes do."""

    def __init__(self, server: ApiServer, kubeconfig: Path) -> None:
        self.server = server
        self.api = NodeApi("n1", kubeconfig=str(kubeconfig), user_agent="gfd/test")

    def keeper(self) -> TaintKeeper:
        return TaintKeeper(self.api, "gfd")

    @property
    def taints(self) -> list[dict[str, Any]]:
        return list(self.server.store.get("nodes", "n1")["spec"].get("taints") or [])

    @property
    def claimed(self) -> str | None:
        annotations = self.server.store.get("nodes", "n1")["metadata"].get("annotations") or {}
        found: str | None = annotations.get(TAINTS_ANNOTATION)
        return found

    def person_sets(self, *taints: dict[str, Any]) -> None:
        target = Target(resource=resource_named("nodes"), name="n1")
        self.server.api.update(
            target, lambda node: {**node, "spec": {**node["spec"], "taints": list(taints)}}, Writer(manager="kubectl")
        )

    def person_annotates(self, key: str) -> None:
        target = Target(resource=resource_named("nodes"), name="n1")

        def change(node: dict[str, Any]) -> dict[str, Any]:
            metadata = node["metadata"]
            return {**node, "metadata": {**metadata, "annotations": {**(metadata.get("annotations") or {}), key: "x"}}}

        self.server.api.update(target, change, Writer(manager="kubectl"))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with ApiServer() as server:
        server.add_node("n1")
        server.write_kubeconfig(tmp_path / "kubeconfig")
        server.forget_requests()
        yield Bench(server, tmp_path / "kubeconfig")


class Interfered(NodeApi):
    """Something happens on the Node between our look at it and our write, each of the first `times` times."""

    def __init__(self, bench: Bench, kubeconfig: Path, happens: Callable[[int], None], times: int) -> None:
        super().__init__("n1", kubeconfig=str(kubeconfig), user_agent="gfd/test")
        self.happens = happens
        self.times = times
        self.tried = 0

    def set_taints(self, manager: str, plan: TaintPlan, seen: NodeView, *, claim: str) -> NodeView:
        self.tried += 1
        if self.tried <= self.times:
            self.happens(self.tried)
        return super().set_taints(manager, plan, seen, claim=claim)


def test_a_taint_is_added_with_our_claim_on_it(bench: Bench) -> None:
    bench.person_sets(PERSONS)
    assert bench.keeper().apply(WANTED)
    assert bench.taints == [PERSONS, LIVE_BIG]
    assert bench.claimed == "nvidia.com/gpu.premium=true:NoSchedule"


def test_a_thousand_passes_write_once_and_read_once(bench: Bench) -> None:
    keeper = bench.keeper()
    assert [keeper.apply(WANTED) for _ in range(1000)].count(True) == 1
    assert bench.server.requests == {PATCH: 1, ("get", "/api/v1/nodes/{name}"): 1}


def test_nothing_wanted_and_nothing_ours_sends_nothing(bench: Bench) -> None:
    bench.person_sets(PERSONS, LIVE_BIG)
    assert not bench.keeper().apply(WantedTaints())
    assert not bench.keeper().apply(WANTED)
    assert bench.server.writes == 0
    assert bench.claimed is None


def test_a_rule_that_is_gone_takes_its_taint_along_after_a_restart(bench: Bench) -> None:
    bench.person_sets(PERSONS)
    bench.keeper().apply(WANTED)
    assert bench.keeper().apply(WantedTaints())
    assert bench.taints == [PERSONS]
    assert bench.claimed is None


def test_the_last_taint_leaves_no_list_behind(bench: Bench) -> None:
    bench.keeper().apply(WANTED)
    bench.keeper().apply(WantedTaints())
    assert "taints" not in bench.server.store.get("nodes", "n1")["spec"]


def test_a_restart_writes_nothing_when_all_is_as_it_was(bench: Bench) -> None:
    bench.keeper().apply(WANTED)
    assert not bench.keeper().apply(WANTED)
    assert bench.server.writes == 1


def test_other_annotations_of_the_node_stay(bench: Bench) -> None:
    bench.person_annotates("example.com/a")
    bench.keeper().apply(WANTED)
    bench.keeper().apply(WantedTaints())
    annotations = bench.server.store.get("nodes", "n1")["metadata"]["annotations"]
    assert annotations["example.com/a"] == "x"


def test_a_persons_taint_that_comes_between_look_and_write_stays(bench: Bench, tmp_path: Path) -> None:
    api = Interfered(bench, tmp_path / "kubeconfig", lambda _: bench.person_sets(PERSONS), 1)
    assert TaintKeeper(api, "gfd").apply(WANTED)
    assert api.tried == 2
    assert bench.taints == [PERSONS, LIVE_BIG]


def test_our_own_taint_set_by_a_person_in_between_is_left_to_the_person(bench: Bench, tmp_path: Path) -> None:
    api = Interfered(bench, tmp_path / "kubeconfig", lambda _: bench.person_sets(LIVE_BIG), 1)
    assert not TaintKeeper(api, "gfd").apply(WANTED)
    assert (bench.taints, bench.claimed) == ([LIVE_BIG], None)


def test_a_node_that_never_stands_still_is_an_error_after_a_few_attempts(bench: Bench, tmp_path: Path) -> None:
    api = Interfered(bench, tmp_path / "kubeconfig", lambda n: bench.person_annotates(f"example.com/{n}"), 99)
    with pytest.raises(KubeError) as caught:
        TaintKeeper(api, "gfd").apply(WANTED)
    assert (caught.value.status, api.tried, bench.taints) == (409, ATTEMPTS, [])


def test_a_refusal_that_has_another_reason_is_not_tried_again(bench: Bench) -> None:
    bad = WantedTaints(taints=(Taint(key="nvidia.com/x", effect="Never"),))
    with pytest.raises(KubeError) as caught:
        bench.keeper().apply(bad)
    assert caught.value.status == 422
    assert bench.server.requests[PATCH] == 1


def test_an_outage_changes_nothing_and_the_next_attempt_works(bench: Bench) -> None:
    keeper = bench.keeper()
    keeper.observe(bench.api.get())
    bench.server.fail_next(1, status=403)
    with pytest.raises(KubeError, match="403"):
        keeper.apply(WANTED)
    assert keeper.apply(WANTED)


def test_an_older_state_from_the_watch_does_not_write_again(bench: Bench) -> None:
    keeper = bench.keeper()
    before = bench.api.get()
    keeper.apply(WANTED)
    keeper.observe(before)
    assert keeper.is_current(WANTED)


def test_a_place_that_somebody_else_has_is_said_once(bench: Bench) -> None:
    bench.person_sets({**LIVE_BIG, "value": "theirs"})
    keeper = bench.keeper()
    with capture_logs() as logs:
        for _ in range(5):
            assert not keeper.apply(WANTED)
    assert [entry["event"] for entry in logs] == ["taint_not_set"]


class Life:
    """A labelling agent whose looks at the GPUs we decide: an Inventory, or None for a look that fails."""

    def __init__(self, bench: Bench, looks: Inventory | None) -> None:
        self.bench = bench
        self.looks = looks
        self.now = 1000.0
        self.premium = Premium([RULE])
        self.services = Services(readiness=Readiness(self.clock), clock=self.clock, chance=lambda: 0.0)
        publisher = OutputsPublisher(
            NodePublisher(bench.api, "gfd"), outputs=self.premium.outputs, taints=bench.keeper()
        )
        self.agent = LabelAgent("gfd", collect=self.collect, publisher=publisher, services=self.services)

    def clock(self) -> float:
        return self.now

    def collect(self) -> tuple[Collected, ...]:
        if self.looks is None:
            return self.premium.unseen()
        return self.premium.look(self.looks)

    def passes(self, times: int = 1) -> None:
        for _ in range(times):
            self.agent._handle(Pass())

    def sees_node(self) -> None:
        self.agent._handle(NodeSeen(self.bench.api.get()))

    @property
    def labels(self) -> dict[str, str]:
        return self.bench.api.get().applied_by("gfd")


def test_an_agent_sets_label_and_taint_when_it_first_sees_the_node_and_then_rests(bench: Bench) -> None:
    life = Life(bench, gpus(2))
    life.passes()
    assert bench.server.writes == 0
    life.sees_node()
    life.passes(1000)
    assert bench.taints == [LIVE_BIG]
    assert life.labels == {"nvidia.com/tier": "premium"}
    assert bench.server.writes == 2


def test_a_look_that_fails_leaves_taint_and_label_and_a_look_that_finds_less_removes_them(bench: Bench) -> None:
    Bench.keeper(bench).apply(WANTED)
    life = Life(bench, None)
    life.sees_node()
    life.passes(3)
    assert bench.taints == [LIVE_BIG]
    life.looks = gpus(2)
    life.passes()
    life.looks = None
    life.passes(3)
    assert life.labels == {"nvidia.com/tier": "premium"}
    assert bench.taints == [LIVE_BIG]
    life.looks = gpus(1)
    life.passes()
    assert bench.taints == []
    assert life.labels == {}


def test_a_taint_that_a_person_takes_away_is_put_back_at_once_the_first_time(bench: Bench) -> None:
    life = Life(bench, gpus(2))
    life.sees_node()
    life.passes()
    bench.person_sets()
    life.sees_node()
    assert bench.taints == [LIVE_BIG]
    bench.person_sets()
    life.sees_node()
    assert bench.taints == []
    life.now += 60
    life.agent._handle(None)
    life.sees_node()
    assert bench.taints == [LIVE_BIG]


def test_taints_that_cannot_be_written_are_retried_and_reported(bench: Bench) -> None:
    life = Life(bench, gpus(2))
    life.sees_node()
    life.passes()
    bench.person_sets()
    view = bench.api.get()
    bench.server.fail_next(1, status=403)
    life.agent._handle(NodeSeen(view))
    assert "403" in str(life.services.readiness.problems().get("gfd/published"))
    life.now += 60
    life.agent._handle(None)
    assert bench.taints == [LIVE_BIG]
    assert life.services.readiness.problems()["gfd/published"] is None


def test_labels_go_out_also_when_taints_cannot(bench: Bench) -> None:
    life = Life(bench, gpus(2))
    view = bench.api.get()
    life.passes()
    bench.server.fail_next(1, status=403)
    life.agent._handle(NodeSeen(view))
    assert "403" in str(life.services.readiness.problems()["gfd/published"])
    assert (bench.taints, life.labels) == ([], {"nvidia.com/tier": "premium"})
