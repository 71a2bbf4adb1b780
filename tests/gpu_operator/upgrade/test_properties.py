"""Properties of whole upgrades: random fleets and policies, and a controller that dies at any write."""

import random
from dataclasses import dataclass
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gpu_operator.upgrade.driver_pod import REVISION
from gpu_operator.upgrade.keys import ANNOTATIONS, BUSY, SKIP, State
from gpu_operator.view import annotations_of, is_driver_pod, labels_of, node_of
from node_core.errors import KubeError
from tests.gpu_operator.upgrade.fleet import (
    GUARDED,
    Fleet,
    KilledError,
    is_cordoned,
    is_ready,
    node,
    set_ready,
    state,
)

MAX_PASSES = 60
"""Passes of one Node from upgrade-required to its last state, with time-outs of a few passes."""
ERRORS = (0, 403, 404, 409, 429, 500)

POLICIES = st.fixed_dictionaries(
    {
        "maxParallelUpgrades": st.integers(0, 4),
        "maxUnavailable": st.one_of(st.integers(1, 5), st.integers(1, 100).map(lambda each: f"{each}%")),
        "waitForCompletion": st.fixed_dictionaries(
            {"podSelector": st.sampled_from(["", "job=yes"]), "timeoutSeconds": st.integers(1, 60)}
        ),
        "podDeletion": st.fixed_dictionaries(
            {
                "force": st.booleans(),
                "timeoutSeconds": st.integers(1, 300),
                "deleteEmptyDir": st.booleans(),
            }
        ),
        "drain": st.fixed_dictionaries(
            {
                "enable": st.booleans(),
                "force": st.booleans(),
                "timeoutSeconds": st.integers(1, 300),
                "deleteEmptyDir": st.booleans(),
                "podSelector": st.sampled_from(["", "job!=yes"]),
            }
        ),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One Node at the start. pods: the kinds of its pods."""

    is_cordoned: bool
    is_skipped: bool
    is_broken: bool
    pods: frozenset[str]


PLACES = st.builds(
    Place,
    is_cordoned=st.booleans(),
    is_skipped=st.sampled_from([False, False, False, True]),
    is_broken=st.sampled_from([False, False, False, True]),
    pods=st.frozensets(st.sampled_from(["gpu", "bare", "data", "guarded", "job", "plain"]), max_size=3),
)
FLEETS = st.lists(PLACES, min_size=1, max_size=8)


def build(places: list[Place], policy: dict[str, Any]) -> Fleet:
    labels = [{SKIP: "true"} if each.is_skipped else {} for each in places]
    fleet = Fleet(
        *(node(f"n{i}", cordoned=each.is_cordoned, labels=labels[i]) for i, each in enumerate(places)), policy=policy
    )
    for number, place in enumerate(places):
        for kind in sorted(place.pods):
            add_pod(fleet, kind, f"n{number}")
        if place.is_broken:
            fleet.broken.add(f"n{number}")
    return fleet


def add_pod(fleet: Fleet, kind: str, where: str) -> None:
    labels = {"guarded": {GUARDED: "yes"}, "job": {"job": "yes"}}.get(kind, {})
    volumes = {"volumes": [{"name": "v", "emptyDir": {}}]} if kind == "data" else {}
    namespace = "web" if kind == "plain" else "ml"
    owner = "" if kind == "bare" else "ReplicaSet"
    fleet.add_pod(f"{kind}-{where}", where, namespace=namespace, labels=labels, owner=owner, **volumes)


def fail_sometimes(fleet: Fleet, chance: random.Random) -> None:
    """Each write is refused, is lost, loses its response, or kills the controller before or after its effect, with a small chance."""

    def fault(_: int) -> None:
        dice = chance.random()
        if dice < 0.05:
            raise KilledError
        if dice < 0.15:
            raise KubeError("refused", status=chance.choice(ERRORS))

    fleet.before, fleet.after = fault, fault


def calm(fleet: Fleet) -> None:
    fleet.before = fleet.after = lambda _: None
    for each in fleet.nodes.values():
        set_ready(each, ready=True)


def run_with_faults(fleet: Fleet, chance: random.Random, *, is_stale: bool) -> None:
    """is_stale: the controller sees the cluster as it was before its last pass. Then Nodes do not become unready, which it cannot see."""
    view = fleet.view()
    fail_sometimes(fleet, chance)
    for _ in range(chance.randrange(40)):
        present = fleet.view()
        try:
            fleet.reconcile(view if is_stale else present)
        except KilledError:
            present = fleet.view()
            fleet.now += chance.choice([0, 400, 4000])
            fleet.working_since = fleet.now
        view = present
        for happen in (fleet.end_pods, fleet.create_driver_pods, fleet.start_driver_pods):
            if chance.random() < 0.7:
                happen()
        fleet.now += chance.choice([0, 1, 30, 400])
        if not is_stale:
            shake(fleet, chance)


def shake(fleet: Fleet, chance: random.Random) -> None:
    """Nodes lose and get back their kubelet; now and then one vanishes, or a newer driver is released."""
    for each in fleet.nodes.values():
        if chance.random() < 0.1:
            set_ready(each, ready=not is_ready(each))
    if chance.random() < 0.03 and len(fleet.nodes) > 1:
        del fleet.nodes[chance.choice(sorted(fleet.nodes))]
    if chance.random() < 0.03:
        fleet.release(f"rev-{len(fleet.revisions) + 1}")


def check_end(fleet: Fleet, places: list[Place]) -> None:
    """Nothing is in progress; each Node is done or has failed for a reason, and is schedulable as before."""
    for name, each in fleet.nodes.items():
        place = places[int(name[1:])]
        if place.is_skipped:
            assert (state(each), dict(annotations_of(each))) == ("", {}), name
        elif state(each) == State.DONE:
            assert is_cordoned(each) is place.is_cordoned, name
            assert driver_revision(fleet, name) == fleet.revisions[-1], name
        elif state(each) == State.REQUIRED:
            assert not has_room(fleet), name
        else:
            assert state(each) == State.FAILED, name
            assert place.is_broken or place.pods, name
            assert annotations_of(each)["nvidia.com/gpunode.driver-upgrade.reason"], name


def has_room(fleet: Fleet) -> bool:
    """Whether failed and cordoned Nodes leave room for another start."""
    return bool(fleet.plan().starts)


def driver_revision(fleet: Fleet, name: str) -> str:
    return next(
        labels_of(each)[REVISION] for each in fleet.pods.values() if is_driver_pod(each) and node_of(each) == name
    )


def upgrade(places: list[Place], policy: dict[str, Any], seed: int, *, is_stale: bool) -> Fleet:
    fleet, chance = build(places, policy), random.Random(seed)
    fleet.release("rev-2")
    run_with_faults(fleet, chance, is_stale=is_stale)
    calm(fleet)
    fleet.run(MAX_PASSES * (len(places) + 1), seconds=100)
    check_end(fleet, places)
    return fleet


@given(places=FLEETS, policy=POLICIES, seed=st.integers(0, 1 << 32), is_stale=st.booleans())
def test_each_upgrade_ends_within_its_budget(
    places: list[Place], policy: dict[str, Any], seed: int, is_stale: bool
) -> None:
    fleet = upgrade(places, policy, seed, is_stale=is_stale)
    assert not any(state(each) in BUSY for each in fleet.nodes.values())
    before = len(fleet.writes)
    fleet.reconcile()
    assert len(fleet.writes) == before


@given(places=FLEETS, policy=POLICIES, seed=st.integers(0, 1 << 32))
def test_failed_nodes_recover_when_their_cause_is_gone(places: list[Place], policy: dict[str, Any], seed: int) -> None:
    fleet = upgrade(places, policy, seed, is_stale=False)
    fleet.broken.clear()
    for key in [key for key, each in fleet.pods.items() if not is_driver_pod(each)]:
        del fleet.pods[key]
    for each in fleet.nodes.values():
        if state(each) == State.FAILED and driver_revision(fleet, each["metadata"]["name"]) != fleet.revisions[-1]:
            each["metadata"]["labels"].pop("nvidia.com/gpu-driver-upgrade-state")
    fleet.run(MAX_PASSES * (len(places) + 1), seconds=100)
    expected = {name: "" if places[int(name[1:])].is_skipped else State.DONE for name in fleet.nodes}
    stuck = {name for name in fleet.nodes if fleet.states()[name] == State.REQUIRED}
    assert {name: each for name, each in fleet.states().items() if name not in stuck} == {
        name: each for name, each in expected.items() if name not in stuck
    }
    assert not stuck or not has_room(fleet)


@given(places=FLEETS, policy=POLICIES, seed=st.integers(0, 1 << 32))
def test_a_fleet_without_automatic_upgrades_has_no_trace_of_them(
    places: list[Place], policy: dict[str, Any], seed: int
) -> None:
    fleet, chance = build(places, policy), random.Random(seed)
    fleet.release("rev-2")
    run_with_faults(fleet, chance, is_stale=False)
    calm(fleet)
    fleet.policy = {**policy, "autoUpgrade": False}
    fleet.run(5)
    for name, each in fleet.nodes.items():
        assert is_cordoned(each) is places[int(name[1:])].is_cordoned, name
        assert state(each) == "", name
        assert not set(annotations_of(each)) & set(ANNOTATIONS), name
