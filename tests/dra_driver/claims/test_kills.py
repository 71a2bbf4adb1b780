"""The process ends at any change: no two claims hold overlapping devices, and the next call of the kubelet succeeds."""

import random
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dra_driver.claims.ref import ClaimRef
from dra_driver.devices.model import Device
from node_core.errors import NodeError
from tests.dra_driver.claims.node import Killed, Node


def check(node: Node) -> None:
    """The claims of the record do not overlap, and a prepared claim with its specification has what it holds."""
    claims = node.recorded
    for (one, first), (two, second) in combinations(claims.items(), 2):
        pairs = [(a, b) for a in first.holdings for b in second.holdings if a.overlaps(b)]
        assert not pairs, f"{one} and {two} overlap: {pairs}"
    for uid, claim in claims.items():
        if claim.is_prepared and uid in node.specs.uids():  # a revert that was killed has removed the specification
            for held in claim.holdings:
                gpu = next(each for each in node.mig_gpus if each.uuid == held.gpu)
                found = {(each.profile, each.placement) for each in gpu.instances if each.compute}
                assert (held.profile, held.placement) in found if held.slices else not gpu.instances


def is_free(device: Device, used: Counter[str], total: Mapping[str, int]) -> bool:
    """Whether the counters of the GPU suffice for the device, as the scheduler checks."""
    return all(used[name] + amount <= total[name] for name, amount in device.counters.items())


class Cluster:
    """The scheduler and the kubelet: which claims are allocated, and which must be prepared or reverted."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.node = Node(folder, gpus=1)
        self.random = random.Random(seed)
        self.number = 0
        self.claims: dict[ClaimRef, str] = {}

    def begin(self) -> ClaimRef | None:
        """Allocates a device that no claim of the API overlaps, as the scheduler does."""
        devices = [*self.node.devices.values()]
        used = Counter[str]()
        for each in devices:
            if each.name in self.claims.values():
                used.update(each.counters)
        fitting = [each.name for each in devices if each.counter_set and is_free(each, used, each.counter_set.counters)]
        if not fitting:
            return None
        self.number += 1
        ref = self.node.allocate(f"c{self.number}", self.random.choice(fitting))
        self.claims[ref] = self.node.claims[str(ref)]["status"]["allocation"]["devices"]["results"][0]["device"]
        return ref

    def end(self, *, is_forgotten: bool) -> None:
        """Ends a claim. is_forgotten: the kubelet does not revert it before it is gone."""
        if self.claims:
            ref = self.random.choice([*self.claims])
            if not is_forgotten:
                self.complete(lambda: self.node.preparer.unprepare(ref))
            del self.claims[ref]
            self.node.delete(ref)

    def complete(self, call: Callable[[], Any]) -> None:
        """Calls the driver, which is killed at a change, until the call ends."""
        for kill in (self.random.randrange(1, 9), self.random.randrange(1, 9), 0):
            node = self.node
            node.changes, node.kill_at, node.kills_before = 0, kill, self.random.random() < 0.5
            if self.random.random() < 0.1:
                node.file.unlink(missing_ok=True)
            with suppress(Killed):
                call()
                break
        self.node.kill_at = 0
        check(self.node)

    def step(self) -> None:
        match self.random.randrange(6):
            case 0 | 1 | 2:
                if (ref := self.begin()) is not None:
                    self.complete(lambda: self.node.preparer.prepare(ref))
                    assert self.node.recorded[ref.uid].is_prepared
            case 3:
                self.end(is_forgotten=False)
            case 4:
                self.end(is_forgotten=True)
            case _:
                self.complete(self.node.preparer.clean)


def run(folder: Path, seed: int, steps: int) -> Cluster:
    cluster = Cluster(folder, seed)
    for _ in range(steps):
        cluster.step()
    return cluster


@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 1 << 30))
def test_no_two_claims_overlap_whenever_the_driver_is_killed(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    run(tmp_path_factory.mktemp("node"), seed, 6)


@pytest.mark.exhaustive
@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 1 << 30))
def test_no_two_claims_overlap_in_long_histories(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    cluster = run(tmp_path_factory.mktemp("node"), seed, 25)
    for ref in [*cluster.claims]:
        cluster.node.delete(ref)
    cluster.node.preparer.clean()
    assert (cluster.node.recorded, cluster.node.instances[0], cluster.node.specs.uids()) == ({}, [], ())


@pytest.mark.parametrize("kills_before", [True, False])
@pytest.mark.parametrize("kill_at", range(1, 9))
def test_a_killed_prepare_succeeds_when_repeated(tmp_path: Path, kill_at: int, kills_before: bool) -> None:
    node = Node(tmp_path, kill_at=kill_at, kills_before=kills_before)
    ref = node.allocate("a", "gpu-0-mig-1g10gb-19-0", "gpu-1")
    with suppress(Killed):
        node.preparer.prepare(ref)
    node.kill_at = 0
    check(node)
    assert len(node.preparer.prepare(ref)) == 2
    check(node)


@pytest.mark.parametrize("kills_before", [True, False])
@pytest.mark.parametrize("kill_at", range(1, 9))
def test_after_a_killed_prepare_the_devices_of_a_deleted_claim_are_free(
    tmp_path: Path, kill_at: int, kills_before: bool
) -> None:
    node = Node(tmp_path, kill_at=kill_at, kills_before=kills_before)
    ref = node.allocate("a", "gpu-0-mig-1g10gb-19-0")
    with suppress(Killed):
        node.preparer.prepare(ref)
    node.kill_at = 0
    node.delete(ref)
    node.preparer.prepare(node.allocate("b", "gpu-0"))
    check(node)
    assert [*node.recorded] == ["uid-b"]


def test_an_error_of_the_driver_leaves_the_claim_recorded_until_it_is_reverted(tmp_path: Path) -> None:
    node = Node(tmp_path)
    ref = node.allocate("a", "gpu-0-mig-1g10gb-19-0")
    node.preparer.recover()
    node.changes, node.kill_at, node.error = 0, 2, NodeError("the mode does not change")
    with pytest.raises(NodeError):
        node.preparer.prepare(ref)
    assert not node.recorded["uid-a"].is_prepared
    node.preparer.unprepare(ref)
    assert (node.recorded, node.instances[0]) == ({}, [])
