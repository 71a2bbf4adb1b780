from functools import partial
from pathlib import Path

import pytest

from node_core.domain.pci import PciAddress
from node_core.errors import HostReadError
from node_core.host.pci import PciFunction, has_nvidia_gpu, read_numa_node, read_pci, read_pcie_root, try_read_numa_node
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


def test_a_function_is_read_with_its_numa_node_and_driver(tmp_path: Path) -> None:
    folder = add(tmp_path, "0000:3b:00.0", GPU | {"numa_node": "1\n"})
    (folder / "driver").symlink_to("../../../bus/pci/drivers/vfio-pci")
    (function,) = read_pci(HostRoot(tmp_path)).functions
    assert (function.address, function.class_code) == ("0000:3b:00.0", "030200")
    assert (function.vendor, function.device) == ("10de", "2330")
    assert (function.numa_node, function.driver, function.is_vf) == (1, "vfio-pci", False)


@pytest.mark.parametrize(
    ("vendor", "class_code", "is_gpu"),
    [("10de", "030000", True), ("10de", "030200", True), ("10de", "040300", False), ("1002", "030000", False)],
    ids=["display", "3D", "audio", "other vendor"],
)
def test_a_gpu_is_a_display_or_3d_controller_of_nvidia(
    tmp_path: Path, vendor: str, class_code: str, is_gpu: bool
) -> None:
    add(tmp_path, "0000:3b:00.0", GPU | {"vendor": f"0x{vendor}\n", "class": f"0x{class_code}\n"})
    (function,) = read_pci(HostRoot(tmp_path)).functions
    assert function.is_nvidia_gpu is is_gpu


def test_missing_properties_of_a_function_are_none(tmp_path: Path) -> None:
    folder = add(tmp_path, "0000:3b:00.1", GPU | {"numa_node": "-1\n"})
    (folder / "physfn").symlink_to("../0000:3b:00.0")
    (function,) = read_pci(HostRoot(tmp_path)).functions
    assert (function.numa_node, function.driver) == (None, None)
    assert function.is_vf


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        pytest.param({"vendor": "0xzzzz\n"}, "vendor contains '0xzzzz'", id="not hex"),
        pytest.param({"class": "0x0302\n"}, "class contains '0x0302'", id="short class"),
        pytest.param({"device": ""}, "device contains ''", id="empty"),
    ],
)
def test_an_unreadable_function_is_skipped_with_a_reason(tmp_path: Path, broken: dict[str, str], reason: str) -> None:
    add(tmp_path, "0000:3b:00.0", GPU)
    add(tmp_path, "0000:5e:00.0", GPU | broken)
    scan = read_pci(HostRoot(tmp_path))
    assert [function.address for function in scan.functions] == ["0000:3b:00.0"]
    assert [skipped.address for skipped in scan.skipped] == ["0000:5e:00.0"]
    assert reason in scan.skipped[0].reason


def test_a_function_with_a_missing_or_unreadable_id_is_skipped(tmp_path: Path) -> None:
    folder = add(tmp_path, "0000:3b:00.0", {key: value for key, value in GPU.items() if key != "vendor"})
    assert "vendor is missing" in read_pci(HostRoot(tmp_path)).skipped[0].reason
    (folder / "vendor").mkdir()
    assert "cannot read" in read_pci(HostRoot(tmp_path)).skipped[0].reason


def test_ids_of_the_subsystem_may_be_missing_and_other_ids_may_have_capitals(tmp_path: Path) -> None:
    ids = {name: text.upper().replace("0X", "0x") for name, text in GPU.items() if not name.startswith("subsystem")}
    add(tmp_path, "0000:3b:00.0", ids | {"device": "0x2BB5\n"})
    scan = read_pci(HostRoot(tmp_path))
    assert [(each.vendor, each.device) for each in scan.functions] == [("10de", "2bb5")]
    assert scan.skipped == ()


def test_a_function_is_neither_virtual_nor_bound_to_a_driver_by_default() -> None:
    function = PciFunction(address=PciAddress("0000:3b:00.0"), class_code="030200", vendor="10de", device="2330")
    assert (function.numa_node, function.driver, function.is_vf) == (None, None, False)


def test_a_function_that_disappears_during_the_scan_is_ignored(tmp_path: Path) -> None:
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


ADDRESS = PciAddress("0000:3b:00.0")


@pytest.mark.parametrize(("text", "node"), [("0\n", 0), ("3\n", 3), ("-1\n", None)])
def test_a_function_is_near_the_numa_node_that_the_kernel_reports(tmp_path: Path, text: str, node: int | None) -> None:
    add(tmp_path, ADDRESS, GPU | {"numa_node": text})
    assert read_numa_node(HostRoot(tmp_path), ADDRESS) == node


def test_a_numa_node_that_is_not_a_number_is_an_error(tmp_path: Path) -> None:
    add(tmp_path, ADDRESS, GPU | {"numa_node": "zero\n"})
    with pytest.raises(HostReadError, match="numa_node"):
        read_numa_node(HostRoot(tmp_path), ADDRESS)


def test_a_function_with_an_unreadable_numa_node_is_read_without_the_node(tmp_path: Path) -> None:
    add(tmp_path, ADDRESS, GPU | {"numa_node": "zero\n"})
    root = HostRoot(tmp_path)
    (function,) = read_pci(root).functions
    assert (function.device, function.numa_node) == ("2330", None)
    node, why = try_read_numa_node(partial(read_numa_node, root), ADDRESS)
    assert node is None
    assert why == f"/sys/bus/pci/devices/{ADDRESS}/numa_node contains 'zero', which is not a number"
    assert try_read_numa_node(lambda _: 1, ADDRESS) == (1, None)


def test_a_host_has_a_gpu_if_one_of_its_functions_is_a_gpu(tmp_path: Path) -> None:
    add(tmp_path, "0000:00:00.0", GPU | {"vendor": "0x8086\n"})
    assert not has_nvidia_gpu(HostRoot(tmp_path))
    add(tmp_path, "0000:3b:00.0", GPU)
    assert has_nvidia_gpu(HostRoot(tmp_path))


def test_a_missing_numa_node_is_unknown_only_with_a_sysfs(tmp_path: Path) -> None:
    with pytest.raises(HostReadError, match="/sys is empty"):
        read_numa_node(HostRoot(tmp_path), ADDRESS)
    add(tmp_path, ADDRESS, GPU)
    assert read_numa_node(HostRoot(tmp_path), ADDRESS) is None


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("../../../devices/pci0000:16/0000:16:02.0/0000:17:00.0", "pci0000:16"),
        ("../../../devices/pci10000:e0/0000:17:00.0", "pci10000:e0"),
        ("../../../devices/platform/0000:17:00.0", None),
        ("", None),
        (None, None),
    ],
)
def test_the_pcie_root_is_part_of_the_path_of_a_device(
    tmp_path: Path, target: str | None, expected: str | None
) -> None:
    folder = tmp_path / "sys/bus/pci/devices"
    folder.mkdir(parents=True)
    if target:
        (folder / "0000:17:00.0").symlink_to(target)
    assert read_pcie_root(HostRoot(tmp_path), PciAddress("0000:17:00.0")) == expected
