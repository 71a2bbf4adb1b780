"""Discovery of GPUs that are passed through to virtual machines."""

from pathlib import Path

import pytest

from gpu_core.discovery.pci_ids import PATHS
from gpu_core.discovery.vfio import read_vfio
from node_core.errors import HostReadError
from node_core.host.root import HostRoot

GPU = {
    "class": "0x030200",
    "vendor": "0x10de",
    "device": "0x2330",
    "subsystem_vendor": "0x10de",
    "subsystem_device": "0x16c1",
    "numa_node": "1",
}


def function(root: Path, address: str, *, driver: str | None = "vfio-pci", vf: bool = False, **changed: str) -> Path:
    folder = root / "sys/bus/pci/devices" / address
    folder.mkdir(parents=True)
    for name, text in {**GPU, **changed}.items():
        (folder / {"pci_class": "class"}.get(name, name)).write_text(f"{text}\n")
    if driver is not None:
        (folder / "driver").symlink_to(f"../../../bus/pci/drivers/{driver}")
    if vf:
        (folder / "physfn").symlink_to("../0000:01:00.0")
    return folder


def write_names(root: Path) -> None:
    file = root / PATHS[0].lstrip("/")
    file.parent.mkdir(parents=True)
    file.write_text("10de  NVIDIA Corporation\n\t2330  GH100 [H100 SXM5 80GB]\n\t20b0  GA100 [A100 SXM4 40GB]\n")


def test_only_whole_gpus_that_are_bound_to_vfio_are_discovered(tmp_path: Path) -> None:
    write_names(tmp_path)
    function(tmp_path, "0000:02:00.0", numa_node="-1")
    function(tmp_path, "0000:01:00.0", device="0x20b0")
    function(tmp_path, "0000:03:00.0", device="0xffff")
    function(tmp_path, "0000:04:00.0", driver="nvidia")
    function(tmp_path, "0000:05:00.0", driver=None)
    function(tmp_path, "0000:06:00.0", driver="vfio-pci-2")
    function(tmp_path, "0000:07:00.0", vf=True)
    function(tmp_path, "0000:08:00.0", pci_class="0x068000")
    function(tmp_path, "0000:09:00.0", vendor="0x1002")
    found = read_vfio(HostRoot(tmp_path))
    assert [(gpu.index, gpu.uuid, gpu.model, gpu.numa_node) for gpu in found.gpus] == [
        (0, "vfio-0000:01:00.0", "GA100 [A100 SXM4 40GB]", 1),
        (1, "vfio-0000:02:00.0", "GH100 [H100 SXM5 80GB]", None),
        (2, "vfio-0000:03:00.0", "UNKNOWN_DEVICE", 1),
    ]
    assert {(gpu.memory_bytes, gpu.compute, gpu.minor) for gpu in found.gpus} == {(None, None, None)}
    assert found.driver is not None
    assert (found.driver.version, found.driver.cuda) == ("unknown.unknown.unknown", None)
    assert (found.faults, found.why_empty) == ((), None)


def test_an_unreadable_gpu_is_a_fault_only_if_it_is_bound_to_vfio(tmp_path: Path) -> None:
    function(tmp_path, "0000:01:00.0")
    function(tmp_path, "0000:02:00.0", device="gibberish")
    function(tmp_path, "0000:03:00.0", driver="nvidia", device="gibberish")
    function(tmp_path, "0000:04:00.0", numa_node="gibberish")
    found = read_vfio(HostRoot(tmp_path))
    assert [(gpu.uuid, gpu.numa_fault is None) for gpu in found.gpus] == [
        ("vfio-0000:01:00.0", True),
        ("vfio-0000:04:00.0", False),
    ]
    assert [(fault.index, fault.uuid) for fault in found.faults] == [(2, "vfio-0000:02:00.0")]


def test_a_bus_without_gpus_is_an_empty_inventory_and_missing_sysfs_an_error(tmp_path: Path) -> None:
    with pytest.raises(HostReadError, match="mount the host's sysfs"):
        read_vfio(HostRoot(tmp_path))
    function(tmp_path, "0000:01:00.0", driver="nvidia")
    found = read_vfio(HostRoot(tmp_path))
    assert (found.gpus, found.faults, found.why_empty) == ((), (), "no NVIDIA GPU is bound to vfio-pci")
