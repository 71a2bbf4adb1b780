"""The comparison of the store with the cluster."""

import asyncio

import pytest

from gpu_operator.watch import observer as module
from gpu_operator.watch.kinds import KINDS, Kind
from gpu_operator.watch.observer import Observer
from node_core.errors import KubeError

DRIVERS = KINDS[1]


class Cluster:
    """The only NVIDIADriver is deleted after the first list of all kinds, and kopf does not report that."""

    def __init__(self, errors: int = 0) -> None:
        self.lists = 0
        self.errors = errors

    def list_uids(self, kind: Kind) -> frozenset[str]:
        self.lists += 1
        if self.lists > len(KINDS) and self.errors:
            self.errors -= 1
            raise KubeError("no response")
        return frozenset({"u"}) if kind is DRIVERS and self.lists <= len(KINDS) else frozenset()


def observe(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> tuple[list[int], list[str | None]]:
    """Returns the number of NVIDIADrivers after each change, and the problems, until the NVIDIADriver is gone."""
    monkeypatch.setattr(module, "PERIOD_SECONDS", 0.0)
    monkeypatch.setattr(module, "CHECK_SECONDS", 0.0)
    drivers: list[int] = []
    problems: list[str | None] = []

    async def run() -> None:
        done = asyncio.Event()

        def on_change() -> None:
            view = observer.store.copy_view()
            assert view is not None
            drivers.append(len(view.drivers))
            if not view.drivers:
                done.set()

        observer = Observer(list_uids=cluster.list_uids, on_change=on_change, on_problem=problems.append)
        observer.observe(DRIVERS, None, "default", {"metadata": {"name": "default", "uid": "u"}})
        checking = asyncio.create_task(observer.check_for_ever())
        await done.wait()
        checking.cancel()

    asyncio.run(asyncio.wait_for(run(), 10))
    return drivers, problems


def test_an_object_whose_deletion_kopf_does_not_report_is_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    """After an outage, an empty list of kopf causes no event."""
    assert observe(Cluster(), monkeypatch) == ([1, 0], [None, None])


def test_a_list_that_fails_removes_nothing_and_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    assert observe(Cluster(errors=1), monkeypatch) == ([1, 0], [None, "no response", None])
