"""UIDs of pods from the checkpoint of a kubelet."""

import json
from pathlib import Path
from typing import Any

import pytest

from gpu_core.pods.checkpoint import (
    CHECKPOINT,
    MAX_BYTES,
    Allocation,
    parse_checkpoint,
    read_checkpoint,
    select_identities,
)
from gpu_core.pods.holders import PodIdentity
from node_core.kubelet.podresources import ContainerDevices, PodDevices
from tests.gpu_core.pods.nodes import pod

ENTRY = {
    "PodUID": "uid-a", "ContainerName": "main", "ResourceName": "nvidia.com/gpu", "DeviceIDs": {"-1": ["GPU-0", "GPU-1"], "0": ["GPU-2"]},
    "AllocResp": "CmsKFk5WSURJQV9WSVNJQkxFX0RFVklDRVMSUQ==",
}  # fmt: skip


def checkpoint(*entries: dict[str, Any]) -> bytes:
    return json.dumps({"Data": {"PodDeviceEntries": entries, "RegisteredDevices": {}}, "Checksum": 7}).encode()


def allocation(uid: str, *devices: str, container: str = "main") -> Allocation:
    return Allocation(pod_uid=uid, container=container, devices=frozenset(devices))


def identity(uid: str, name: str) -> PodIdentity:
    return PodIdentity(uid=uid, namespace="team", name=name)


def test_an_entry_has_the_uid_and_the_devices_of_all_numa_nodes() -> None:
    assert parse_checkpoint(checkpoint(ENTRY)) == (allocation("uid-a", "GPU-0", "GPU-1", "GPU-2"),)


@pytest.mark.parametrize("content", [b'{"Data": {}}', b'{"Data": {"PodDeviceEntries": null}}', checkpoint()])
def test_a_kubelet_without_allocations_has_none(content: bytes) -> None:
    assert parse_checkpoint(content) == ()


def test_an_entry_without_devices_has_none() -> None:
    assert parse_checkpoint(checkpoint({**ENTRY, "DeviceIDs": None})) == (allocation("uid-a"),)
    assert parse_checkpoint(checkpoint({**ENTRY, "DeviceIDs": {"0": None}})) == (allocation("uid-a"),)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"{}", b"\xff\xfe", b'"\xff"', checkpoint({"PodUID": 1}), b'{"x": ' + b"[" * 100_000 + b'], "Data": {}}'],
)  # fmt: skip
def test_a_file_of_another_format_is_an_error_with_its_name(content: bytes) -> None:
    with pytest.raises(ValueError, match=CHECKPOINT):
        parse_checkpoint(content)


def test_a_missing_a_large_and_an_unreadable_file_have_no_content(tmp_path: Path) -> None:
    assert read_checkpoint(tmp_path) == b""
    (tmp_path / CHECKPOINT).write_bytes(checkpoint(ENTRY))
    assert read_checkpoint(tmp_path) == checkpoint(ENTRY)
    (tmp_path / CHECKPOINT).write_bytes(b" " * (MAX_BYTES + 1))
    assert read_checkpoint(tmp_path) == b""
    (tmp_path / CHECKPOINT).unlink()
    (tmp_path / CHECKPOINT).mkdir()
    assert read_checkpoint(tmp_path) == b""


def test_the_devices_of_a_pod_lead_to_its_uid() -> None:
    found = select_identities([pod("a", "GPU-0"), pod("b", "GPU-1::0", "GPU-1::1"), pod("none")], [
        allocation("uid-a", "GPU-0"), allocation("uid-b", "GPU-1::0", "GPU-1::1"),
    ])  # fmt: skip
    assert found == (identity("uid-a", "a"), identity("uid-b", "b"))


def test_equal_ids_of_another_kind_of_device_do_not_hide_a_uid() -> None:
    allocations = [allocation("uid-a", "GPU-0", "0"), allocation("uid-b", "0")]
    assert select_identities([pod("a", "GPU-0", "0")], allocations) == (identity("uid-a", "a"),)


@pytest.mark.parametrize(
    "allocations",
    [
        pytest.param([], id="not written yet"),
        pytest.param([allocation("old", "GPU-0"), allocation("new", "GPU-0")], id="two UIDs"),
        pytest.param([allocation("old", "GPU-0"), allocation("new", "GPU-1")], id="devices of two pods"),
        pytest.param([allocation("a", "GPU-0", "GPU-1", container="init")], id="another container"),
        pytest.param([allocation("a", "GPU-0")], id="a device is missing"),
    ],
)
def test_a_pod_without_exactly_one_uid_has_none(allocations: list[Allocation]) -> None:
    assert select_identities([pod("a", "GPU-0", "GPU-1")], allocations) == ()


def test_a_uid_that_fits_two_pods_is_of_none() -> None:
    other = PodDevices(
        namespace="team", name="b", containers=(ContainerDevices(name="other", devices=frozenset({"GPU-1"})),)
    )
    allocations = [allocation("a", "GPU-0"), allocation("a", "GPU-1", container="other")]
    assert select_identities([pod("a", "GPU-0"), other], allocations) == ()
