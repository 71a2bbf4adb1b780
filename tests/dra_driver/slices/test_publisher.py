import copy
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from dra_driver.devices.collect import devices_of
from dra_driver.devices.model import Device
from dra_driver.slices.api import SliceApi
from dra_driver.slices.features import SliceFeatures
from dra_driver.slices.publisher import NOT_WRITTEN, Pool, SlicePublisher
from dra_driver.slices.taints import DeviceTaint
from node_core.errors import KubeError
from node_core.kube.resources import Obj
from node_core.runtime.services import Services
from tests.dra_driver.devices.gpus import gpu, inventory, mig_of
from tests.dra_driver.slices.server import SliceServer

XID = DeviceTaint(key="gpu.nvidia.com/xid", value="79")
NAME = "n1-gpu.nvidia.com-0"


def devices(count: int = 2, *, has_dynamic_mig: bool = False) -> tuple[Device, ...]:
    gpus = [gpu(index) for index in range(count)]
    return devices_of(inventory(*gpus), [mig_of(each) for each in gpus], has_dynamic_mig=has_dynamic_mig)


class Publishing:
    """A publisher whose steps and watch events the test controls."""

    def __init__(self, server: SliceServer) -> None:
        self.server = server
        self.watches: list[str] = []
        self.recalls: list[list[str]] = []
        self.publisher = SlicePublisher(
            SliceApi(server), Services(), open_watch=self._open, on_recall=self._record_recall
        )

    def _record_recall(self) -> None:
        self.recalls.append(list(self.publisher.previous or ()))

    def _open(self, version: str, on_change: Callable[[Mapping[str, Obj]], None], on_error: object) -> Any:
        self.watches.append(version)
        return self

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def desire(self, pool: Pool) -> None:
        self.publisher.desire(pool)
        self.settle()

    def settle(self) -> None:
        """Repeats steps and events of the watch until nothing is left to do."""
        for _ in range(10):
            if not self.publisher._has_work():
                return
            self.publisher.step()
            self.publisher.observe(copy.deepcopy(self.server.slices))
        raise AssertionError("the publisher does not come to rest")

    @property
    def generations(self) -> set[int]:
        return {each["spec"]["pool"]["generation"] for each in self.server.slices.values()}


@pytest.fixture
def publishing() -> Publishing:
    return Publishing(SliceServer())


def test_the_slices_are_written_once_and_nothing_is_written_or_read_at_rest(publishing: Publishing) -> None:
    publishing.desire(Pool(devices=devices()))
    assert publishing.server.writes == [("POST", "resourceslices")]
    assert publishing.publisher.problem is None
    writes, reads = len(publishing.server.writes), len(publishing.server.reads)
    for _ in range(3):
        publishing.publisher.observe(copy.deepcopy(publishing.server.slices))
        publishing.desire(Pool(devices=devices()))
    assert (len(publishing.server.writes), len(publishing.server.reads)) == (writes, reads)


def test_the_node_owns_its_slices(publishing: Publishing) -> None:
    publishing.desire(Pool(devices=devices()))
    (owner,) = publishing.server.slices[NAME]["metadata"]["ownerReferences"]
    assert owner == {"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "uid-of-n1", "controller": True}


def test_a_restart_writes_nothing(publishing: Publishing) -> None:
    publishing.desire(Pool(devices=devices(has_dynamic_mig=True)))
    again = Publishing(publishing.server)
    written = len(publishing.server.writes)
    again.desire(Pool(devices=devices(has_dynamic_mig=True)))
    assert len(publishing.server.writes) == written
    assert again.publisher.problem is None


def test_slices_of_several_generations_are_written_again(publishing: Publishing) -> None:
    publishing.desire(Pool(devices=devices(70)))
    assert len(publishing.server.slices) == 2
    publishing.server.slices[NAME]["spec"]["pool"]["generation"] = 7
    publishing.publisher.observe(copy.deepcopy(publishing.server.slices))
    publishing.settle()
    assert publishing.generations == {8}


def test_a_stop_removes_nothing(publishing: Publishing) -> None:
    publishing.desire(Pool(devices=devices()))
    publishing.publisher.stop()
    assert list(publishing.server.slices) == [NAME]


def test_a_taint_appears_and_goes_away_with_new_generations(publishing: Publishing) -> None:
    publishing.desire(Pool(devices=devices()))
    publishing.desire(Pool(devices=devices(), taints={"gpu-1": (XID,)}))
    _, tainted = publishing.server.slices[NAME]["spec"]["devices"]
    assert [taint["value"] for taint in tainted["taints"]] == ["79"]
    assert publishing.generations == {2}
    publishing.desire(Pool(devices=devices()))
    assert not any("taints" in device for device in publishing.server.slices[NAME]["spec"]["devices"])
    assert publishing.generations == {3}
    assert len(publishing.server.writes) == 3


def test_the_time_of_a_taint_stays_when_another_device_changes(publishing: Publishing) -> None:
    publishing.desire(Pool(devices=devices(), taints={"gpu-1": (XID,)}))
    (before,) = publishing.server.slices[NAME]["spec"]["devices"][1]["taints"]
    publishing.desire(Pool(devices=devices(), taints={"gpu-0": (XID,), "gpu-1": (XID,)}))
    first, second = publishing.server.slices[NAME]["spec"]["devices"]
    assert second["taints"] == [before]
    assert first["taints"][0]["timeAdded"] != before["timeAdded"]


def test_all_slices_of_the_pool_have_the_same_new_generation(publishing: Publishing) -> None:
    publishing.desire(Pool(devices=devices(8, has_dynamic_mig=True)))
    assert len(publishing.server.slices) > 3
    publishing.desire(Pool(devices=devices(8, has_dynamic_mig=True), taints={"gpu-7": (XID,)}))
    assert publishing.generations == {2}
    publishing.desire(Pool(devices=devices(1)))
    assert (list(publishing.server.slices), publishing.generations) == ([NAME], {3})


def damage_devices(slices: dict[str, Any]) -> None:
    slices[NAME]["spec"]["devices"].pop()


def delete(slices: dict[str, Any]) -> None:
    slices.clear()


def add_another(slices: dict[str, Any]) -> None:
    slices["other"] = {**copy.deepcopy(slices[NAME]), "metadata": {"name": "other", "uid": "u", "resourceVersion": "1"}}


def change_pool(slices: dict[str, Any]) -> None:
    slices[NAME]["spec"]["pool"]["name"] = "other"


def change_count(slices: dict[str, Any]) -> None:
    slices[NAME]["spec"]["pool"]["resourceSliceCount"] = 7


def add_taint(slices: dict[str, Any]) -> None:
    slices[NAME]["spec"]["devices"][0]["taints"] = [{"key": "a/b", "effect": "NoSchedule"}]


@pytest.mark.parametrize(
    "edit", [damage_devices, delete, add_another, change_pool, change_count, add_taint], ids=lambda each: each.__name__
)
def test_edits_of_others_are_repaired(publishing: Publishing, edit: Callable[[dict[str, Any]], None]) -> None:
    publishing.desire(Pool(devices=devices()))
    before = copy.deepcopy(publishing.server.slices[NAME]["spec"]["devices"])
    edit(publishing.server.slices)
    publishing.publisher.observe(copy.deepcopy(publishing.server.slices))
    publishing.settle()
    assert list(publishing.server.slices) == [NAME]
    spec = publishing.server.slices[NAME]["spec"]
    assert spec["devices"] == before
    assert (spec["pool"]["name"], spec["pool"]["resourceSliceCount"]) == ("n1", 1)


def test_a_write_that_was_interrupted_is_completed(publishing: Publishing) -> None:
    publishing.desire(Pool(devices=devices(8, has_dynamic_mig=True)))
    desired = Pool(devices=devices(8, has_dynamic_mig=True), taints={"gpu-7": (XID,)})
    publishing.publisher.desire(desired)
    request, left = publishing.server.request, [2]

    def failing(verb: str, path: str, **rest: Any) -> Mapping[str, Any]:
        if verb == "PUT" and not left[0]:
            raise KubeError("connection refused")
        left[0] -= verb == "PUT"
        return request(verb, path, **rest)

    publishing.server.request = failing  # type: ignore[method-assign]
    assert publishing.publisher.step() is False
    assert publishing.publisher.problem == "connection refused"
    assert publishing.generations == {1, 2}
    publishing.server.request = request  # type: ignore[method-assign]
    publishing.settle()
    assert publishing.generations == {3}


@pytest.mark.parametrize("status", [403, 409, 429, 500])
def test_a_refused_write_is_repeated_after_a_pause(publishing: Publishing, status: int) -> None:
    publishing.server.fail = [status]
    publishing.publisher.desire(Pool(devices=devices()))
    assert publishing.publisher.step() is False
    assert publishing.publisher.problem == "refused"
    publishing.settle()
    assert list(publishing.server.slices) == [NAME]


def test_a_form_that_the_server_changes_is_not_written_again_and_again(publishing: Publishing) -> None:
    publishing.server.rewrites = {"perDeviceNodeSelection": False}
    publishing.desire(Pool(devices=devices()))
    assert len(publishing.server.writes) == 1
    publishing.server.slices.clear()
    publishing.publisher.observe({})
    publishing.settle()
    assert list(publishing.server.slices) == [NAME]


class Listed(SliceApi):
    """Returns an old list of slices."""

    def __init__(self, server: SliceServer, listed: Mapping[str, Obj]) -> None:
        super().__init__(server)
        self._listed = listed

    def list(self, version: str) -> Mapping[str, Obj]:
        return self._listed


def test_a_slice_that_is_gone_already_counts_as_deleted(publishing: Publishing) -> None:
    publishing.desire(Pool(devices=devices()))
    publishing.publisher.desire(Pool(devices=()))
    listed = SliceApi(publishing.server).list("v1")
    publishing.server.slices.clear()
    publishing.publisher._api = Listed(publishing.server, listed)
    assert publishing.publisher.step()


@pytest.mark.parametrize(
    ("server", "expected"),
    [
        (SliceServer(), SliceFeatures()),
        (SliceServer(taints=False), SliceFeatures(has_taints=False)),
        (
            SliceServer(served=("v1beta1", "v1beta2"), counters=False, taints=False),
            SliceFeatures(version="v1beta2", has_counters=False, has_own_counter_slices=False, has_taints=False),
        ),
        (SliceServer(served=("v1alpha3", "v1beta1")), SliceFeatures(version="v1beta1")),
    ],
    ids=["1.36", "no taints", "1.33", "1.32"],
)
def test_the_driver_asks_the_api_server_what_it_accepts(server: SliceServer, expected: SliceFeatures) -> None:
    assert SliceApi(server).discover() == expected
    assert (server.slices, server.writes) == ({}, [])


def test_counters_in_the_slices_of_devices_are_discovered() -> None:
    server = SliceServer()
    server.combined = True
    assert SliceApi(server).discover() == SliceFeatures(has_own_counter_slices=False)


@pytest.mark.parametrize("served", [(), ("v1alpha3",)])
def test_a_cluster_without_dra_is_a_problem_that_is_retried(served: tuple[str, ...]) -> None:
    publishing = Publishing(SliceServer(served=served))
    publishing.publisher.desire(Pool(devices=devices()))
    assert publishing.publisher.step() is False
    assert "resource.k8s.io" in str(publishing.publisher.problem)
    publishing.server.served = ("v1",)
    publishing.settle()
    assert list(publishing.server.slices) == [NAME]


def test_a_version_that_is_gone_is_discovered_again(publishing: Publishing) -> None:
    publishing.server.served = ("v1beta2",)
    publishing.desire(Pool(devices=devices()))
    publishing.server.served = ("v1",)
    publishing.publisher.observe_error(KubeError("not found", status=404))
    publishing.settle()
    assert publishing.watches == ["v1beta2", "v1"]
    assert publishing.publisher.features == SliceFeatures()


def test_an_upgraded_api_server_that_needs_counters_in_their_own_slices_is_discovered_again(
    publishing: Publishing,
) -> None:
    publishing.server.combined = True
    every = devices(has_dynamic_mig=True)
    publishing.desire(Pool(devices=every))
    publishing.server.combined = False
    publishing.desire(Pool(devices=every, taints={"gpu-1": (XID,)}))
    assert publishing.publisher.features == SliceFeatures()
    assert [*publishing.server.slices[NAME]["spec"]].count("devices") == 0
    assert publishing.publisher.problem is None


def test_nothing_is_written_before_the_devices_are_known(publishing: Publishing) -> None:
    publishing.publisher.observe({})
    publishing.settle()
    assert (publishing.server.writes, publishing.server.reads) == ([], [])


def test_the_devices_of_an_earlier_process_are_read_once_and_nothing_is_written(publishing: Publishing) -> None:
    publishing.desire(Pool(devices=devices()))
    again = Publishing(publishing.server)
    publishing.server.writes.clear()
    again.publisher.recall()
    again.settle()
    assert list(again.publisher.previous or ()) == ["gpu-0", "gpu-1"]
    assert again.recalls == [["gpu-0", "gpu-1"]]
    assert publishing.server.writes == []


def test_devices_that_cannot_be_read_yet_are_read_again(publishing: Publishing) -> None:
    request = publishing.server.request

    def failing(*_: Any, **__: Any) -> Mapping[str, Any]:
        raise KubeError("connection refused")

    publishing.server.request = failing  # type: ignore[method-assign]
    publishing.publisher.recall()
    assert publishing.publisher.step() is False
    assert (publishing.publisher.previous, publishing.publisher.problem) == (None, "connection refused")
    publishing.server.request = request  # type: ignore[method-assign]
    publishing.settle()
    assert (publishing.publisher.previous, publishing.publisher.problem) == ({}, NOT_WRITTEN)


def test_a_cluster_without_dra_has_no_devices_of_an_earlier_process() -> None:
    publishing = Publishing(SliceServer(served=()))
    publishing.publisher.recall()
    publishing.settle()
    assert publishing.publisher.previous == {}
