"""Two drivers on one node during an update, with one record and one folder of CDI specifications: each operation waits for the other's."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from dra_driver.claims.preparer import ClaimPreparer
from dra_driver.claims.ref import ClaimRef
from node_core.errors import ClaimError
from tests.dra_driver.claims.node import Node
from tests.dra_driver.claims.test_kills import check

MIG = "gpu-0-mig-1g10gb-19-0"
CHANGES = range(1, 8)
"""The changes of a prepare, from the record to the CDI specification."""


class Update:
    """The new driver calls while the old one is in the middle of a call: before its change with this number."""

    def __init__(self, folder: Path, at: int) -> None:
        self.node = Node(folder)
        self._at = at
        self._old, self._new = self.node.preparer, self.node.preparer
        self._waits = threading.Event()

    def interleave(self, old: Callable[[ClaimPreparer], Any], new: Callable[[ClaimPreparer], Any]) -> tuple[Any, Any]:
        """Returns what both calls return. The old driver continues only when the new one waits for the lock."""
        wait = self._new._around.store._sleep

        def sleep(seconds: float) -> None:
            self._waits.set()
            wait(seconds)

        self._new._around.store._sleep = sleep
        self.node.changes = 0
        with ThreadPoolExecutor(1) as pool:
            futures: list[Any] = []

            def begin() -> None:
                futures.append(pool.submit(new, self._new))
                assert self._waits.wait(30)

            self.node.before = lambda number: begin() if number == self._at and not futures else None
            result = old(self._old)
            assert futures, "the call has fewer changes"
            return result, futures[0].result(30)


@pytest.mark.parametrize("at", CHANGES)
def test_a_claim_that_both_drivers_prepare_is_made_once(tmp_path: Path, at: int) -> None:
    update = Update(tmp_path, at)
    ref = update.node.allocate("a", MIG, "gpu-1")
    old, new = update.interleave(lambda one: one.prepare(ref), lambda other: other.prepare(ref))
    assert old == new
    check(update.node)
    changes = update.node.changes
    assert update.node.preparer.prepare(ref) == new
    assert update.node.changes == changes


@pytest.mark.parametrize("at", CHANGES)
def test_a_claim_that_the_other_driver_reverts_leaves_nothing(tmp_path: Path, at: int) -> None:
    update = Update(tmp_path, at)
    ref = update.node.allocate("a", MIG, "gpu-1")
    update.interleave(lambda one: one.prepare(ref), lambda other: other.unprepare(ref))
    assert (update.node.recorded, update.node.instances[0], update.node.specs.uids()) == ({}, [], ())


@pytest.mark.parametrize("at", CHANGES)
def test_two_claims_of_one_gpu_are_both_made(tmp_path: Path, at: int) -> None:
    update = Update(tmp_path, at)
    one, two = update.node.allocate("a", MIG, "gpu-1"), update.node.allocate("b", "gpu-0-mig-1g10gb-19-1")
    update.interleave(lambda old: old.prepare(one), lambda new: new.prepare(two))
    check(update.node)
    assert {*update.node.recorded} == {one.uid, two.uid} == {*update.node.specs.uids()}


@pytest.mark.parametrize("at", CHANGES[:5])  # fewer, because the GPU is in MIG mode already
def test_the_check_of_claims_does_not_revert_a_claim_in_preparation(tmp_path: Path, at: int) -> None:
    update = Update(tmp_path, at)
    gone, ref = update.node.allocate("gone", "gpu-0-mig-1g10gb-19-1"), update.node.allocate("a", MIG, "gpu-1")
    update.node.preparer.prepare(gone)
    update.node.delete(gone)
    update.interleave(lambda one: one.prepare(ref), lambda other: other.clean())
    check(update.node)
    assert {*update.node.recorded} == {ref.uid} == {*update.node.specs.uids()}


def test_a_device_that_the_other_driver_holds_is_refused(tmp_path: Path) -> None:
    update = Update(tmp_path, 2)
    one, two = update.node.allocate("a", MIG), update.node.allocate("b", MIG)

    def refused(new: ClaimPreparer, ref: ClaimRef = two) -> str:
        with pytest.raises(ClaimError) as error:
            new.prepare(ref)
        return str(error.value)

    _, why = update.interleave(lambda old: old.prepare(one), refused)
    assert "the claim ml/a holds" in why
    check(update.node)
