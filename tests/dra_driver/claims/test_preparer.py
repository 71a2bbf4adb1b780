"""Claims on a simulated node: full GPUs, MIG devices, conflicts, repeated calls, configs, and a damaged or missing record."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from dra_driver.claims.config import API_VERSION
from dra_driver.claims.ref import ClaimRef
from gpu_core.cdi.plan import CdiPlan
from gpu_core.domain.cdi import CdiDevice, Edits, Spec
from node_core.errors import ClaimError, KubeError
from tests.dra_driver.claims.node import Node

SMALL, OTHER, LARGE = "gpu-0-mig-1g10gb-19-0", "gpu-0-mig-1g10gb-19-1", "gpu-0-mig-3g40gb-9-0"


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def spec_of(node: Node, uid: str) -> Any:
    return json.loads((node.folder / "cdi" / f"k8s.gpu.nvidia.com-claim_{uid}.json").read_text())


def opaque(kind: str, *, requests: tuple[str, ...] = (), **fields: Any) -> list[dict[str, Any]]:
    parameters = {"apiVersion": API_VERSION, "kind": kind, **fields}
    return [{"requests": [*requests], "opaque": {"driver": "gpu.nvidia.com", "parameters": parameters}}]


def test_a_claim_of_two_gpus_gets_both_and_the_names_of_their_requests(node: Node) -> None:
    ref = node.allocate("a", "gpu-0", "gpu-1")
    devices = node.preparer.prepare(ref)
    assert [(each.device, each.requests, each.pool, each.cdi) for each in devices] == [
        ("gpu-0", ("r0",), "n1", ("k8s.gpu.nvidia.com/claim=uid-a-gpu-0",)),
        ("gpu-1", ("r1",), "n1", ("k8s.gpu.nvidia.com/claim=uid-a-gpu-1",)),
    ]
    spec = spec_of(node, "uid-a")
    assert (spec["kind"], [each["name"] for each in spec["devices"]]) == (
        "k8s.gpu.nvidia.com/claim", ["uid-a-gpu-0", "uid-a-gpu-1"],
    )  # fmt: skip


def test_a_repeated_call_changes_nothing_and_needs_no_api_server(node: Node) -> None:
    ref = node.allocate("a", SMALL)
    first, changes = node.preparer.prepare(ref), node.changes
    node.has_api = False
    assert (node.preparer.prepare(ref), node.changes) == (first, changes)


def test_mig_devices_are_made_for_claims_and_destroyed_after_them(node: Node) -> None:
    one, two = node.allocate("a", SMALL), node.allocate("b", "gpu-0-mig-3g40gb-9-4")
    node.preparer.prepare(one)
    node.preparer.prepare(two)
    assert node.instances[0] == [(0, 1), (4, 4)]
    node.preparer.unprepare(one)
    assert node.instances[0] == [(4, 4)]
    node.preparer.unprepare(two)
    assert (node.instances[0], node.recorded, node.specs.uids()) == ([], {}, ())


def test_a_full_gpu_after_mig_devices_leaves_the_mig_mode(node: Node) -> None:
    node.preparer.unprepare(one := node.allocate("a", SMALL))
    node.preparer.prepare(one)
    node.preparer.unprepare(one)
    assert node.mig_gpus[0].is_enabled
    node.preparer.prepare(node.allocate("b", "gpu-0"))
    assert not node.mig_gpus[0].is_enabled


def test_existing_mig_devices_are_used_and_stay_without_dynamic_mig(tmp_path: Path) -> None:
    dynamic = Node(tmp_path, mode="enabled")
    dynamic.preparer.prepare(dynamic.allocate("made", SMALL))
    dynamic.file.unlink()
    dynamic.specs.remove("uid-made")
    dynamic.has_dynamic_mig = False
    ref = dynamic.allocate("a", SMALL)
    dynamic.preparer.prepare(ref)
    assert dynamic.recorded["uid-a"].holdings[0].mig is not None
    dynamic.preparer.unprepare(ref)
    assert dynamic.instances[0] == [(0, 1)]


def test_a_claim_with_a_mig_device_on_demand_ends_after_the_driver_no_longer_changes_mig_devices(node: Node) -> None:
    node.preparer.prepare(ref := node.allocate("a", SMALL))
    node.has_dynamic_mig = False
    node.preparer.unprepare(ref)
    assert (node.recorded, node.instances[0]) == ({}, [(0, 1)])
    node.preparer.prepare(node.allocate("b", SMALL))
    assert node.recorded["uid-b"].holdings[0].mig is not None


@pytest.mark.parametrize(
    ("first", "second"), [("gpu-0", "gpu-0"), ("gpu-0", SMALL), (SMALL, "gpu-0"), (SMALL, LARGE), (LARGE, OTHER)]
)
def test_two_claims_do_not_get_overlapping_devices(node: Node, first: str, second: str) -> None:
    node.preparer.prepare(node.allocate("a", first))
    with pytest.raises(ClaimError, match=f"claim ml/b: the claim ml/a holds {first}"):
        node.preparer.prepare(node.allocate("b", second))
    assert [*node.recorded] == ["uid-a"]


def test_the_devices_of_a_claim_that_is_gone_are_free(node: Node) -> None:
    node.preparer.prepare(old := node.allocate("a", LARGE))
    node.delete(old)
    node.preparer.prepare(node.allocate("b", SMALL))
    assert ([*node.recorded], node.instances[0], node.specs.uids()) == (["uid-b"], [(0, 1)], ("uid-b",))


def test_an_engine_of_a_claim_that_is_gone_is_free(node: Node) -> None:
    node.preparer.prepare(old := node.allocate("a", "gpu-0-mig-1g10gb-me-20-0"))
    node.preparer.prepare(node.allocate("b", "gpu-0-mig-1g10gb-19-2"))
    node.delete(old)
    node.preparer.prepare(node.allocate("c", "gpu-0-mig-1g10gb-me-20-1"))
    assert ([*node.recorded], node.instances[0]) == (["uid-b", "uid-c"], [(1, 1), (2, 1)])


def test_an_instance_of_another_profile_in_the_same_place_is_replaced(node: Node) -> None:
    node.preparer.prepare(node.allocate("a", "gpu-0-mig-1g10gb-me-20-0"))
    node.file.unlink()
    node.specs.remove("uid-a")
    node.preparer.prepare(node.allocate("b", SMALL))
    (instance,) = node.mig_gpus[0].instances
    assert (instance.profile, instance.placement.start) == (node.devices[SMALL].profile.number, 0)  # type: ignore[union-attr]


def test_while_the_api_server_does_not_respond_a_new_claim_fails_and_others_stay(node: Node) -> None:
    node.preparer.prepare(node.allocate("a", "gpu-0"))
    node.has_api = False
    with pytest.raises(KubeError):
        node.preparer.prepare(node.allocate("b", "gpu-1"))
    assert [*node.recorded] == ["uid-a"]


def test_a_new_claim_waits_for_an_api_server_that_returns(node: Node) -> None:
    ref, node.has_api = node.allocate("a", SMALL), False
    node.on_wait = lambda: setattr(node, "has_api", node.now > 10)
    assert [each.device for each in node.preparer.prepare(ref)] == [SMALL]


def test_a_claim_that_waits_for_the_api_server_does_not_delay_a_claim_that_is_prepared(node: Node) -> None:
    node.preparer.prepare(ready := node.allocate("a", "gpu-0"))
    node.has_api = False
    found: list[str] = []
    node.on_wait = lambda: found.extend(each.device for each in node.preparer.prepare(ready))
    with pytest.raises(KubeError):
        node.preparer.prepare(node.allocate("b", "gpu-1"))
    assert {*found} == {"gpu-0"}


def plan_of(*uuids: str, library: str) -> CdiPlan:
    devices = tuple(CdiDevice(name=uuid, edits=Edits(env=(f"DEVICE={uuid}",))) for uuid in uuids)
    spec = Spec(kind="k8s.device-plugin.nvidia.com/gpu", devices=devices, edits=Edits(env=(f"LIBRARY={library}",)))
    return CdiPlan(specs={"k8s.device-plugin.nvidia.com-gpu.json": spec}, names={"gpu": {uuid: uuid for uuid in uuids}})


def test_after_the_files_of_the_driver_changed_prepared_claims_get_new_specifications(node: Node) -> None:
    gpus = [each.uuid for each in node.mig_gpus]
    node.cdi = plan_of(*gpus, library="libcuda.so.570.1")
    node.preparer.prepare(node.allocate("a", "gpu-0"))
    file = node.folder / "cdi" / "k8s.gpu.nvidia.com-claim_uid-a.json"
    before = file.stat()
    node.preparer.refresh()
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    node.cdi = plan_of(*gpus, library="libcuda.so.580.1")
    node.preparer.refresh()
    assert spec_of(node, "uid-a")["containerEdits"]["env"] == ["LIBRARY=libcuda.so.580.1"]
    assert file.stat().st_ino != before.st_ino


def test_a_claim_whose_device_has_no_files_now_keeps_its_specification_and_others_get_new_ones(node: Node) -> None:
    one, two = [each.uuid for each in node.mig_gpus]
    node.cdi = plan_of(one, two, library="old")
    for name, device in (("a", "gpu-0"), ("b", "gpu-1")):
        node.preparer.prepare(node.allocate(name, device))
    node.cdi = plan_of(two, library="new")
    node.is_simulated = False
    node.preparer.refresh()
    found = [spec_of(node, uid)["containerEdits"]["env"] for uid in ("uid-a", "uid-b")]
    assert found == [["LIBRARY=old"], ["LIBRARY=new"]]


def test_a_specification_that_somebody_deleted_is_written_again_with_the_mig_device_of_the_claim(node: Node) -> None:
    node.preparer.prepare(node.allocate("a", SMALL))
    before = spec_of(node, "uid-a")
    node.specs.remove("uid-a")
    node.preparer.refresh()
    assert spec_of(node, "uid-a") == before


def test_claims_that_are_not_prepared_are_not_refreshed(node: Node) -> None:
    node.preparer.prepare(node.allocate("a", SMALL))
    node.file.write_bytes(node.file.read_bytes().replace(b'"is_prepared":true', b'"is_prepared":false'))
    node.specs.remove("uid-a")
    node.preparer.refresh()
    assert node.specs.uids() == ()


def test_admin_access_does_not_conflict_and_makes_nothing(node: Node) -> None:
    node.preparer.prepare(node.allocate("a", SMALL))
    monitor = node.allocate("m", SMALL, "gpu-1", adminAccess=True)
    node.preparer.prepare(monitor)
    node.preparer.prepare(node.allocate("b", "gpu-1"))
    node.preparer.unprepare(monitor)
    assert node.instances[0] == [(0, 1)]


def test_admin_access_to_a_whole_gpu_does_not_change_its_mig_devices(node: Node) -> None:
    node.preparer.prepare(node.allocate("a", SMALL))
    assert [each.device for each in node.preparer.prepare(node.allocate("m", "gpu-0", adminAccess=True))] == ["gpu-0"]
    assert (node.mig_gpus[0].is_enabled, node.instances[0]) == (True, [(0, 1)])


def test_a_claim_that_is_allocated_again_gets_its_new_devices(node: Node) -> None:
    node.preparer.prepare(node.allocate("a", SMALL))
    devices = node.preparer.prepare(node.allocate("a", OTHER))
    assert ([each.device for each in devices], node.instances[0]) == ([OTHER], [(1, 1)])


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda node: node.claims.clear(), "does not exist"),
        (lambda node: node.allocate("a", "gpu-0", uid="uid-other"), "created again"),
        (lambda node: node.allocate("a"), "no device of gpu.nvidia.com in the pool n1"),
        (lambda node: node.allocate("a", "gpu-0", pool="n2"), "no device"),
        (lambda node: node.allocate("a", "gpu-0", driver="other.example.com"), "no device"),
        (lambda node: node.allocate("a", "gpu-9"), "gpu-9 does not exist on this node"),
        (lambda node: node.claims.update({"ml/a": {"metadata": {"uid": "uid-a"}}}), "is not allocated"),
        (lambda node: node.claims.update({"ml/a": {"metadata": 7}}), "is not a ResourceClaim"),
    ],
)
def test_a_claim_that_does_not_fit_is_refused_and_records_nothing(node: Node, change: Any, problem: str) -> None:
    ref = node.allocate("a", "gpu-0")
    change(node)
    with pytest.raises(ClaimError, match=problem):
        node.preparer.prepare(ref)
    assert node.recorded == {}


@pytest.mark.parametrize("uid", ["", "../../etc/x", "a" * 64, "a b", "-a", "a\n"])
def test_a_uid_that_is_not_one_of_kubernetes_is_refused(node: Node, uid: str) -> None:
    for call in (node.preparer.prepare, node.preparer.unprepare):
        with pytest.raises(ClaimError, match="is not a UID"):
            call(ClaimRef(namespace="ml", name="a", uid=uid))


def test_the_last_config_for_a_request_takes_precedence(node: Node) -> None:
    mps = opaque("GpuConfig", sharing={"strategy": "MPS"})
    plain = opaque("GpuConfig", requests=("r0",))
    node.preparer.prepare(node.allocate("a", "gpu-0", config=[*mps, *plain]))
    node.preparer.prepare(node.allocate("b", "gpu-1", config=[*plain, *mps]))
    assert [*node.running] == ["uid-b"]


def test_a_config_for_all_requests_applies_to_the_devices_of_its_type(node: Node) -> None:
    both = [*opaque("GpuConfig"), *opaque("MigDeviceConfig")]
    node.preparer.prepare(node.allocate("a", "gpu-1", SMALL, config=both))
    mps = opaque("MigDeviceConfig", sharing={"strategy": "MPS"})
    node.preparer.prepare(node.allocate("b", OTHER, config=[*mps, *opaque("GpuConfig")]))
    assert [*node.running] == ["uid-b"]
    with pytest.raises(ClaimError, match="GpuConfig does not apply to gpu-0-mig-1g10gb-19-1"):
        node.preparer.prepare(node.allocate("c", OTHER, config=opaque("GpuConfig", requests=("r0",))))


def test_a_config_of_another_driver_or_request_has_no_effect(node: Node) -> None:
    other = [{"requests": ["r1"], "opaque": {"driver": "gpu.nvidia.com", "parameters": 7}}]
    other += [{"requests": [], "opaque": {"driver": "other.example.com", "parameters": 7}}]
    node.preparer.prepare(node.allocate("a", "gpu-0", config=other))


def test_a_claim_is_not_changed_twice_at_once(node: Node) -> None:
    ref, preparer = node.allocate("a", SMALL), node.preparer
    barrier = threading.Barrier(8)

    def prepare() -> object:
        barrier.wait(30)
        return preparer.prepare(ref)

    with ThreadPoolExecutor(8) as threads:
        results = {future.result(60) for future in [threads.submit(prepare) for _ in range(8)]}
    assert (len(results), node.instances[0]) == (1, [(0, 1)])


def test_a_claim_whose_specification_is_gone_gets_it_again(node: Node) -> None:
    node.preparer.prepare(ref := node.allocate("a", SMALL))
    node.specs.remove("uid-a")
    node.preparer.prepare(ref)
    assert node.specs.uids() == ("uid-a",)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff", b"[]", b'{"version":1}', b'{"version":1,"boot_id":"b","claims":7}']
)
def test_a_damaged_record_is_renamed_and_recovered(node: Node, content: bytes) -> None:
    node.preparer.prepare(ref := node.allocate("a", SMALL))
    node.file.write_bytes(content)
    with pytest.raises(ClaimError, match="the claim uid-a holds"):
        node.preparer.prepare(node.allocate("b", LARGE))
    assert node.file.with_suffix(".damaged").read_bytes() == content
    node.preparer.clean()
    assert node.recorded["uid-a"].name == "a"
    node.preparer.prepare(ref)
    node.preparer.unprepare(ref)
    assert (node.instances[0], node.recorded) == ([], {})


def test_a_record_of_another_version_is_not_touched(node: Node) -> None:
    node.file.write_text('{"version": 2}')
    with pytest.raises(ClaimError, match="another version than 1"):
        node.preparer.recover()
    assert node.file.read_text() == '{"version": 2}'


def test_after_a_reboot_no_claim_is_prepared(node: Node) -> None:
    node.preparer.prepare(node.allocate("a", "gpu-0"))
    node.boot = "boot-2"
    node.preparer.recover()
    assert (node.recorded, node.specs.uids()) == ({}, ())
    node.preparer.prepare(node.allocate("b", "gpu-0"))


def test_stale_claims_are_reverted_and_others_stay(node: Node) -> None:
    gone, _ = node.allocate("a", SMALL), node.preparer.prepare(node.allocate("b", OTHER))
    node.preparer.prepare(gone)
    node.delete(gone)
    node.preparer.clean()
    assert ([*node.recorded], node.instances[0]) == (["uid-b"], [(1, 1)])


def test_a_claim_that_is_allocated_again_during_the_check_stays(node: Node) -> None:
    ref = node.allocate("a", SMALL)
    node.preparer.prepare(ref)
    node.claims[str(ref)] = {"metadata": {"namespace": "ml", "name": "a", "uid": "uid-a"}}
    node.after_get = lambda: (node.allocate("a", SMALL), node.preparer.prepare(ref))
    node.preparer.clean()
    assert (node.recorded["uid-a"].is_prepared, node.specs.uids(), node.instances[0]) == (True, ("uid-a",), [(0, 1)])


@pytest.mark.parametrize(("devices", "pool"), [((LARGE,), "n2"), (("gpu-1",), "n1")])
def test_the_devices_of_a_claim_that_is_allocated_elsewhere_are_free(
    node: Node, devices: tuple[str, ...], pool: str
) -> None:
    node.preparer.prepare(node.allocate("a", LARGE))
    node.allocate("a", *devices, pool=pool)
    node.preparer.prepare(node.allocate("b", SMALL))
    assert [*node.recorded] == ["uid-b"]
    node.preparer.prepare(node.allocate("c", OTHER))
    node.allocate("c", *devices, pool=pool)
    node.preparer.clean()
    assert ([*node.recorded], node.instances[0]) == (["uid-b"], [(0, 1)])


def test_a_claim_that_cannot_be_checked_does_not_prevent_the_check_of_the_others(node: Node) -> None:
    node.preparer.prepare(node.allocate("a", SMALL))
    node.file.unlink()  # the record is recovered, and cannot be completed: the config is not valid
    node.preparer.prepare(gone := node.allocate("b", OTHER))
    node.allocate("a", SMALL, config=opaque("GpuConfig", unknown=1))
    node.delete(gone)
    node.preparer.clean()
    assert ([*node.recorded], node.instances[0]) == (["uid-a"], [(0, 1)])


def test_with_a_full_disk_nothing_is_changed(node: Node) -> None:
    ref, node.kill_at, node.error = node.allocate("a", SMALL), 2, ClaimError("no space")
    node.preparer.recover()
    with pytest.raises(ClaimError, match="no space"):
        node.preparer.prepare(ref)
    assert (node.instances[0], node.recorded) == ([], {})


def test_the_folders_of_the_record_and_of_the_specifications_may_be_missing(tmp_path: Path) -> None:
    node = Node(tmp_path / "plugins" / "gpu.nvidia.com")
    node.preparer.prepare(node.allocate("a", "gpu-0"))
    assert node.specs.uids() == ("uid-a",)


@pytest.mark.exhaustive
def test_64_claims_at_once_get_64_different_devices(tmp_path: Path) -> None:
    node = Node(tmp_path, gpus=10)
    refs = [
        node.allocate(f"c{gpu}-{start}", f"gpu-{gpu}-mig-1g10gb-19-{start}") for gpu in range(10) for start in range(7)
    ]
    preparer = node.preparer
    with ThreadPoolExecutor(16) as threads:
        devices = [each[0].device for each in threads.map(preparer.prepare, refs[:64])]
    assert len({*devices}) == 64
    assert sum(map(len, node.instances.values())) == 64
