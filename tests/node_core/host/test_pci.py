from pathlib import Path

import pytest

from node_core.errors import HostReadError
from node_core.host.pci import read_pci
from node_core.host.root import HostRoot

GPU = {
    "class": "0x030200\n",
    "vendor": "0x10DE\n",
    "device": "0x2330\n",
    "subsystem_vendor": "0x10de\n",
    "subsystem_device": "0x16c1\n",
}


def add(root: Path, address: str, files: dict[str, str]) -> Path:
    folder = root / "sys/bus/pci/devices" / address
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_text(content)
    return folder


def test_a_function_is_read_with_its_place_and_driver(tmp_path: Path) -> None:
    more = {"numa_node": "1\n", "sriov_totalvfs": "16\n", "sriov_numvfs": "0\n"}
    folder = add(tmp_path, "0000:3b:00.0", GPU | more)
    (folder / "driver").symlink_to("../../../bus/pci/drivers/vfio-pci")
    (function,) = read_pci(HostRoot(tmp_path)).functions
    assert (function.address, function.class_code, function.vendor) == ("0000:3b:00.0", "030200", "10de")
    assert (function.device, function.subsystem_vendor, function.subsystem_device) == ("2330", "10de", "16c1")
    assert (function.numa_node, function.driver, function.is_vf) == (1, "vfio-pci", False)
    assert (function.sriov_totalvfs, function.sriov_numvfs) == (16, 0)


def test_what_a_function_does_not_have_is_none(tmp_path: Path) -> None:
    folder = add(tmp_path, "0000:3b:00.1", GPU | {"numa_node": "-1\n", "sriov_totalvfs": "lots\n"})
    (folder / "physfn").symlink_to("../0000:3b:00.0")
    (folder / "sriov_numvfs").mkdir()
    (function,) = read_pci(HostRoot(tmp_path)).functions
    assert (function.numa_node, function.driver, function.sriov_totalvfs, function.sriov_numvfs) == (None,) * 4
    assert function.is_vf


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        pytest.param({"vendor": "0xzzzz\n"}, "vendor holds '0xzzzz'", id="not hex"),
        pytest.param({"class": "0x0302\n"}, "class holds '0x0302'", id="short class"),
        pytest.param({"device": ""}, "device holds ''", id="empty"),
    ],
)
def test_a_broken_function_is_skipped_with_its_reason(tmp_path: Path, broken: dict[str, str], reason: str) -> None:
    add(tmp_path, "0000:3b:00.0", GPU)
    add(tmp_path, "0000:5e:00.0", GPU | broken)
    scan = read_pci(HostRoot(tmp_path))
    assert [function.address for function in scan.functions] == ["0000:3b:00.0"]
    assert [skipped.address for skipped in scan.skipped] == ["0000:5e:00.0"]
    assert reason in scan.skipped[0].reason


def test_an_id_that_is_missing_or_unreadable_skips_the_function(tmp_path: Path) -> None:
    folder = add(tmp_path, "0000:3b:00.0", {key: value for key, value in GPU.items() if key != "vendor"})
    assert "vendor is missing" in read_pci(HostRoot(tmp_path)).skipped[0].reason
    (folder / "vendor").mkdir()
    assert "cannot read" in read_pci(HostRoot(tmp_path)).skipped[0].reason


def test_a_function_that_vanished_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "sys/bus/pci/devices").mkdir(parents=True)
    (tmp_path / "sys/bus/pci/devices/0000:3b:00.0").symlink_to("../../../devices/gone")
    scan = read_pci(HostRoot(tmp_path))
    assert (scan.functions, scan.skipped) == ((), ())


def test_a_bus_that_cannot_be_listed_is_an_error(tmp_path: Path) -> None:
    loop = tmp_path / "sys/bus/pci/devices"
    loop.parent.mkdir(parents=True)
    loop.symlink_to("devices")
    with pytest.raises(HostReadError):
        read_pci(HostRoot(tmp_path))


def test_a_host_without_pci_has_no_functions(tmp_path: Path) -> None:
    assert read_pci(HostRoot(tmp_path)).functions == ()
