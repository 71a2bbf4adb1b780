"""Sharing of claims: which settings are accepted, what they do to GPUs and daemons, and that a kill at any change leaves nothing behind."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from dra_driver.claims.ref import ClaimRef
from gpu_core.mps.spec import MpsSettings
from node_core.errors import ClaimError
from tests.dra_driver.claims.node import Killed, Node
from tests.dra_driver.claims.test_preparer import OTHER, SMALL, opaque, spec_of


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def sliced(interval: str, *requests: str) -> list[dict[str, Any]]:
    sharing = {"strategy": "TimeSlicing", "timeSlicingConfig": {"interval": interval}}
    return opaque("GpuConfig", requests=requests, sharing=sharing)


def mps(kind: str = "GpuConfig", *requests: str, **fields: Any) -> list[dict[str, Any]]:
    return opaque(kind, requests=requests, sharing={"strategy": "MPS", "mpsConfig": fields})


def uuid_of(node: Node, device: str) -> str:
    return node.devices[device].gpu.uuid


def settings_of(node: Node, uid: str) -> MpsSettings:
    return node.running[uid].settings


def both(node: Node) -> ClaimRef:
    """A claim with a time slice on one GPU and MPS on a MIG device of the other."""
    return node.allocate("a", SMALL, "gpu-1", config=[*mps("MigDeviceConfig", "r0"), *sliced("Long", "r1")])


@pytest.mark.parametrize(("interval", "number"), [("Short", "1"), ("Medium", "2"), ("Long", "3")])
def test_the_time_slice_is_set_for_the_claim_and_restored_after_it(node: Node, interval: str, number: str) -> None:
    node.preparer.prepare(ref := node.allocate("a", "gpu-0", config=sliced(interval)))
    assert node.slices == {uuid_of(node, "gpu-0"): number}
    node.preparer.unprepare(ref)
    assert node.slices == {uuid_of(node, "gpu-0"): "0"}


@pytest.mark.parametrize("config", [[], sliced("Default"), opaque("GpuConfig", sharing={"strategy": "TimeSlicing"})])
def test_the_default_time_slice_needs_no_change(node: Node, config: Any) -> None:
    ref = node.allocate("a", "gpu-0", config=config)
    node.preparer.prepare(ref)
    node.preparer.unprepare(ref)
    assert (node.slices, node.running) == ({}, {})


def test_a_time_slice_that_cannot_be_set_is_an_error_of_the_claim(node: Node) -> None:
    ref, node.lost = node.allocate("a", "gpu-0", config=sliced("Long")), {uuid_of(node, "gpu-0")}
    with pytest.raises(ClaimError, match=r"the time slice of GPU-.* cannot be set: Unable"):
        node.preparer.prepare(ref)
    node.preparer.prepare(node.allocate("b", "gpu-1", config=sliced("Short")))
    node.lost.clear()
    node.preparer.prepare(ref)
    assert node.slices == {uuid_of(node, "gpu-0"): "3", uuid_of(node, "gpu-1"): "1"}


def test_a_gpu_whose_time_slice_is_not_restored_does_not_keep_its_pod(node: Node) -> None:
    node.preparer.prepare(ref := node.allocate("a", "gpu-0", config=sliced("Long")))
    node.lost = {uuid_of(node, "gpu-0")}
    node.preparer.unprepare(ref)
    assert node.recorded == {}
    with pytest.raises(ClaimError, match="the time slice of"):
        node.preparer.prepare(node.allocate("b", "gpu-0"))
    node.lost.clear()
    node.preparer.clean()
    assert node.slices == {uuid_of(node, "gpu-0"): "0"}


def test_a_refused_time_slice_does_not_affect_the_next_claim_of_the_gpu(node: Node) -> None:
    node.lost = {uuid_of(node, "gpu-0")}
    with pytest.raises(ClaimError, match="cannot be set"):
        node.preparer.prepare(ref := node.allocate("a", "gpu-0", config=sliced("Long")))
    node.preparer.unprepare(ref)
    node.preparer.prepare(node.allocate("b", "gpu-0"))


def test_after_a_reboot_time_slices_are_set_again(node: Node) -> None:
    ref = node.allocate("a", "gpu-0", config=sliced("Long"))
    node.preparer.prepare(ref)
    node.boot, node.slices = "boot-2", {}
    node.preparer.prepare(ref)
    assert node.slices == {uuid_of(node, "gpu-0"): "3"}


def test_the_daemon_of_a_claim_has_all_its_gpus_and_their_limits(node: Node) -> None:
    config = mps(
        defaultActiveThreadPercentage=50,
        defaultPinnedDeviceMemoryLimit="10Gi",
        defaultPerDevicePinnedMemoryLimit={"0": "512Mi"},
    )
    node.preparer.prepare(ref := node.allocate("a", "gpu-1", "gpu-0", config=config))
    assert settings_of(node, "uid-a") == MpsSettings(
        visible=f"{uuid_of(node, 'gpu-0')},{uuid_of(node, 'gpu-1')}",
        commands=(
            "set_default_device_pinned_mem_limit 0 512M",
            "set_default_device_pinned_mem_limit 1 10240M",
            "set_default_active_thread_percentage 50",
        ),
    )
    node.preparer.unprepare(ref)
    assert node.running == {}


def test_a_limit_may_name_the_uuid_of_its_device(node: Node) -> None:
    limits = {uuid_of(node, "gpu-0"): "1Gi"}
    node.preparer.prepare(node.allocate("a", "gpu-0", config=mps(defaultPerDevicePinnedMemoryLimit=limits)))
    assert settings_of(node, "uid-a").commands[0] == "set_default_device_pinned_mem_limit 0 1024M"


def test_containers_connect_to_the_daemon_of_their_claim(node: Node) -> None:
    config = mps("GpuConfig", "r0")
    node.preparer.prepare(node.allocate("a", "gpu-0", "gpu-1", config=config))
    shared, plain = (each["containerEdits"] for each in spec_of(node, "uid-a")["devices"])
    assert "CUDA_MPS_PIPE_DIRECTORY=/mps/claims/uid-a/pipe" in shared["env"]
    assert {each["containerPath"]: each["hostPath"] for each in shared["mounts"]} == {
        "/mps/claims/uid-a/pipe": "/run/nvidia/mps/dra/claims/uid-a/pipe",
        "/dev/shm": "/run/nvidia/mps/dra/shm",
    }
    assert "mounts" not in plain


def test_the_daemon_of_a_mig_device_starts_after_the_device_is_made_and_ends_before_it_is_destroyed(node: Node) -> None:
    node.preparer.prepare(ref := node.allocate("a", SMALL, config=mps("MigDeviceConfig")))
    (instance,) = node.mig_gpus[0].instances
    assert node.running["uid-a"].settings.visible == instance.compute[0].uuid
    assert node.running["uid-a"].exclusive == ()
    node.done.clear()
    node.preparer.unprepare(ref)
    assert node.done.index("daemons") < node.done.index("gpu_instance_destroy")


@pytest.mark.parametrize(
    ("devices", "config", "problem"),
    [
        (["gpu-0"], opaque("GpuConfig", sharing={"strategy": "TimeSlicing", "mpsConfig": {}}), "without the strategy MPS"),
        (
            ["gpu-0"],
            opaque("GpuConfig", sharing={"strategy": "MPS", "timeSlicingConfig": {"interval": "Long"}}),
            "timeSlicingConfig without the strategy TimeSlicing",
        ),
        (["gpu-0"], mps(multiUser=True), "asks for multiUser"),
        (["gpu-0"], mps(defaultActiveThreadPercentage=0), "must be from 1 to 100, found 0"),
        (["gpu-0"], mps(defaultActiveThreadPercentage=101), "must be from 1 to 100, found 101"),
        (["gpu-0"], mps(defaultPinnedDeviceMemoryLimit="much"), "defaultPinnedDeviceMemoryLimit: "),
        (["gpu-0"], mps(defaultPinnedDeviceMemoryLimit="-1Gi"), "must be at least 1Mi"),
        (["gpu-0"], mps(defaultPinnedDeviceMemoryLimit="1Ki"), "must be at least 1Mi"),
        (["gpu-0"], mps(defaultPerDevicePinnedMemoryLimit={"0": ""}), r"defaultPerDevicePinnedMemoryLimit\[0\]"),
        (["gpu-0"], mps(defaultPerDevicePinnedMemoryLimit={"1": "1Gi"}), "has the keys 1, but the claim shares gpu-0"),
        (
            ["gpu-0", "gpu-1"],
            [*mps("GpuConfig", "r0"), *mps("GpuConfig", "r1", defaultActiveThreadPercentage=50)],
            "gpu-0, gpu-1 have different settings of MPS",
        ),
        ([SMALL, OTHER], mps("MigDeviceConfig"), "an MPS daemon cannot serve .* together"),
        (["gpu-0", "gpu-0"], sliced("Long", "r1"), "the configs of gpu-0 differ between its requests"),
    ],
)  # fmt: skip
def test_sharing_that_does_not_fit_is_refused_and_records_nothing(
    node: Node, devices: list[str], config: Any, problem: str
) -> None:
    with pytest.raises(ClaimError, match=problem):
        node.preparer.prepare(node.allocate("a", *devices, config=config))
    assert (node.recorded, node.slices, node.running) == ({}, {}, {})


@pytest.mark.parametrize("config", [sliced("Long"), mps()])
def test_a_claim_with_admin_access_does_not_change_how_its_gpu_is_shared(node: Node, config: Any) -> None:
    node.preparer.prepare(node.allocate("a", "gpu-0", config=sliced("Short")))
    with pytest.raises(ClaimError, match="a claim with adminAccess changes nothing"):
        node.preparer.prepare(node.allocate("m", "gpu-0", adminAccess=True, config=config))
    assert node.slices == {uuid_of(node, "gpu-0"): "1"}


@pytest.mark.parametrize("kills_before", [True, False])
@pytest.mark.parametrize("kill_at", range(1, 11))
def test_a_killed_prepare_with_sharing_succeeds_when_repeated(tmp_path: Path, kill_at: int, kills_before: bool) -> None:
    node = Node(tmp_path, kill_at=kill_at, kills_before=kills_before)
    ref = both(node)
    with suppress(Killed):
        node.preparer.prepare(ref)
    node.kill_at = 0
    node.preparer.prepare(ref)
    assert (node.slices, [*node.running]) == ({uuid_of(node, "gpu-1"): "3"}, ["uid-a"])


@pytest.mark.parametrize("kills_before", [True, False])
@pytest.mark.parametrize("kill_at", range(1, 9))
@pytest.mark.parametrize("is_forgotten", [True, False])
def test_a_killed_unprepare_leaves_no_daemon_and_no_time_slice(
    tmp_path: Path, kill_at: int, kills_before: bool, is_forgotten: bool
) -> None:
    """is_forgotten: the kubelet does not call again, and the claim is stale."""
    node = Node(tmp_path)
    node.preparer.prepare(ref := both(node))
    node.changes, node.kill_at, node.kills_before = 0, kill_at, kills_before
    with suppress(Killed):
        node.preparer.unprepare(ref)
    node.kill_at = 0
    node.delete(ref)
    if is_forgotten:
        node.preparer.clean()
    else:
        node.preparer.unprepare(ref)
    assert (node.recorded, node.running, node.instances[0]) == ({}, {}, [])
    assert {*node.slices.values()} == {"0"}
    assert json.loads((tmp_path / "time-slices.json").read_text())["intervals"] == {}


@pytest.mark.parametrize("kill_at", range(1, 11))
def test_after_a_killed_prepare_with_sharing_a_deleted_claim_leaves_nothing(tmp_path: Path, kill_at: int) -> None:
    node = Node(tmp_path, kill_at=kill_at)
    ref = both(node)
    with suppress(Killed):
        node.preparer.prepare(ref)
    node.kill_at = 0
    node.delete(ref)
    node.preparer.clean()
    assert (node.recorded, node.running, node.instances[0]) == ({}, {}, [])
    assert {*node.slices.values()} <= {"0"}


def test_the_next_process_runs_the_daemons_of_prepared_claims_without_the_api_server(node: Node) -> None:
    node.preparer.prepare(both(node))
    before, node.running, node.has_api = node.running, {}, False
    with suppress(Exception):
        node.preparer.clean()
    assert node.running == before


def test_a_claim_that_was_recovered_keeps_its_daemon(node: Node) -> None:
    ref = both(node)
    node.preparer.prepare(ref)
    before = node.running
    node.file.unlink()
    node.preparer.recover()
    node.preparer.prepare(node.allocate("b", OTHER))
    assert node.running == before
    node.preparer.prepare(ref)
    node.preparer.unprepare(ref)
    assert (node.running, node.slices) == ({}, {uuid_of(node, "gpu-1"): "0"})
