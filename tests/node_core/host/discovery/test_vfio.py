"""GPUs of virtual machines: which functions they are, what they are called, and what cannot be read."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node_core.errors import HostReadError
from node_core.host.discovery.pci_ids import PATHS, parse_device_names, read_device_names
from node_core.host.discovery.vfio import read_vfio
from node_core.host.root import HostRoot

IDS = """# a comment
10de  NVIDIA Corporation
\t2330  GH100 [H100 SXM5 80GB]
\t\t10de 16c1  H100 SXM5 80GB
\t20B0  GA100 [A100 SXM4 40GB]

10df  Emulex Corporation
\t2335  Not one of NVIDIA's
C 03  Display controller
\t00  VGA compatible controller
"""
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


def names(root: Path, text: str = IDS, path: str = PATHS[0]) -> None:
    file = root / path.lstrip("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_whole_gpus_of_virtual_machines_are_found_and_nothing_else(tmp_path: Path) -> None:
    names(tmp_path)
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


def test_a_gpu_that_cannot_be_read_is_a_fault_and_a_foreign_one_is_not(tmp_path: Path) -> None:
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


def test_a_bus_without_such_gpus_is_an_answer_and_no_sysfs_is_none(tmp_path: Path) -> None:
    with pytest.raises(HostReadError, match="make the host's sysfs visible"):
        read_vfio(HostRoot(tmp_path))
    function(tmp_path, "0000:01:00.0", driver="nvidia")
    found = read_vfio(HostRoot(tmp_path))
    assert (found.gpus, found.faults, found.why_empty) == ((), (), "vfio-pci has no NVIDIA GPU")


def test_names_come_from_the_first_file_that_is_there_and_must_be_readable(tmp_path: Path) -> None:
    root = HostRoot(tmp_path)
    assert read_device_names(root, "10de") == {}
    names(tmp_path, IDS.replace("GH100", "second"), PATHS[3])
    assert read_device_names(root, "10de")["2330"] == "second [H100 SXM5 80GB]"
    names(tmp_path)
    assert read_device_names(root, "10de")["2330"] == "GH100 [H100 SXM5 80GB]"
    (tmp_path / PATHS[0].lstrip("/")).unlink()
    (tmp_path / PATHS[0].lstrip("/")).mkdir()
    with pytest.raises(HostReadError, match=r"/usr/share/misc/pci\.ids"):
        read_device_names(root, "10de")


def test_only_the_vendors_own_devices_are_named() -> None:
    assert parse_device_names(IDS, "10de") == {"2330": "GH100 [H100 SXM5 80GB]", "20b0": "GA100 [A100 SXM4 40GB]"}
    assert parse_device_names(IDS, "10df") == {"2335": "Not one of NVIDIA's"}


@given(st.lists(st.text(alphabet="\t #10deC \0é", max_size=12), max_size=12).map("\n".join))
def test_any_text_gives_names_or_none(text: str) -> None:
    for device, name in parse_device_names(text, "10de").items():
        assert device == device.lower()
        assert "\n" not in name
